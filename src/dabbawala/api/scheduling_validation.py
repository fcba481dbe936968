"""Validation of what a pod asks of its place: tolerations, affinity, spread.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import field_checks as check
from dabbawala.api import names
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def scheduling(spec: Object, path: str) -> Errors:
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    affinity = spec.get("affinity") or {}
    yield from _node_affinity(affinity.get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    for field in ("podAffinity", "podAntiAffinity"):
        yield from _pod_affinity(affinity.get(field) or {}, f"{path}.affinity.{field}")
    yield from _spread(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints")


def _toleration(toleration: Object, path: str) -> Errors:
    operator = toleration.get("operator") or "Equal"
    yield from check.optionally_named(toleration.get("key"), names.qualified_name, f"{path}.key")
    if not toleration.get("key") and operator != "Exists":
        message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield status.invalid(f"{path}.operator", operator, message)
    if operator not in ("Equal", "Exists"):
        yield status.not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    if operator == "Exists" and toleration.get("value"):
        message = "value must be empty when `operator` is 'Exists'"
        yield status.invalid(f"{path}.operator", toleration["value"], message)
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        message = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield status.invalid(f"{path}.effect", toleration.get("effect") or "", message)
    if toleration.get("effect") and toleration["effect"] not in _EFFECTS:
        yield status.not_supported(f"{path}.effect", toleration["effect"], _EFFECTS)


def _node_affinity(affinity: Object, path: str) -> Errors:
    required = affinity.get(_REQUIRED)
    if required is not None:
        terms = required.get("nodeSelectorTerms") or ()
        where = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        if not terms:
            yield status.required(where, "must have at least one node selector term")
        for index, term in enumerate(terms):
            yield from _node_term(term, f"{where}[{index}]")
    for index, preferred in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(preferred, where)
        yield from _node_term(preferred.get("preference") or {}, f"{where}.preference")


def _weight(term: Object, path: str) -> Errors:
    if not 1 <= (term.get("weight") or 0) <= 100:
        yield status.invalid(f"{path}.weight", term.get("weight") or 0, "must be in the range 1-100")


def _node_term(term: Object, path: str) -> Errors:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = item.get("operator"), item.get("values") or ()
        if operator not in _NODE_OPERATORS:
            yield status.invalid(f"{where}.operator", operator or "", "not a valid selector operator")
        if operator in ("In", "NotIn") and not values:
            yield status.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        if operator in ("Gt", "Lt") and len(values) != 1:
            yield status.required(f"{where}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        for message in names.qualified_name(item.get("key") or ""):
            yield status.invalid(f"{where}.key", item.get("key") or "", message)


def _pod_affinity(affinity: Object, path: str) -> Errors:
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        yield from _pod_term(term, f"{path}.{_REQUIRED}[{index}]")
    for index, preferred in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(preferred, where)
        yield from _pod_term(preferred.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _pod_term(term: Object, path: str) -> Errors:
    yield from check.label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    if not term.get("topologyKey"):
        yield status.required(f"{path}.topologyKey", "can not be empty")


def _spread(constraints: Iterable[Object], path: str) -> Errors:
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        if (constraint.get("maxSkew") or 0) <= 0:
            yield status.invalid(f"{where}.maxSkew", constraint.get("maxSkew") or 0, "must be greater than zero")
        if not constraint.get("topologyKey"):
            yield status.required(f"{where}.topologyKey", "can not be empty")
        allowed = ("DoNotSchedule", "ScheduleAnyway")
        yield from check.one_of(constraint.get("whenUnsatisfiable"), allowed, f"{where}.whenUnsatisfiable")
        yield from check.label_selector(constraint.get("labelSelector"), f"{where}.labelSelector")
