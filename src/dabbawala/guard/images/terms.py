"""By what images are judged: how long a fix may take, how old a scan may be, what counts as exploited.

The deadlines are ours and can be set: PCI DSS 6.3.3 asks for critical fixes within a month of their release, RBI's ITG
26(e) for a time that the bank binds itself to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import orjson

from dabbawala.guard.images import fields
from dabbawala.guard.images.limits import DEADLINE_DAYS, EPSS_LEAST, IMAGE_AGE_DAYS_MAX, SCAN_AGE_DAYS_MAX
from dabbawala.guard.images.records import SEVERITIES, Malformed, Vulnerability

Accepting = Callable[[str, Vulnerability, str], str]
"""Who accepted a finding of a check about an image, and until when; empty if nobody did."""


def _nobody(check: str, found: Vulnerability, image: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Exploits:
    """What is known to be exploited beside what reports say: CISA's catalogue, EPSS's probabilities; None if not
    given."""

    known: Set[str] | None = None
    epss: Mapping[str, float] | None = None

    def why(self, found: Vulnerability) -> str | None:
        """Why it counts as exploited; empty if it does not, None if nobody can tell."""
        probability = (self.epss or {}).get(found.id, found.epss)
        if found.exploited or found.id in (self.known or ()):
            return "known to be exploited"
        if probability is not None and probability >= EPSS_LEAST:
            return f"exploited within 30 days with a probability of {probability:.0%}"
        return None if self.known is None and self.epss is None and found.exploited is None else ""


def catalogue(data: bytes) -> frozenset[str]:
    """The CVEs of CISA's Known Exploited Vulnerabilities in JSON. Raises Malformed."""
    try:
        report: Any = orjson.loads(data)
    except orjson.JSONDecodeError as wrong:
        raise Malformed(f"it is no JSON, or was cut off: {wrong}") from wrong
    found = frozenset(fields.text(one, "cveID") for one in fields.objects(report, "vulnerabilities")) - {""}
    if not found:
        raise Malformed("it lists no cveID: it is not the catalogue known_exploited_vulnerabilities.json")
    return found


def probabilities(data: bytes) -> dict[str, float]:
    """The CSV of EPSS scores: `cve,epss,percentile` after a comment. Raises Malformed."""
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].split(",")[:2] != ["cve", "epss"] or len(lines) < 2:
        raise Malformed("it does not begin with cve,epss: it is not the CSV of EPSS scores")
    try:
        return {cve: float(epss) for cve, epss, *_ in (line.split(",") for line in lines[1:])}
    except ValueError as wrong:
        raise Malformed(f"a line is no `cve,epss,…`: {wrong}") from wrong


def deadlines(given: Mapping[str, int]) -> Mapping[str, int]:
    """The table with some days set otherwise. Raises ValueError."""
    for severity, days in given.items():
        if severity not in SEVERITIES or days < 0:
            raise ValueError(f"{severity}={days}: name one of {', '.join(SEVERITIES)}, and days from 0 on")
    return {**DEADLINE_DAYS, **given}


@dataclass(frozen=True, slots=True)
class Terms:
    """All of it; `accepting` knows the exceptions."""

    deadline_days: Mapping[str, int] = field(default_factory=lambda: DEADLINE_DAYS)
    scan_age_days: float = SCAN_AGE_DAYS_MAX
    image_age_days: float = IMAGE_AGE_DAYS_MAX
    exploits: Exploits = field(default_factory=Exploits)
    accepting: Accepting = _nobody
