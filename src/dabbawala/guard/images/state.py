"""What is to be said of one image now: every question of the checks, answered with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from dabbawala.guard.images import support
from dabbawala.guard.images.answers import Answer, bad, good, unknown
from dabbawala.guard.images.archive import Archive, Heard
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import (
    SEVERITIES,
    UNTOLD,
    Attested,
    Config,
    Leak,
    Misconfiguration,
    Sbom,
    Scan,
    Vulnerability,
)
from dabbawala.guard.images.terms import Terms

SHOWN_MAX = 5
"""Vulnerabilities that a sentence names."""
QUESTIONS = ("overdue", "returned", "exploited", "sbom", "support", "leaks", "user", "fresh", "signed")


class Reports(NamedTuple):
    """What is known of images, and by what they are judged."""

    archive: Archive
    terms: Terms


@dataclass(frozen=True, slots=True)
class Due:
    """A vulnerability with a fix: since when it can be known, and the last instant to have it fixed."""

    vulnerability: Vulnerability
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class State:
    """`word` is all of it in one: error, unknown, exploited, overdue, vulnerable, clean. `accepted` are vulnerabilities
    for which a dated exception holds, with its words."""

    name: Name
    word: str
    reason: str
    scanned: datetime | None
    vulnerabilities: tuple[Vulnerability, ...]
    overdue: tuple[Due, ...]
    exploited: tuple[tuple[Vulnerability, str], ...]
    returned: tuple[str, ...]
    accepted: tuple[tuple[Vulnerability, str], ...]
    leaks: tuple[Leak, ...]
    config: Config | None
    misconfigurations: tuple[Misconfiguration, ...]
    answers: dict[str, Answer]

    def count(self, severity: str) -> int:
        return sum(found.severity == severity for found in self.vulnerabilities)


def of(name: Name, archive: Archive, terms: Terms, now: datetime) -> State:
    """The state of an image."""
    heard = archive.heard(name, now, terms.scan_age_days)
    vulnerable = _newest(heard.scans, "vulnerabilities", each=True)
    seen = _together(vulnerable)
    text = name.repository
    accepted = [(found, words) for found in seen if (words := terms.accepting("IMG-07", found, text))]
    due = [one for found in seen if (one := _due(found, name, archive, terms)) is not None]
    waived = {found for found, _ in accepted}
    overdue = tuple(one for one in due if one.until < now and one.vulnerability not in waived)
    exploited = tuple(
        (found, why)
        for found in seen
        if (why := terms.exploits.why(found)) and not terms.accepting("IMG-08", found, text)
    )
    returned = tuple(
        sorted(
            found
            for found in {one for scan in vulnerable for one in archive.returned(name, scan)}
            if not any(terms.accepting("IMG-17", one, text) for one in seen if one.id == found)
        )
    )
    answers = {
        **_of_vulnerabilities(heard, vulnerable, (overdue, exploited, returned), _untold(seen, terms)),
        **_of_records(name, archive, heard, terms, now),
    }
    leaks = next((scan.leaks for scan in heard.scans if scan.leaks is not None), None)
    config = next((scan.config for scan in heard.scans if scan.config is not None), None)
    wrong = next((scan.misconfigurations for scan in heard.scans if scan.misconfigurations is not None), None)
    word = _word(heard, bool(vulnerable), [exploited, overdue, seen])
    scanned = heard.scans[0].at if heard.scans else None
    reason = heard.reason or (_UNSEARCHED if heard.scans and not vulnerable else "")
    return State(
        name, word, reason, scanned, tuple(seen), overdue, exploited, returned, tuple(accepted), leaks or (), config,
        wrong or (), answers,
    )  # fmt: skip


def _together(scans: Iterable[Scan]) -> list[Vulnerability]:
    """What all scanners saw. Where one names the fix, what another does not tell of it is left out."""
    found = {one for scan in scans for one in scan.vulnerabilities or ()}
    told = {(one.id, one.package) for one in found if one.fixed != UNTOLD}
    kept = (one for one in found if one.fixed != UNTOLD or (one.id, one.package) not in told)
    return sorted(kept, key=Vulnerability.sort_key)


_UNSEARCHED = "no report has looked for vulnerabilities of packages"


def _word(heard: Heard, known: bool, found: Sequence[Sequence[object]]) -> str:
    if not heard.scans or not known:
        return "error" if heard.broken else "unknown"
    words = zip(("exploited", "overdue", "vulnerable"), found, strict=True)
    return next((word for word, some in words if some), "clean")


def _newest(scans: Iterable[Scan], field: str, *, each: bool = False) -> list[Scan]:
    """The newest scans that tell the field, of each scanner."""
    found: dict[str, Scan] = {}
    for scan in scans:
        if getattr(scan, field) is not None:
            found.setdefault(scan.scanner if each else "", scan)
    return list(found.values())


def _due(found: Vulnerability, name: Name, archive: Archive, terms: Terms) -> Due | None:
    days = terms.deadline_days.get(found.severity)
    if not found.fixed or days is None:
        return None
    since = found.published or archive.first_seen(name, found)
    return None if since is None else Due(found, since, since + timedelta(days=days))


def _untold(seen: Iterable[Vulnerability], terms: Terms) -> bool:
    """Whether nobody can tell of some bad one if it is exploited."""
    return any(found.severity in SEVERITIES[:2] and terms.exploits.why(found) is None for found in seen)


def _of_vulnerabilities(
    heard: Heard,
    scans: Sequence[Scan],
    found: tuple[Sequence[Due], Sequence[tuple[Vulnerability, str]], Sequence[str]],
    untold: bool,
) -> dict[str, Answer]:
    if not scans:
        answer = unknown(heard.reason or _UNSEARCHED)
        return {"overdue": answer, "exploited": answer, "returned": answer}
    overdue, exploited, returned = found
    listed = [f"{one.vulnerability.id} in {one.vulnerability.package} since {one.until:%Y-%m-%d}" for one in overdue]
    named = [f"{one.id} in {one.package} ({why})" for one, why in exploited]
    unsure = unknown("nobody says what is exploited: give the KEV catalogue or EPSS scores")
    return {
        "overdue": bad("past the deadline: " + several(listed)) if listed else good(),
        "exploited": bad(several(named)) if named else unsure if untold else good(),
        "returned": bad("back after they were fixed: " + several(list(returned))) if returned else good(),
    }


def several(listed: Sequence[str]) -> str:
    rest = len(listed) - SHOWN_MAX
    return ", ".join(listed[:SHOWN_MAX]) + (f" and {rest} more" if rest > 0 else "")


def _of_records(name: Name, archive: Archive, heard: Heard, terms: Terms, now: datetime) -> dict[str, Answer]:
    leaks = next((scan.leaks for scan in heard.scans if scan.leaks is not None), None)
    config = next((scan.config for scan in heard.scans if scan.config is not None), None)
    system = next((scan.distribution for scan in heard.scans if scan.distribution is not None), None)
    silent = heard.reason or "no report tells"
    return {
        "leaks": _leaks(leaks, heard),
        "user": unknown(f"how the image starts: {silent}") if config is None else _user(config),
        "support": support.answer(system, now) if heard.scans else unknown(silent),
        "sbom": _sbom(name, archive),
        "signed": _signed(name, archive),
        "fresh": _fresh(heard, terms, now),
    }


def _leaks(leaks: tuple[Leak, ...] | None, heard: Heard) -> Answer:
    if leaks is None:
        return unknown(heard.reason or "no report says that it has looked for secrets")
    return bad(several([f"{leak.title or leak.rule} in {leak.file}" for leak in leaks])) if leaks else good()


def _user(config: Config) -> Answer:
    return bad(f"it starts as {'root' if not config.user else 'user ' + config.user}") if config.root else good()


def _fresh(heard: Heard, terms: Terms, now: datetime) -> Answer:
    if not heard.scans:
        return bad(f"not scanned within {terms.scan_age_days:g} days: {heard.reason}")
    created = next((scan.created for scan in heard.scans if scan.created is not None), None)
    if created is None:
        return unknown("no report says when it was built")
    days = (now - created).days
    return bad(f"it was built {days} days ago") if days > terms.image_age_days else good()


def _sbom(name: Name, archive: Archive) -> Answer:
    if any(isinstance(record, Sbom) for record in archive.filed(name)):
        return good()
    if not archive.has_sboms:
        return unknown("no SBOMs were given")
    other = [record for record in archive.others(name) if isinstance(record, Sbom)]
    return bad(f"{other[-1].source} is of other bytes, not of {name.digest}" if other else "there is no SBOM of it")


def _signed(name: Name, archive: Archive) -> Answer:
    found = [record for record in archive.filed(name) if isinstance(record, Attested)]
    other = [record for record in archive.others(name) if isinstance(record, Attested)]
    if any(not record.provenance for record in found):
        return good() if any(record.provenance for record in found) else bad("it is signed, but has no provenance")
    if found:
        return bad("it has a provenance, but is not signed")
    if other:
        return bad(f"the record {other[-1].source} is of {other[-1].digest}, not of {name.digest}")
    return unknown("no record says that its signature was verified")
