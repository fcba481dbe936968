"""What the store holds: bodies under keys, each with the revision that wrote it, and the events between them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Key(NamedTuple):
    """`resource` is `Kind.resource`, such as `deployments.apps`; `namespace` is empty for cluster-scoped kinds."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Entry:
    """One version of one object, immutable. `view` is for the reader: what it parsed out of the body, once."""

    __slots__ = ("body", "key", "revision", "view")

    def __init__(self, key: Key, revision: int, body: bytes) -> None:
        self.key = key
        self.revision = revision
        self.body = body
        self.view: Any = None

    def __repr__(self) -> str:
        return f"Entry({self.key}@{self.revision})"


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Event:
    """A change: `entry` is the new version (for DELETED the last one, under the revision of the deletion), and
    `previous` the version before it (None for ADDED). Shared by all watchers."""

    __slots__ = ("entry", "previous", "type")

    def __init__(self, type_: EventType, entry: Entry, previous: Entry | None) -> None:
        self.type = type_
        self.entry = entry
        self.previous = previous

    def __repr__(self) -> str:
        return f"Event({self.type} {self.entry!r})"
