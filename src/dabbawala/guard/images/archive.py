"""All records about images, found by digest or by name. Pure.

A record speaks for the digest that it looked at. Only who asks for a name without a digest gets what is filed under
the name. Every scan that was kept is history: by it, what was fixed and is back is seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import Attested, Record, Sbom, Scan, Unreadable, Vulnerability


@dataclass(frozen=True, slots=True)
class Heard:
    """The scans that count for an image, newest first; without any, why not: `broken` if there should be one."""

    scans: tuple[Scan, ...]
    reason: str = ""
    broken: bool = False


@dataclass(slots=True)
class _Filed:
    """Records by what they can be asked for by."""

    digests: dict[str, list[Record]] = field(default_factory=dict)
    keys: dict[str, list[Record]] = field(default_factory=dict)
    repositories: dict[str, list[Scan]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        for digest in digests_of(record):
            self.digests.setdefault(digest, []).append(record)
        name = Name.of(record.image) if record.image else None
        if name is not None and name.tag:
            self.keys.setdefault(name.key, []).append(record)
        if name is not None and isinstance(record, Scan):
            self.repositories.setdefault(name.repository, []).append(record)


def digests_of(record: Record) -> frozenset[str]:
    return frozenset((record.digest,)) if isinstance(record, Attested) else record.digests


class Archive:
    """`records` in any order; `problems` are those that tell nothing."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(sorted(set(records), key=lambda record: (record.source, repr(record))))
        self.problems = tuple(record for record in self.records if isinstance(record, Unreadable))
        self.has_sboms = any(isinstance(record, Sbom) for record in self.records)
        self._filed = _Filed()
        for record in self.records:
            self._filed.add(record)

    def heard(self, name: Name, now: datetime, age_days: float) -> Heard:
        """The scans of an image that are not too old."""
        named = self.filed(name)
        scans = sorted((one for one in named if isinstance(one, Scan)), key=_newest_first)
        recent = tuple(one for one in scans if now - one.at <= timedelta(days=age_days) and one.at <= now + _SKEW)
        if recent:
            return Heard(recent)
        broken = [one for one in named if isinstance(one, Unreadable)]
        if broken:
            return Heard((), f"{broken[0].source}: {broken[0].reason}", broken=True)
        if scans:
            return Heard((), f"the newest report, {scans[0].source}, is of {scans[0].at:%Y-%m-%d}: scan again")
        return Heard((), self._elsewhere(name))

    def filed(self, name: Name) -> list[Record]:
        """Of an image with a digest, those of the digest; otherwise those of the name, of what it last stood for."""
        if name.digest:
            found = list(self._filed.digests.get(name.digest, ()))
            return found + [one for one in self._under(name) if isinstance(one, Unreadable) and not one.digests]
        under = self._under(name)
        last = max((one for one in under if isinstance(one, Scan)), key=lambda one: one.at, default=None)
        return [one for one in under if last is None or not digests_of(one) or digests_of(one) & last.digests] + [
            one
            for digest in sorted(last.digests if last else ())
            for one in self._filed.digests[digest]
            if one not in under
        ]

    def others(self, name: Name) -> list[Record]:
        """What is filed under the name but of other digests."""
        return [one for one in self._under(name) if name.digest and name.digest not in digests_of(one)]

    def _under(self, name: Name) -> list[Record]:
        return self._filed.keys.get(name.key, []) if name.tag else []

    def _elsewhere(self, name: Name) -> str:
        other = [one for one in self.others(name) if isinstance(one, Scan)]
        if not other:
            return "no report is about it"
        if not other[-1].digests:
            return f"{other[-1].source} does not say of which digest it is, and {name.digest} runs"
        return f"{other[-1].source} is of another digest, {min(other[-1].digests)}, and {name.digest} runs"

    def first_seen(self, name: Name, found: Vulnerability) -> datetime | None:
        """When a scan of the repository first saw it."""
        seen = (scan.at for scan in self._history(name) if _holds(scan, found.id))
        return min(seen, default=None)

    def returned(self, name: Name, scan: Scan) -> frozenset[str]:
        """The CVEs of a scan that an earlier build had, a later one had not, and that are back."""
        builds = self._builds(name, scan)
        gone: set[str] = set()
        seen: set[str] = set()
        for build in builds:
            gone = (gone | (seen - build)) - build
            seen |= build
        return frozenset(gone & _ids(scan))

    def _builds(self, name: Name, scan: Scan) -> list[set[str]]:
        """What the same scanner saw in the builds before, each by its newest scan, in the order in which they were
        made."""
        newest: dict[Hashable, Scan] = {}
        for one in self._history(name):
            known = one.vulnerabilities is not None and one.scanner == scan.scanner and _made(one) < _made(scan)
            key = min(one.digests, default=one.image)
            if known and (key not in newest or newest[key].at < one.at):
                newest[key] = one
        return [_ids(one) for one in sorted(newest.values(), key=lambda one: (_made(one), one.at, one.source))]

    def _history(self, name: Name) -> list[Scan]:
        return self._filed.repositories.get(name.repository, [])


_SKEW = timedelta(hours=1)  # of the clocks of who scans and who asks


def _newest_first(scan: Scan) -> tuple[float, str, str]:
    return -scan.at.timestamp(), scan.scanner, scan.source


def _made(scan: Scan) -> datetime:
    return scan.created or scan.at


def _ids(scan: Scan) -> set[str]:
    return {found.id for found in scan.vulnerabilities or ()}


def _holds(scan: Scan, vulnerability: str) -> bool:
    return any(found.id == vulnerability for found in scan.vulnerabilities or ())
