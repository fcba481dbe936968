"""Whether a distribution still gets fixes: by the scanner's word, or by our table of ends of support."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dabbawala.guard.images.answers import Answer, bad, good, unknown
from dabbawala.guard.images.records import Distribution
from dabbawala.guard.relations.tables import rows

_FILE = "end_of_support.txt"
_ALIASES = {
    "rhel": "redhat", "red": "redhat", "rockylinux": "rocky", "almalinux": "alma", "amzn": "amazon",
    "amazonlinux": "amazon", "ol": "oracle", "oraclelinux": "oracle", "opensuse.leap": "opensuse-leap",
    "suse linux enterprise server": "sles",
}  # fmt: skip


def answer(found: Distribution | None, now: datetime) -> Answer:
    """Whether what an image is built on is supported."""
    if found is None:
        return unknown("no report names the distribution that the image is built on")
    until = end(found)
    if found.ended:
        return bad(f"{found} is out of support, says the scanner")
    if until is None:
        return unknown(f"until when {found} is supported is not in the table")
    if until <= now:
        return bad(f"{found} has had no security fixes since {until - timedelta(days=1):%Y-%m-%d}")
    return good()


def end(found: Distribution) -> datetime | None:
    """The first instant without support; None where the table does not know."""
    family = found.family.lower()
    family = _ALIASES.get(family, family)
    parts = (found.version.split() or [""])[0].split(".")
    releases = {release: until for name, release, until in rows(_FILE) if name == family}
    for size in range(len(parts), 0, -1):
        if (until := releases.get(".".join(parts[:size]), releases.get("-"))) is not None:
            return _instant(until)
    return None


def _instant(until: str) -> datetime:
    if until == "rolling":
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromisoformat(until).replace(tzinfo=UTC) + timedelta(days=1)
