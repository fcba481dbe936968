"""The one list of the 42 items, in their seven categories. Source: scenario S062."""

from __future__ import annotations

from functools import cache

from dabbawala.readiness.items import (
    compliance,
    continuity,
    infrastructure,
    monitoring,
    performance,
    recovery,
    security,
)
from dabbawala.readiness.judgement import Item

CATEGORIES = (
    infrastructure.CATEGORY,
    security.CATEGORY,
    compliance.CATEGORY,
    monitoring.CATEGORY,
    recovery.CATEGORY,
    performance.CATEGORY,
    continuity.CATEGORY,
)
ITEMS = tuple(item for category in CATEGORIES for item in category.items)


@cache
def by_id() -> dict[str, Item]:
    return {item.id: item for item in ITEMS}
