"""The images that really run, and what is known of their vulnerabilities: by Trivy's operator, or by evidence.

A scan speaks for the digest that it looked at, and for no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.apimachinery import clock
from dabbawala.readiness.judgement import Item, Proof
from dabbawala.readiness.observed import Observed, is_recent
from dabbawala.readiness.sources import VULNERABILITY_REPORT
from dabbawala.readiness.standing import objection, proof_of

DIGEST = re.compile(r"[0-9a-f]{64}")
"""In an imageID: after `sha256:`, after `NAME@sha256:`, or alone."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Vulnerabilities of one image. `overdue` are those past their deadline; None where the source does not say.
    `failed` is what a record says of itself, whatever its numbers are."""

    at: datetime
    critical: int
    high: int
    score: float | None
    overdue: int | None
    proof: Proof
    failed: bool = False


def running(observed: Observed) -> dict[str, str]:
    """Digest -> image, of the containers of the workload's pods. An image without a digest stands for itself."""
    found = {}
    for pod in observed.pods:
        for state in (pod.get("status") or {}).get("containerStatuses") or ():
            digest = DIGEST.search(str(state.get("imageID", "")))
            image = str(state.get("image", ""))
            found[f"sha256:{digest[0]}" if digest else image] = image
    return dict(sorted(found.items()))


def scans(observed: Observed, item: Item) -> dict[str, Scan]:
    """Digest -> its newest scan that counts for the item."""
    found: dict[str, Scan] = {}
    for digest, scan in (*_by_operator(observed, timedelta(days=item.days)), *_by_evidence(observed, item)):
        if digest not in found or found[digest].at < scan.at:
            found[digest] = scan
    return found


def _by_operator(observed: Observed, age_max: timedelta) -> list[tuple[str, Scan]]:
    found = []
    for obj in observed.all(VULNERABILITY_REPORT):
        report = obj.get("report") or {}
        digest, summary = str((report.get("artifact") or {}).get("digest", "")), report.get("summary") or {}
        try:
            at = clock.parse_time(str(report.get("updateTimestamp")))
        except ValueError:
            continue
        if digest and is_recent(observed, at, age_max):
            counts = int(summary.get("criticalCount") or 0), int(summary.get("highCount") or 0)
            found.append((digest, Scan(at, *counts, None, None, observed.proof(obj))))
    return found


def _by_evidence(observed: Observed, item: Item) -> list[tuple[str, Scan]]:
    found = []
    for record in observed.chain.records if not observed.chain.problems else ():
        critical, high = record.number("critical"), record.number("high")
        if record.item != item.id or critical is None or high is None or objection(observed, item, record):
            continue
        overdue = record.number("overdue")
        scan = Scan(
            record.observed_at, int(critical), int(high), record.number("score"),
            None if overdue is None else int(overdue), proof_of(record), record.result != "pass",
        )  # fmt: skip
        found += [(str(subject["hash"]), scan) for subject in record.spec.get("subjects") or ()]
    return found
