"""The vulnerability gate of a pipeline: what is too bad to be deployed, unless accepted for a while. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dabbawala.guard.images.records import SEVERITIES, Vulnerability
from dabbawala.guard.images.state import State


@dataclass(frozen=True, slots=True)
class Passage:
    """What the gate says: `unknown` are images of which nothing is known, with the reason; they do not pass."""

    blocking: tuple[tuple[str, Vulnerability], ...]
    accepted: tuple[tuple[str, Vulnerability, str], ...]
    unknown: tuple[tuple[str, str], ...]

    @property
    def status(self) -> int:
        """Exit status: 1 something blocks, 2 something is not known, 0 otherwise."""
        return 1 if self.blocking else 2 if self.unknown else 0


def of(states: Iterable[State], severity: str, *, only_fixable: bool = False) -> Passage:
    """Of these images, with all vulnerabilities from a severity on; those that nobody rated count too."""
    known = list(states)
    counted = {*SEVERITIES[: SEVERITIES.index(severity) + 1], "unknown"}
    blocking = []
    for state in known:
        waived = {found for found, _ in state.accepted}
        blocking += [
            (str(state.name), found)
            for found in state.vulnerabilities
            if found.severity in counted and found not in waived and (found.fixed or not only_fixable)
        ]
    accepted = tuple(
        (str(state.name), found, why) for state in known for found, why in state.accepted if found.severity in counted
    )
    unknown = tuple((str(state.name), state.reason) for state in known if state.word in ("error", "unknown"))
    return Passage(tuple(blocking), accepted, unknown)
