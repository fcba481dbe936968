"""Checks of single fields, shared by the validations of all kinds, with Kubernetes' own words.

Each yields what is wrong. Paths are given as users write them: `spec.containers[0].name`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from dabbawala.api import names, object_meta
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.status import FieldError

Errors = Iterator[FieldError]
_PERCENT = re.compile(r"[0-9]+%")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def shown(value: object) -> str:
    """An object in a message, as JSON. A string that `status.invalid` would put in quotes is kept as it is."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()


def invalid_json(path: str, value: object, message: str) -> FieldError:
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {shown(value)}: {message}")


def not_found(path: str, value: str) -> FieldError:
    return FieldError(path, "FieldValueNotFound", f'Not found: "{value}"')


def at_least(value: int | None, minimum: int, path: str) -> Errors:
    if value is not None and value < minimum:
        relation = "greater than or equal to 0" if minimum == 0 else f"greater than {minimum - 1}"
        yield status.invalid(path, value, f"must be {relation}")


def one_of(value: str | None, allowed: Sequence[str], path: str) -> Errors:
    """Missing is `Required`, unknown is `NotSupported`."""
    if not value:
        yield status.required(path)
    elif value not in allowed:
        yield status.not_supported(path, value, allowed)


def named(value: str | None, check: Callable[[str], list[str]], path: str) -> Errors:
    if not value:
        yield status.required(path)
        return
    for message in check(value):
        yield status.invalid(path, value, message)


def optionally_named(value: str | None, check: Callable[[str], list[str]], path: str) -> Errors:
    if value:
        yield from named(value, check, path)


def port(value: object, path: str) -> Errors:
    """A port by number or, as strings, by name."""
    wrong = names.port_name(value) if isinstance(value, str) else names.port_number(value)
    for message in wrong:
        yield status.invalid(path, value, message)


def unique(values: Iterable[tuple[str, str | None]]) -> Errors:
    """(path, name) pairs of which no two names may be equal."""
    seen: set[str | None] = set()
    for path, value in values:
        if value in seen:
            yield status.duplicate(path, value)
        seen.add(value)


def int_or_percent(value: int | str | None, path: str) -> Errors:
    if value is None:
        return
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            message = (
                "a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            )
            yield status.invalid(path, value, message)
    else:
        yield from at_least(value, 0, path)


def amount(value: Any, path: str) -> Errors:
    """A quantity that is not negative."""
    try:
        if quantity.parse(value) < 0:
            yield status.invalid(path, value, "must be greater than or equal to 0")
    except ValueError as error:
        yield status.invalid(path, value, str(error))


def label_selector(selector: Mapping[str, Any] | None, path: str) -> Errors:
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        yield from object_meta.labels({key: value}, f"{path}.matchLabels")
    for index, term in enumerate((selector or {}).get("matchExpressions") or ()):
        yield from _expression(term, f"{path}.matchExpressions[{index}]")


def _expression(term: Mapping[str, Any], path: str) -> Errors:
    operator, values = term.get("operator"), term.get("values") or ()
    if operator not in _OPERATORS:
        yield status.invalid(f"{path}.operator", operator or "", "not a valid selector operator")
    if operator in ("In", "NotIn") and not values:
        yield status.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in ("Exists", "DoesNotExist") and values:
        yield status.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    for message in names.qualified_name(term.get("key") or ""):
        yield status.invalid(f"{path}.key", term.get("key") or "", message)


def is_empty_selector(selector: Mapping[str, Any] | None) -> bool:
    return not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions")


def exactly_one(holder: Mapping[str, Any], choices: Sequence[str], path: str, *, none: str, many: str) -> Errors:
    """Exactly one of `choices` is set in `holder`."""
    chosen = [choice for choice in choices if holder.get(choice) is not None]
    if not chosen:
        yield status.required(path, none)
    for extra in chosen[1:]:
        yield status.forbidden(f"{path}.{extra}", many)
