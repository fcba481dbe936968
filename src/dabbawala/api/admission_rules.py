"""What policies and webhooks have in common: which requests they are about, and under which conditions.

Source: pkg/apis/admissionregistration/validation, pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from dabbawala.api import field_checks as check
from dabbawala.api import names
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
MAX_CONDITIONS = 64
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


def default_matching(holder: Object) -> None:
    """Fill in what decides on matching: of a webhook, or of the constraints of a policy or binding."""
    holder["matchPolicy"] = holder.get("matchPolicy") or "Equivalent"
    for field in ("namespaceSelector", "objectSelector"):
        if holder.get(field) is None:
            holder[field] = {}


def default_rules(rules: Sequence[Object] | None) -> None:
    for rule in rules or ():
        rule["scope"] = rule.get("scope") or "*"


def rule(given: Object, path: str) -> Errors:
    """One rule with its operations."""
    operations = given.get("operations") or ()
    if not operations:
        yield status.required(f"{path}.operations")
    yield from _alone(operations, f"{path}.operations", "operations")
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            yield status.not_supported(f"{path}.operations[{index}]", operation, _OPERATIONS)
    if not given.get("apiGroups"):
        yield status.required(f"{path}.apiGroups")
    yield from _alone(given.get("apiGroups") or (), f"{path}.apiGroups", "API groups")
    versions = given.get("apiVersions") or ()
    if not versions:
        yield status.required(f"{path}.apiVersions")
    yield from _alone(versions, f"{path}.apiVersions", "API versions")
    for index, version in enumerate(versions):
        if not version:
            yield status.required(f"{path}.apiVersions[{index}]")
    yield from _resources(given.get("resources") or (), f"{path}.resources")
    if given.get("scope") is not None and given["scope"] not in _SCOPES:
        yield status.not_supported(f"{path}.scope", given["scope"], _SCOPES)


def _alone(values: Sequence[str], path: str, what: str) -> Errors:
    if len(values) > 1 and "*" in values:
        yield check.invalid_json(path, values, f"if '*' is present, must not specify other {what}")


def _resources(resources: Sequence[str], path: str) -> Errors:
    if not resources:
        yield status.required(path)
    whole: set[str] = set()  # x of x/*
    everywhere: set[str] = set()  # y of */y
    for index, item in enumerate(resources):
        where = f"{path}[{index}]"
        name, slash, part = item.partition("/")
        if not item:
            yield status.required(where)
        if not slash:
            continue
        if name in whole:
            yield status.invalid(where, item, f"if '{name}/*' is present, must not specify {item}")
        if part in everywhere:
            yield status.invalid(where, item, f"if '*/{part}' is present, must not specify {item}")
        if part == "*":
            whole.add(name)
        if name == "*":
            everywhere.add(part)
    if len(resources) > 1 and "*/*" in resources:
        yield check.invalid_json(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and any("/" not in item and item not in ("", "*") for item in resources):
        message = "if '*' is present, must not specify other resources without subresources"
        yield check.invalid_json(path, resources, message)


def conditions(given: Sequence[Object], path: str) -> Errors:
    """matchConditions, but for what is wrong with their expressions."""
    if len(given) > MAX_CONDITIONS:
        message = f"Too many: {len(given)}: must have at most {MAX_CONDITIONS} items"
        yield FieldError(path, "FieldValueTooMany", message)
    for index, condition in enumerate(given):
        if not (condition.get("expression") or "").strip():
            yield status.required(f"{path}[{index}].expression")
        yield from check.named(condition.get("name"), names.qualified_name, f"{path}[{index}].name")
    named = [(f"{path}[{index}].name", item.get("name")) for index, item in enumerate(given) if item.get("name")]
    yield from check.unique(named)


def selectors(holder: Object, path: str) -> Errors:
    prefix = f"{path}." if path else ""
    yield from check.one_of(holder.get("matchPolicy"), MATCH_POLICIES, f"{prefix}matchPolicy")
    for field in ("namespaceSelector", "objectSelector"):
        yield from check.label_selector(holder.get(field), f"{prefix}{field}")
