"""What a kind makes of an object, without a server: its defaults, its refusals, its row."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from dabbawala.api.kind import Kind

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def prepared(kind: Kind, obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    obj = copy.deepcopy(obj)
    kind.default(obj)
    kind.prepare(obj, old)
    return obj


def wrong(kind: Kind, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [f"{error.field}: {error.message}" for error in kind.validate(prepared(kind, obj, old), old)]


def row(kind: Kind, obj: dict[str, Any], *, wide: bool = False) -> list[object]:
    return [column.read(obj, NOW) for column in kind.columns if column.read and (wide or not column.priority)]
