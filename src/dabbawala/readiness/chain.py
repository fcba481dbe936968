"""A service's chain of evidence: whether it is whole, and which of its records count now.

The chain is whole when every record has the hash of what it says, follows the one before by number and by hash, and
stands under its own name. When it is not, none of it counts: what is missing may be what speaks against the service.
A whole chain may have lost its end; only an earlier export knows that, and `lost` compares with one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from dabbawala.api import readiness_v1alpha1
from dabbawala.readiness.evidence import CLOCK_SKEW, Evidence, content, link_hash
from dabbawala.readiness.signing import Trust


class Problem(NamedTuple):
    """What is wrong with one record, or with the place where one should be."""

    record: str
    reason: str

    def __str__(self) -> str:
        return f"{self.record}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Chain:
    """`problems` are those of the chain as a whole."""

    records: tuple[Evidence, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def last(self) -> Evidence | None:
        return self.records[-1] if self.records else None


def of(found: Iterable[Evidence], service: str, namespace: str) -> Chain:
    """The chain of one service; records of others are left out."""
    own = [item for item in found if (item.service, item.namespace) == (service, namespace)]
    records = tuple(sorted(own, key=lambda item: (item.sequence, item.name)))
    return Chain(records, tuple(_problems(records, service, namespace)))


def _problems(records: Sequence[Evidence], service: str, namespace: str) -> list[Problem]:
    found: list[Problem] = []
    before: Evidence | None = None
    for record in records:
        found += [Problem(str(record), reason) for reason in _wrong(record)]
        expected = 1 if before is None else before.sequence + 1
        if record.sequence > expected:
            gap = f"{readiness_v1alpha1.name_of(service, expected)}"
            reason = f"missing: the next in the chain is {record.name}; restore it from an export"
            found.append(Problem(f"Evidence {namespace}/{gap}", reason))
        elif record.sequence < expected:
            found.append(Problem(str(record), f"a second record with the sequence {record.sequence}"))
        elif before is not None and record.previous != before.hash:
            found.append(
                Problem(str(record), f"does not follow {before.name}: one of the two was replaced or reordered")
            )
        before = record
    return found


def _wrong(record: Evidence) -> list[str]:
    found = []
    if record.name != readiness_v1alpha1.name_of(record.service, record.sequence):
        found.append(f"stands under a wrong name for the sequence {record.sequence}")
    if record.hash != link_hash(record.namespace, record.spec):
        found.append("altered: its hash is not that of what it says")
    try:
        if record.expires <= record.observed_at:
            found.append("expires before it was observed")
    except (KeyError, ValueError):
        found.append("has no valid observedAt and expires")
    return found


def objection(record: Evidence, trust: Trust, now: datetime, age_max: timedelta | None = None) -> str:
    """Why a record of a whole chain does not count now; empty when it does. An attestation may be unsigned: it is a
    person's word, and says so."""
    signature = record.spec.get("signature")
    if signature or record.type != readiness_v1alpha1.ATTESTATION:
        unsigned = trust.objection(content(record.namespace, record.spec), signature)
        if unsigned:
            return unsigned
    if record.observed_at > now + CLOCK_SKEW:
        return f"it says that it was observed in the future, at {record.spec['observedAt']}"
    return staleness(record, now, age_max)


def staleness(record: Evidence, now: datetime, age_max: timedelta | None = None) -> str:
    """Why a record is too old; empty when it is not."""
    if now >= record.expires:
        return f"stale: it expired at {record.spec['expires']}"
    if age_max is not None and now - record.observed_at > age_max:
        return f"stale: observed at {record.spec['observedAt']}, and it counts for {age_max.days} days"
    return ""


def lost(earlier: Chain, later: Chain) -> list[Problem]:
    """Records that an earlier look has seen and the later has not, or not as they were."""
    known = {record.sequence: record.hash for record in later.records}
    return [
        Problem(str(record), "missing: an earlier export has it" if now is None else "replaced since an earlier export")
        for record in earlier.records
        if (now := known.get(record.sequence)) != record.hash
    ]
