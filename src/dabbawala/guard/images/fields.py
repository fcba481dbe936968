"""Reading reports of any shape: a field has the type that its format gives it, or the report is malformed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.guard.images.records import Malformed

_FRACTION = re.compile(r"(\.\d{6})\d+")


def mapping(report: object, field: str) -> Mapping[str, Any]:
    """An object; empty where the field is missing. Raises Malformed."""
    return _typed(report, field, dict) or {}


def listed(report: object, field: str) -> list[Any]:
    """A list; empty where the field is missing. Raises Malformed."""
    return _typed(report, field, list) or []


def objects(report: object, field: str) -> list[Mapping[str, Any]]:
    """A list of objects. Raises Malformed."""
    found = listed(report, field)
    if not all(isinstance(item, dict) for item in found):
        raise Malformed(f"{field} holds something that is no object")
    return found


def text(report: object, field: str) -> str:
    """A text; empty where the field is missing. Raises Malformed."""
    return _typed(report, field, str) or ""


def texts(report: object, field: str) -> tuple[str, ...]:
    """A list of texts. Raises Malformed."""
    return tuple(str(item) for item in listed(report, field))


def number(report: object, field: str) -> float | None:
    """A number, None where there is none."""
    found = report.get(field) if isinstance(report, dict) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def moment(value: object) -> datetime | None:
    """An RFC 3339 time, with the nanoseconds that Go writes; None where there is none, or it is Go's zero."""
    if not isinstance(value, str) or not value or value.startswith("0001-"):
        return None
    try:
        return clock.parse_time(_FRACTION.sub(r"\1", value))
    except ValueError:
        return None


def _typed(report: object, field: str, wanted: type[Any]) -> Any:
    found = report.get(field) if isinstance(report, dict) else None
    if found is not None and not isinstance(found, wanted):
        raise Malformed(f"{field} is no {wanted.__name__}")
    return found
