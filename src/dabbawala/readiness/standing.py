"""Judging by evidence: the newest record that counts decides, and when none does, why.

A record counts when its chain is whole, a trusted key has signed it (an attestation may do without), its type is one
that the item accepts, and it is not too old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from dabbawala.api import readiness_v1alpha1
from dabbawala.api.readiness_v1alpha1 import IMPORTED
from dabbawala.readiness import chain
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.judgement import Item, Judgement, Proof, Result, unknown
from dabbawala.readiness.observed import Observed

NO_EVIDENCE = "no evidence"

Doubt = tuple[Result, str]
"""What the numbers of a record say against its own result."""
Examine = Callable[[Evidence], Doubt | None]


def by_evidence(observed: Observed, item: Item, examine: Examine | None = None) -> Judgement:
    unseen = observed.hidden.get(readiness_v1alpha1.EVIDENCE.resource, "")
    if unseen:
        return unknown(unseen)
    if observed.chain.problems:
        return unknown(f"no evidence counts, because its chain is broken: {observed.chain.problems[0]}")
    about = [record for record in observed.chain.records if record.item == item.id]
    objections = []
    for record in sorted(about, key=lambda record: (record.observed_at, record.sequence), reverse=True):
        against = objection(observed, item, record)
        if not against:
            return _judged(record, examine)
        objections.append(f"{record} does not count: {against}")
    if not objections:
        return unknown(f"{NO_EVIDENCE}; it takes {item.proof}")
    stale = any(chain.staleness(record, observed.now, timedelta(days=item.days)) for record in about)
    return Judgement(Result.UNKNOWN, objections[0], stale=stale)


def objection(observed: Observed, item: Item, record: Evidence) -> str:
    """Why a record does not count for the item; empty when it does."""
    if record.type not in item.accepts:
        return f"{record.type} is not enough here; it takes {' or '.join(item.accepts)}"
    return chain.objection(record, observed.trust, observed.now, timedelta(days=item.days))


def proof_of(record: Evidence) -> Proof:
    return Proof(str(record), str(record.spec["observedAt"]), record.hash, record.type)


def _judged(record: Evidence, examine: Examine | None) -> Judgement:
    result, message = Result(record.result), _said(record)
    doubt = examine(record) if examine is not None and result is Result.PASS else None
    if doubt is not None:
        result, message = doubt[0], f"{doubt[1]} ({message})"
    return Judgement(result, message, (proof_of(record),))


def _said(record: Evidence) -> str:
    owner = f", {record.spec['owner']} answers for it" if record.spec.get("owner") else ""
    signature = record.spec.get("signature") or {}
    by = f", signed by {signature['key']}" if record.type == IMPORTED and signature else ""
    statement = f": {record.spec['statement']}" if record.spec.get("statement") else ""
    return f"{record.type} of {record.spec['observedAt'][:10]} by {record.tool}{by}{owner}{statement}"


def first_that_knows(judgements: Iterable[Judgement]) -> Judgement:
    """The first that is not unknown; when all are, the one with the most to say about why."""
    found = list(judgements)
    stale = any(judgement.stale for judgement in found)
    for judgement in found:
        if judgement.result is not Result.UNKNOWN:
            return replace(judgement, stale=stale and judgement.result is not Result.PASS)
    return max(found, key=lambda item: (item.stale, not item.message.startswith(NO_EVIDENCE)))


def needs(record: Evidence, **limits: float) -> Doubt | None:
    """A doubt when a number is missing (unknown) or above its limit (fail)."""
    for field, limit in limits.items():
        value = record.number(field)
        if value is None:
            return Result.UNKNOWN, f"the record does not say {field}"
        if value > limit:
            return Result.FAIL, f"{field} is {value:g}, and may be {limit:g}"
    return None
