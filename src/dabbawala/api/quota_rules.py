"""Defaults and validation of ResourceQuotas, and what their names of resources mean.

Source: pkg/apis/core/validation ValidateResourceQuota, pkg/apis/core/helper.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import names, pod_defaults
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.meta import Object

HUGE_PAGES = "hugepages-"
REQUESTS = "requests."
# Resources of which quotas count objects, by their own short names.
COUNTED = frozenset(
    {
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip
_COMPUTE = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_STANDARD = (
    COUNTED
    | _COMPUTE
    | {"ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "requests.storage"}
)
# Scope -> the standard resources that may be limited under it.
_SCOPED = {
    "Terminating": _COMPUTE | {"pods"},
    "NotTerminating": _COMPUTE | {"pods"},
    "NotBestEffort": _COMPUTE | {"pods"},
    "PriorityClass": _COMPUTE | {"pods"},
    "CrossNamespacePodAffinity": _COMPUTE | {"pods"},
    "BestEffort": frozenset({"pods"}),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
_OPPOSITES = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))
_WITH_VALUES = frozenset({"PriorityClass", "VolumeAttributesClass"})
_EXISTS = (
    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def default(obj: Object) -> None:
    for part in ("spec", "status"):
        for field in ("hard", "used"):
            pod_defaults.canonical_quantities((obj.get(part) or {}).get(field))
    obj.setdefault("spec", {})


def quota(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    hard = spec.get("hard") or {}
    for name, value in hard.items():
        path = f"spec.hard[{name}]"
        yield from _name(name, path)
        yield from amount(name, value, path)
    yield from _scopes(spec.get("scopes") or (), hard)
    for term in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        yield from _term(term, hard, "spec.scopeSelector.matchExpressions")
    before = ((old or {}).get("spec") or {}).get("scopes") or []
    if old is not None and set(spec.get("scopes") or ()) != set(before):
        yield check.invalid_json("spec.scopes", spec.get("scopes"), "field is immutable")


def amount(name: str, value: Any, path: str) -> Errors:
    """A quantity that is not negative, and whole where whole things are counted."""
    wrong = list(check.amount(value, path))
    yield from wrong
    if not wrong and (name in COUNTED or is_extended(name)) and quantity.parse(value) % 1:
        yield status.invalid(path, str(value), "must be an integer")


def is_extended(name: str) -> bool:
    """`example.com/gpu`, as opposed to what Kubernetes itself knows. Source: IsExtendedResourceName."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith(REQUESTS)


def _name(name: str, path: str) -> Errors:
    for message in names.qualified_name(name):
        yield status.invalid(path, name, message)
    is_huge = name.startswith((HUGE_PAGES, REQUESTS + HUGE_PAGES))
    if "/" not in name and name not in _STANDARD and not is_huge:
        yield status.invalid(path, name, "must be a standard resource for quotas")


def _scopes(scopes: Iterable[str], hard: Iterable[str]) -> Errors:
    shown = list(scopes)
    for scope in shown:
        if scope not in _SCOPED:
            yield check.invalid_json("spec.scopes", shown, "unsupported scope")
        elif not _apply(scope, hard):
            yield check.invalid_json("spec.scopes", shown, "unsupported scope applied to resource")
    if any(pair <= set(shown) for pair in _OPPOSITES):
        yield check.invalid_json("spec.scopes", shown, "conflicting scopes")


def _apply(scope: str, hard: Iterable[str]) -> bool:
    """Whether everything standard that is limited may be limited under that scope."""
    return all(name not in _STANDARD or name in _SCOPED[scope] for name in hard)


def _term(term: Object, hard: Iterable[str], path: str) -> Errors:
    scope, operator, values = term.get("scopeName") or "", term.get("operator") or "", term.get("values") or ()
    if scope not in _SCOPED:
        yield status.invalid(f"{path}.scopeName", scope, "unsupported scope")
    elif not _apply(scope, hard):
        yield check.invalid_json(path, term, "unsupported scope applied to resource")
    if scope in _SCOPED.keys() - _WITH_VALUES and operator != "Exists":
        yield status.invalid(f"{path}.operator", operator, _EXISTS)
    if operator in ("In", "NotIn"):
        if not values:
            message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield status.required(f"{path}.values", message)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield check.invalid_json(f"{path}.values", values, message)
    else:
        yield status.invalid(f"{path}.operator", operator, "not a valid selector operator")
