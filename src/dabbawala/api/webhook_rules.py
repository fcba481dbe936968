"""Defaults and validation of webhook configurations.

Source: pkg/apis/admissionregistration/validation, pkg/apis/admissionregistration/v1/defaults.go,
apiserver/pkg/util/webhook/validation.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from dabbawala.api import admission_rules, names
from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

_REINVOCATION = ("IfNeeded", "Never")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_TIMEOUT_SECONDS = 10
_MAX_TIMEOUT_SECONDS = 30
_SEGMENTS = 3
_FORM = "; desired format: https://host[/path]"


def default_validating(obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        hook["failurePolicy"] = hook.get("failurePolicy") or "Fail"
        admission_rules.default_matching(hook)
        admission_rules.default_rules(hook.get("rules"))
        hook.setdefault("timeoutSeconds", _TIMEOUT_SECONDS)
        service = (hook.get("clientConfig") or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)


def default_mutating(obj: Object) -> None:
    default_validating(obj)
    for hook in obj.get("webhooks") or ():
        hook["reinvocationPolicy"] = hook.get("reinvocationPolicy") or "Never"


def validating(new: Object, old: Object | None) -> Errors:
    hooks = new.get("webhooks") or ()
    for index, hook in enumerate(hooks):
        yield from _hook(hook, f"webhooks[{index}]")
    named = [(f"webhooks[{index}].name", hook.get("name")) for index, hook in enumerate(hooks) if hook.get("name")]
    yield from check.unique(named)


def mutating(new: Object, old: Object | None) -> Errors:
    yield from validating(new, old)
    for index, hook in enumerate(new.get("webhooks") or ()):
        yield from check.one_of(hook.get("reinvocationPolicy"), _REINVOCATION, f"webhooks[{index}].reinvocationPolicy")


def _hook(hook: Object, path: str) -> Errors:
    name = hook.get("name")
    yield from check.named(name, names.dns_subdomain, f"{path}.name")
    if name and name.count(".") < _SEGMENTS - 1:
        message = "should be a domain with at least three segments separated by dots"
        yield status.invalid(f"{path}.name", name, message)
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from admission_rules.rule(rule, f"{path}.rules[{index}]")
    yield from check.one_of(hook.get("failurePolicy"), admission_rules.FAILURE_POLICIES, f"{path}.failurePolicy")
    yield from admission_rules.selectors(hook, path)
    if hook.get("sideEffects") is None:
        yield status.required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    elif hook["sideEffects"] not in _SIDE_EFFECTS:
        yield status.not_supported(f"{path}.sideEffects", hook["sideEffects"], _SIDE_EFFECTS)
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= _MAX_TIMEOUT_SECONDS:
        message = f"the timeout value must be between 1 and {_MAX_TIMEOUT_SECONDS} seconds"
        yield status.invalid(f"{path}.timeoutSeconds", timeout, message)
    yield from _client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    yield from admission_rules.conditions(hook.get("matchConditions") or (), f"{path}.matchConditions")
    yield from _versions(hook.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions")


def _client(given: Object, path: str) -> Errors:
    url, service = given.get("url"), given.get("service")
    if url is not None and service is None:
        yield from _url(url, f"{path}.url")
    elif service is not None and url is None:
        yield from _service(service, f"{path}.service")
    else:
        yield status.required(path, "exactly one of url or service is required")


def _url(url: str, path: str) -> Errors:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield status.required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    if parts.scheme != "https":
        yield status.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.netloc:
        yield status.invalid(path, parts.netloc, f"host must be provided{_FORM}")
    if "@" in parts.netloc:
        yield status.invalid(path, parts.netloc.partition("@")[0], "user information is not permitted in the URL")
    if parts.fragment:
        yield status.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield status.invalid(path, parts.query, "query parameters are not permitted in the URL")


def _service(given: Object, path: str) -> Errors:
    for field in ("name", "namespace"):
        if not given.get(field):
            yield status.required(f"{path}.{field}", f"service {field} is required")
    port = given.get("port")
    for message in names.port_number(port) if port is not None else ():
        yield status.invalid(f"{path}.port", port, f"port is not valid: {message}")
    where = given.get("path")
    if not where or where == "/":
        return
    if not where.startswith("/"):
        yield status.invalid(f"{path}.path", where, "must start with a '/'")
    for index, segment in enumerate(where[1:].removesuffix("/").split("/")):
        wrong = names.dns_subdomain(segment) if segment else ["may not be empty"]
        for message in wrong:
            said = f"segment[{index}] {message}" if not segment else f"segment[{index}]: {message}"
            yield status.invalid(f"{path}.path", where, said)


def _versions(given: Sequence[str], path: str) -> Errors:
    listed = ", ".join(_REVIEW_VERSIONS)
    if not given:
        yield status.required(path, f"must specify one of {listed}")
        return
    for index, version in enumerate(given):
        if version in given[:index]:
            yield status.invalid(f"{path}[{index}]", version, "duplicate version")
            continue
        for message in names.dns_1035_label(version):
            yield status.invalid(f"{path}[{index}]", version, message)
    if not set(given) & set(_REVIEW_VERSIONS):
        yield check.invalid_json(path, given, f"must include at least one of {listed}")
