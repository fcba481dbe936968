"""Defaults and validation of ValidatingAdmissionPolicies and their bindings, but for what only compiling their
expressions can tell: that is the API server's to say, above this layer.

Source: pkg/apis/admissionregistration/validation, pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dabbawala.api import admission_rules, names
from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS = ("Audit", "Deny", "Warn")
MAX_AUDIT_ANNOTATIONS = 20
MAX_VALUE_EXPRESSION_BYTES = 5 * 1024
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_EMPTY = "validations or auditAnnotations must contain at least one item"


def default_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec["failurePolicy"] = spec.get("failurePolicy") or "Fail"
    _default_resources(spec.get("matchConstraints"))


def default_binding(obj: Object) -> None:
    _default_resources(obj.setdefault("spec", {}).get("matchResources"))


def _default_resources(given: Object | None) -> None:
    if given is None:
        return
    admission_rules.default_matching(given)
    for field in ("resourceRules", "excludeResourceRules"):
        admission_rules.default_rules(given.get(field))


def policy(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.one_of(spec.get("failurePolicy"), admission_rules.FAILURE_POLICIES, "spec.failurePolicy")
    if spec.get("paramKind") is not None:
        yield from _param_kind(spec["paramKind"], "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield status.required("spec.matchConstraints")
    else:
        yield from _resources(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            yield status.required("spec.matchConstraints.resourceRules")
    yield from admission_rules.conditions(spec.get("matchConditions") or (), "spec.matchConditions")
    for index, variable in enumerate(spec.get("variables") or ()):
        yield from _variable(variable, f"spec.variables[{index}]")
    yield from _judgements(new, spec)


def _judgements(new: Object, spec: Object) -> Errors:
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        yield status.required("spec.validations", _EMPTY)
        yield status.required("spec.auditAnnotations", _EMPTY)
    for index, validation in enumerate(validations):
        yield from _validation(validation, f"spec.validations[{index}]")
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        message = f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"
        yield check.invalid_json("spec.auditAnnotations", annotations, message)
    for index, annotation in enumerate(annotations):
        yield from _audit_annotation(annotation, meta.name(new), f"spec.auditAnnotations[{index}]")
    keys = ((f"spec.auditAnnotations[{index}].key", item.get("key")) for index, item in enumerate(annotations))
    yield from check.unique(keys)


def _param_kind(given: Object, path: str) -> Errors:
    api_version, kind = given.get("apiVersion") or "", given.get("kind") or ""
    group, _, version = api_version.rpartition("/")
    if not api_version:
        yield status.required(f"{path}.apiVersion")
    elif api_version.count("/") > 1:
        message = f"unexpected GroupVersion string: {api_version}"
        yield status.invalid(f"{path}.apiVersion", api_version, message)
    elif not version:
        yield status.invalid(f"{path}.apiVersion", api_version, "version must be specified")
    else:
        yield from check.optionally_named(group, names.dns_subdomain, f"{path}.apiVersion")
        yield from check.named(version, names.dns_1035_label, f"{path}.apiVersion")
    if not kind:
        yield status.required(f"{path}.kind")
    for message in names.dns_1035_label(kind.lower()) if kind else ():
        mixed = f"may have mixed case, but should otherwise match: {message}"
        yield status.invalid(f"{path}.kind", kind, mixed)


def _resources(given: Object, path: str) -> Errors:
    yield from admission_rules.selectors(given, path)
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(given.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            yield from _resource_names(rule.get("resourceNames") or (), f"{where}.resourceNames")
            yield from admission_rules.rule(rule, where)


def _resource_names(given: Sequence[str], path: str) -> Errors:
    for index, name in enumerate(given):
        for message in names.path_segment(name):
            yield status.invalid(f"{path}[{index}]", name, message)
    yield from check.unique((f"{path}[{index}]", name) for index, name in enumerate(given))


def _variable(given: Object, path: str) -> Errors:
    name = given.get("name") or ""
    if not name.strip():
        yield status.required(f"{path}.name", "name is not specified")
    elif not is_identifier(name):
        yield status.invalid(f"{path}.name", name, "name is not a valid CEL identifier")
    if not (given.get("expression") or "").strip():
        yield status.required(f"{path}.expression", "expression is not specified")


def is_identifier(name: str) -> bool:
    """Whether CEL could read `name` as one identifier."""
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def _validation(given: Object, path: str) -> Errors:
    message, expression = given.get("message") or "", given.get("messageExpression") or ""
    if not (given.get("expression") or "").strip():
        yield status.required(f"{path}.expression", "expression is not specified")
    if expression and not expression.strip():
        yield status.invalid(f"{path}.messageExpression", expression, "must be non-empty if specified")
    if message and not message.strip():
        yield status.invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip() or "\r" in message.strip():
        yield status.invalid(f"{path}.message", message, "message must not contain line breaks")
    if given.get("reason") is not None and given["reason"] not in REASONS:
        yield status.not_supported(f"{path}.reason", given["reason"], REASONS)


def _audit_annotation(given: Object, policy_name: str, path: str) -> Errors:
    key, expression = given.get("key") or "", (given.get("valueExpression") or "").strip()
    if not policy_name:
        yield status.invalid(f"{path}.key", key, "requires metadata.name be non-empty")
    else:
        for message in names.qualified_name(f"{policy_name}/{key}"):
            yield status.invalid(f"{path}.key", f"{policy_name}/{key}", message)
    if not expression:
        yield status.required(f"{path}.valueExpression", "valueExpression is not specified")
    elif len(expression.encode()) > MAX_VALUE_EXPRESSION_BYTES:
        yield status.required(
            f"{path}.valueExpression", f"must not exceed {MAX_VALUE_EXPRESSION_BYTES} bytes in length"
        )


def binding(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.named(spec.get("policyName"), names.dns_subdomain, "spec.policyName")
    if spec.get("paramRef") is not None:
        yield from _param_ref(spec["paramRef"], "spec.paramRef")
    if spec.get("matchResources") is not None:
        yield from _resources(spec["matchResources"], "spec.matchResources")
    yield from _actions(spec.get("validationActions") or (), "spec.validationActions")


def _param_ref(given: Object, path: str) -> Errors:
    name, selector = given.get("name") or "", given.get("selector")
    for message in names.path_segment(name) if name else ():
        yield status.invalid(f"{path}.name", name, message)
    if selector is not None:
        yield from check.label_selector(selector, f"{path}.selector")
    if name and selector is not None:
        for field in ("name", "selector"):
            yield status.forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    if not name and selector is None:
        yield status.required(path, "one of name or selector must be specified")
    action = given.get("parameterNotFoundAction")
    yield from check.one_of(action, ("Deny", "Allow"), f"{path}.parameterNotFoundAction")


def _actions(given: Sequence[str], path: str) -> Errors:
    for index, action in enumerate(given):
        if action not in ACTIONS:
            yield status.not_supported(f"{path}[{index}]", action, ACTIONS)
    yield from check.unique((f"{path}[{index}]", action) for index, action in enumerate(given))
    if "Deny" in given and "Warn" in given:
        message = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        yield check.invalid_json(path, given, message)
    if not given:
        yield status.required(path, "at least one validation action is required")
