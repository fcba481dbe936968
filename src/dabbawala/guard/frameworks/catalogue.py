"""Frameworks: their clauses, and which checks look at each.

A clause is `machine` where configuration decides it, `evidence` where a dated record does, and `attestation` where
somebody's word must. Numbers are those of the source, titles our own. Which checks support evidence for a clause, and
how strongly, the checks say themselves; a clause whose text nobody here has read looks at what other clauses look at,
and what it finds there only supports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dabbawala.guard.checks import Check, Control

FOLDER = Path(__file__).parent / "clauses"
NAMED = Path(__file__).parent / "named.yaml"
MACHINE, EVIDENCE, ATTESTATION = "machine", "evidence", "attestation"
KINDS = (MACHINE, EVIDENCE, ATTESTATION)
NOT_VERIFIED = "not verified"
SUPPORTING = "supporting"


class NoSuchFramework(Exception):
    """Nothing has this name; the message lists what has one."""


@dataclass(frozen=True, slots=True)
class Clause:
    """`keep` is the evidence to keep; `verified` says who has read its text and when; `like` names clauses of other
    frameworks whose checks it shares."""

    framework: str
    id: str
    title: str
    kind: str
    keep: str
    verified: str
    like: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.framework}/{self.id}"


@dataclass(frozen=True, slots=True)
class Framework:
    """`whole` tells whether all of its clauses are here."""

    name: str
    title: str
    family: str
    about: str
    whole: bool
    verified: str
    clauses: tuple[Clause, ...]

    @property
    def standing(self) -> str:
        """When and how what supports it was verified, as a sentence."""
        known = self.verified != NOT_VERIFIED
        return f"Mapping of {self.verified}." if known else "The mapping is not verified."


@dataclass(frozen=True, slots=True)
class Support:
    """That a check looks at a clause, and how far what it says goes."""

    check: str
    control: Control


@dataclass(frozen=True, slots=True)
class Named:
    """A question under a name of its own, such as `data_residency_check`: some clauses together. `settings` are what
    manifests may declare about it, names with the pattern of their value."""

    name: str
    title: str
    framework: str
    clauses: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()
    flag: bool = False


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Framework]:
    """All frameworks by name, in the order of names."""
    found = [_framework(_loaded(path)) for path in FOLDER.glob("*.yaml")]
    return {framework.name: framework for framework in sorted(found, key=lambda framework: framework.name)}


@lru_cache(maxsize=1)
def named() -> Mapping[str, Named]:
    return {row["name"]: _named(row) for row in _loaded(NAMED)}


def resolve(name: str) -> tuple[Framework, ...]:
    """The framework of that name, or all of a family (`rbi`). Raises NoSuchFramework."""
    known = shipped()
    found = tuple(framework for framework in known.values() if name in (framework.name, framework.family))
    if not found:
        families = sorted({framework.family for framework in known.values()} - known.keys())
        raise NoSuchFramework(f"there is no framework {name!r}; there are {', '.join([*families, *known])}")
    return found


def clauses(names: Iterable[str]) -> Iterator[Clause]:
    """By full name (`rbi-itg-2023/16`). Raises KeyError."""
    known = {clause.name: clause for framework in shipped().values() for clause in framework.clauses}
    return (known[name] for name in names)


def supports(checks: Iterable[Check]) -> Mapping[str, Sequence[Support]]:
    """By a clause's full name: the checks that look at it."""
    found: dict[str, list[Support]] = {}
    for check in checks:
        for control in check.controls:
            found.setdefault(f"{control.framework}/{control.clause}", []).append(Support(check.id, control))
    shared = {clause.name: _shared(clause, found) for each in shipped().values() for clause in each.clauses}
    return {**found, **{name: [*found.get(name, []), *more] for name, more in shared.items() if more}}


def _shared(clause: Clause, found: Mapping[str, Sequence[Support]]) -> list[Support]:
    own = {support.check for support in found.get(clause.name, ())}
    made: dict[str, Support] = {}
    for name in clause.like:
        for support in found.get(name, ()):
            reason = f"as for {name}: {support.control.reason}"
            control = replace(
                support.control, framework=clause.framework, clause=clause.id, strength=SUPPORTING, reason=reason
            )
            if support.check not in own:
                made.setdefault(support.check, Support(support.check, control))
    return list(made.values())


def _loaded(path: Path) -> Any:
    return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)


def _framework(said: Mapping[str, Any]) -> Framework:
    verified = _verified(said["verified"])
    made = tuple(
        Clause(
            framework=said["name"],
            id=row["id"],
            title=row["title"],
            kind=row["kind"],
            keep=row.get("evidence", said["evidence"]),
            verified=_verified(row["verified"]) if "verified" in row else verified,
            like=tuple(row.get("as", ())),
        )
        for row in said["clauses"]
    )
    return Framework(said["name"], said["title"], said["family"], said["about"], said["whole"], verified, made)


def _verified(said: str | Mapping[str, str]) -> str:
    return said if isinstance(said, str) else f"{said['date']}: {said['by']}"


def _named(row: Mapping[str, Any]) -> Named:
    settings = tuple(dict(row.get("settings", {})).items())
    return Named(row["name"], row["title"], row["framework"], tuple(row["clauses"]), settings, row.get("flag", False))
