"""Defaults and validation of LimitRanges.

Source: pkg/apis/core/v1/defaults.go SetDefaults_LimitRangeItem, pkg/apis/core/validation ValidateLimitRange.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from dabbawala.api import container_validation, names, pod_defaults, quota_rules
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.meta import Object

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage", "storage")


def default(obj: Object) -> None:
    """Of containers: a limit is the maximum, and a request is the limit or else the minimum, unless they say more."""
    for item in obj.setdefault("spec", {}).get("limits") or ():
        for field in AMOUNTS:
            pod_defaults.canonical_quantities(item.get(field))
        if item.get("type") != "Container":
            continue
        limit = {**(item.get("max") or {}), **(item.get("default") or {})}
        request = {**(item.get("min") or {}), **limit, **(item.get("defaultRequest") or {})}
        for field, amounts in (("default", limit), ("defaultRequest", request)):
            if amounts:
                item[field] = amounts


def limit_range(new: Object, old: Object | None) -> Errors:
    seen: set[str] = set()
    for index, item in enumerate((new.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        yield from _type(kind, f"{path}.type")
        if kind in seen:
            yield status.duplicate(f"{path}.type", kind)
        seen.add(kind)
        wrong = list(_amounts(item, kind, path))
        yield from wrong
        if not wrong:
            yield from _relations(item, path)


def _type(kind: str, path: str) -> Errors:
    for message in names.qualified_name(kind):
        yield status.invalid(path, kind, message)
    if "/" not in kind and kind not in _TYPES:
        yield status.invalid(path, kind, "must be a standard limit type or fully qualified")


def _amounts(item: Object, kind: str, path: str) -> Errors:
    for field in AMOUNTS:
        given = item.get(field) or {}
        if kind == "Pod" and field in ("default", "defaultRequest"):
            if given:
                yield status.forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            continue
        for name, value in given.items():
            where = f"{path}.{field}[{name}]"
            yield from _resource(name, kind, where)
            yield from quota_rules.amount(name, value, where)
    if kind == "PersistentVolumeClaim" and not any("storage" in (item.get(field) or {}) for field in ("min", "max")):
        message = "either minimum or maximum storage value is required, but neither was provided"
        yield status.required(f"{path}.limits", message)


def _resource(name: str, kind: str, path: str) -> Errors:
    if kind in ("Pod", "Container"):
        yield from container_validation.resource_name(name, path)
        return
    for message in names.qualified_name(name):
        yield status.invalid(path, name, message)


def _relations(item: Object, path: str) -> Errors:
    """Minimum, request, limit and maximum are in this order, each against each."""
    for name in sorted({name for field in AMOUNTS for name in item.get(field) or {}}):
        found = {field: str((item.get(field) or {})[name]) for field in AMOUNTS if name in (item.get(field) or {})}
        for field, message in _disorder(found, name):
            yield status.invalid(f"{path}.{field}[{name}]", found[field], message)


# Lower, upper, the field that is named, and how the two are called.
_ORDER = (
    ("min", "max", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest", "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
)


def _disorder(found: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    for lower, upper, field, message in _ORDER:
        if lower in found and upper in found and quantity.compare(found[lower], found[upper]) > 0:
            yield field, message.format(found[lower], found[upper])
    ratio = found.get("maxLimitRequestRatio")
    if ratio is not None and quantity.parse(ratio) < 1:
        yield "maxLimitRequestRatio", f"ratio {ratio} is less than 1"
    if ratio is not None and {"min", "max"} <= found.keys():
        least, most = quantity.parse(found["min"]), quantity.parse(found["max"])
        widest = most / least if least else Decimal(0)
        if least and quantity.parse(ratio) > widest:
            yield "maxLimitRequestRatio", f"ratio {ratio} is greater than max/min = {widest:f}"
    fixed = name not in _OVERCOMMITTED and "/" in name
    if fixed and {"default", "defaultRequest"} <= found.keys() and found["default"] != found["defaultRequest"]:
        limit, request = found["default"], found["defaultRequest"]
        yield "defaultRequest", f"default value {limit} must equal to defaultRequest value {request} in {name}"
