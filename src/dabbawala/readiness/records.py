"""The record of a check: everything that it looked at, what it said, and who signed that; and whether it still holds.

`problems_of` needs no cluster. It believes nothing that the record says about itself: it hashes again, checks every
signature against the verifier's own keys, and judges all 42 items again from what was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from dabbawala.api import readiness_v1alpha1
from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import assessment, canonical, chain, snapshot, verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import ITEMS
from dabbawala.readiness.chain import Problem
from dabbawala.readiness.evidence import CLOCK_SKEW, content
from dabbawala.readiness.judgement import Result
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.outputs import as_json
from dabbawala.readiness.signing import Signer, Trust

KIND = "ReadinessRecord"
RECORD = "the record"


class BadRecord(Exception):
    """What was read is no record of a check."""


def made(observed: Observed, found: Assessment, signer: Signer) -> Object:
    """The record of a check, signed."""
    body: Object = {
        "apiVersion": f"{readiness_v1alpha1.GROUP}/v1alpha1",
        "kind": KIND,
        "profile": found.verdict.profile,
        "trusted": observed.trust.names,
        "observed": snapshot.to_json(observed),
        "verdict": as_json.document(found),
    }
    body["hash"] = canonical.digest(body)
    return {**body, "signature": signer.sign(body)}


def observed_in(record: Any, trust: Trust) -> Observed:
    """What a record has seen. Raises BadRecord."""
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise BadRecord(f"this is no {KIND}; `dabba readiness export` writes one")
    try:
        found = snapshot.from_json(record["observed"], trust)
        assert found.chain is not None, "a chain that cannot be read makes it no record"
        if record["profile"] not in verdict.PROFILES:
            raise ValueError(f"there is no profile {record['profile']!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecord(f"this {KIND} cannot be read: {type(error).__name__}: {error}") from error
    return found


def problems_of(record: Object, trust: Trust, now: datetime, earlier: Object | None = None) -> list[Problem]:
    """Why the record does not hold now; empty when it does. Raises BadRecord."""
    observed = observed_in(record, trust)
    found = list(_seal(record, trust))
    try:
        found += _within(record, observed, now)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found.append(Problem(RECORD, f"what it saw cannot be judged: {type(error).__name__}: {error}"))
    if observed.now > now + CLOCK_SKEW:
        found.append(Problem(RECORD, f"it says that it was made in the future, at {clock.format_time(observed.now)}"))
    if earlier is not None:
        found += _lost(earlier, observed, trust)
    return found


def _within(record: Object, observed: Observed, now: datetime) -> list[Problem]:
    found = [*observed.chain.problems, *_evidence(observed)]
    again = assessment.assess(observed, record["profile"])
    return [*found, *_differences(record, again), *_gone_stale(observed, again, now)]


def _lost(earlier: Object, observed: Observed, trust: Trust) -> list[Problem]:
    """What an earlier record shows to be gone. One of another service, or an altered one, shows nothing."""
    before = observed_in(earlier, trust)
    if (before.namespace, before.service) != (observed.namespace, observed.service):
        other = f"{before.namespace}/{before.service}"
        return [
            Problem("the earlier record", f"it is about {other}, not about {observed.namespace}/{observed.service}")
        ]
    seal = [Problem("the earlier record", reason) for _, reason in _seal(earlier, trust)]
    return seal or chain.lost(before.chain, observed.chain)


def _seal(record: Object, trust: Trust) -> Iterator[Problem]:
    body = {name: value for name, value in record.items() if name not in ("hash", "signature")}
    if record.get("hash") != canonical.digest(body):
        yield Problem(RECORD, "altered: its hash is not that of what it holds")
    against = trust.objection({**body, "hash": record.get("hash")}, record.get("signature"))
    if against:
        yield Problem(RECORD, against)


def _evidence(observed: Observed) -> Iterator[Problem]:
    """Signatures of all evidence, also of what the verdict did not stand on."""
    for record in observed.chain.records:
        signature = record.spec.get("signature")
        against = observed.trust.objection(content(record.namespace, record.spec), signature) if signature else ""
        if against:
            yield Problem(str(record), against)


def _differences(record: Object, again: Assessment) -> Iterator[Problem]:
    """Where what was said is not what follows from what was seen."""
    said, follows = record.get("verdict") or {}, as_json.document(again)
    if canonical.encode(said) == canonical.encode(follows):
        return
    recorded = {item["id"]: item for category in said.get("categories") or () for item in category["items"]}
    differ = False
    for category in follows["categories"]:
        for item in category["items"]:
            claimed = recorded.get(item["id"], {}).get("result")
            if claimed != item["result"]:
                differ = True
                reason = f"the record says {claimed}, but what it saw gives {item['result']}: {item['message']}"
                yield Problem(item["id"], reason)
    if said.get("verdict") != follows["verdict"]:
        differ = True
        yield Problem("the verdict", f"the record says {said.get('verdict')}, but it follows {follows['verdict']}")
    if not differ:
        yield Problem("the verdict", "its words are not those that follow from what the record saw")


def _gone_stale(observed: Observed, again: Assessment, now: datetime) -> Iterator[Problem]:
    """Evidence that carried a pass then and counts no more."""
    by_name = {str(record): record for record in observed.chain.records}
    limits = {item.id: timedelta(days=item.days) for item in ITEMS}
    for item_id, said in again.results.items():
        for proof in said.proofs if said.result is Result.PASS else ():
            record = by_name.get(proof.reference)
            against = chain.staleness(record, now, limits[item_id]) if record is not None else ""
            if against:
                yield Problem(proof.reference, f"{against} ({item_id} stood on it)")
