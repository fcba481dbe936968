"""Conditions: what a controller has observed of an object, one entry per type. Source: meta/v1 Condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition to be set; `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str
    message: str = ""
    observed_generation: int | None = None


def find(obj: Mapping[str, Any], type_: str) -> Object | None:
    """The condition of that type in `obj.status.conditions`."""
    return find_in((obj.get("status") or {}).get("conditions") or (), type_)


def find_in(conditions: Iterable[Object], type_: str) -> Object | None:
    for item in conditions:  # a loop, because this is asked of every pod of a set: half the time of a generator
        if item.get("type") == type_:
            return item
    return None


def is_true(obj: Mapping[str, Any], type_: str) -> bool:
    found = find(obj, type_)
    return found is not None and found.get("status") == "True"


def put(conditions: Iterable[Object], condition: Condition, now: datetime) -> list[Object]:
    """A new list with the condition in it; lastTransitionTime moves only when its status changes."""
    kept = list(conditions)
    old = find_in(kept, condition.type)
    moved = old is None or old.get("status") != condition.status
    entry: Object = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": clock.format_time(now) if moved or old is None else old["lastTransitionTime"],
    }
    if condition.observed_generation is not None:
        entry["observedGeneration"] = condition.observed_generation
    if old is None:
        return [*kept, entry]
    return [{**item, **entry} if item is old else item for item in kept]
