"""The way of a check into a cluster: first the audit log hears of it, then whoever writes, then it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Stage(StrEnum):
    AUDIT = "audit"
    """Failures go into the audit log; nobody notices."""
    WARN = "warn"
    """Whoever writes is told, as kubectl prints warnings; everything is let in."""
    DENY = "deny"
    """What fails is refused."""

    @property
    def actions(self) -> tuple[str, ...]:
        """The `validationActions` of a binding. Deny and Warn exclude each other."""
        return _ACTIONS[self]

    @property
    def next(self) -> Stage:
        """DENY is the last one."""
        return _ORDER[min(_ORDER.index(self) + 1, len(_ORDER) - 1)]

    def __lt__(self, other: str) -> bool:
        return _ORDER.index(self) < _ORDER.index(Stage(other))


_ORDER = (Stage.AUDIT, Stage.WARN, Stage.DENY)
_ACTIONS = {Stage.AUDIT: ("Audit",), Stage.WARN: ("Warn", "Audit"), Stage.DENY: ("Deny", "Audit")}


def of_actions(actions: Iterable[str]) -> Stage | None:
    """The stage that a binding's actions amount to; None where nobody is told anything."""
    given = set(actions)
    return next((stage for stage in reversed(_ORDER) if stage.actions[0] in given), None)
