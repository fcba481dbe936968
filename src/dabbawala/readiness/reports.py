"""What the last published scan says: results of `dabba guard scan --live --publish`, as PolicyReport objects.

A report says what a check found; that a check found nothing it says only by naming the checks that were asked, in the
annotation `guard.dabbawala.dev/checks`, or by a result `pass`. A check that neither names was not asked, and what was
not asked is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.api.wgpolicyk8s_v1alpha2 import CLUSTER_POLICY_REPORT, POLICY_REPORT
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness.evidence import CLOCK_SKEW
from dabbawala.readiness.judgement import Judgement, Proof, Result, failed, unknown
from dabbawala.readiness.observed import Observed

NAME = "dabbawala-guard"
CHECKS = "guard.dabbawala.dev/checks"
SCANNED_AT = "guard.dabbawala.dev/scanned-at"
AGE_MAX = timedelta(days=7)
"""A scan older than this says nothing about what runs now."""

SEVERITIES = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True)
class Scan:
    """The reports about one namespace and about the cluster. `asked` are ids of checks; `failing` their failures."""

    proofs: tuple[Proof, ...]
    asked: frozenset[str]
    failing: tuple[Object, ...]
    passing: int
    at: datetime | None

    def failures(self, prefixes: Iterable[str] = ("",), worst: str = "info") -> list[Object]:
        """Failing results of checks whose ids begin so, of that severity or a worse one, in the service's namespace or
        about it. What fails elsewhere is for others to answer for."""
        counted = SEVERITIES[: SEVERITIES.index(worst) + 1]
        begins = tuple(prefixes)
        return [
            item
            for item in self.failing
            if str(item.get("policy", "")).startswith(begins) and item.get("severity") in counted
        ]

    def was_asked(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.asked)


def scan(observed: Observed) -> Scan | None:
    """The published scan; None when there is none."""
    found = [
        report
        for kind in (POLICY_REPORT, CLUSTER_POLICY_REPORT)
        for report in observed.all(kind)
        if (meta.name(report) == NAME or meta.name(report).startswith(f"{NAME}-"))
        and meta.namespace(report) in ("", observed.namespace)
    ]
    if not found:
        return None
    results = [item for report in found for item in report.get("results") or ()]
    named = {part for report in found for part in meta.annotations(report).get(CHECKS, "").split(",") if part}
    moments = [at for report in found if (at := _time(report)) is not None]
    return Scan(
        tuple(observed.proof(report) for report in found),
        frozenset(named | {str(item.get("policy", "")) for item in results}),
        tuple(item for item in results if item.get("result") in ("fail", "error") and _is_of(item, observed.namespace)),
        sum(int((report.get("summary") or {}).get("pass") or 0) for report in found),
        min(moments, default=None),
    )


def fresh(observed: Observed) -> Scan | Judgement:
    """The scan, or why it cannot be gone by."""
    found = scan(observed)
    if found is None:
        return unknown(observed.unseen(POLICY_REPORT) or "no scan of the cluster has been published")
    if found.at is None:
        return unknown("the published scan has no date", *found.proofs)
    if observed.now - found.at < -CLOCK_SKEW:
        return unknown(f"the published scan says that it was made in the future, at {clock.format_time(found.at)}")
    if observed.now - found.at > AGE_MAX:
        message = f"the published scan is of {clock.format_time(found.at)}, older than {AGE_MAX.days} days"
        return Judgement(Result.UNKNOWN, message, found.proofs, stale=True)
    return found


def clean(observed: Observed, prefixes: tuple[str, ...], worst: str) -> Scan | Judgement:
    """The fresh scan if it asked such checks and none failed with that severity or worse, or what stands against it."""
    found = fresh(observed)
    if isinstance(found, Judgement):
        return found
    bad = found.failures(prefixes, worst)
    if bad:
        return failed(f"{len(bad)} findings of the scan: {'; '.join(_lines(bad))}", *found.proofs)
    missing = [prefix for prefix in prefixes if not found.was_asked(prefix)]
    if missing:
        return unknown(f"the published scan did not ask checks {missing[0]}…", *found.proofs)
    return found


def _is_of(result: Object, namespace: str) -> bool:
    return any(
        resource.get("namespace") == namespace
        or (resource.get("kind"), resource.get("name")) == ("Namespace", namespace)
        for resource in result.get("resources") or ()
    )


def _lines(results: list[Object], most: int = 3) -> Iterator[str]:
    for item in results[:most]:
        resource: Object = next(iter(item.get("resources") or ()), {})
        yield f"{item.get('policy')} {resource.get('kind', '')} {resource.get('name', '')}".strip()
    if len(results) > most:
        yield "…"


def _time(report: Object) -> datetime | None:
    """When it was made; an object that does not say is as old as itself."""
    said = meta.annotations(report).get(SCANNED_AT) or (report.get("metadata") or {}).get("creationTimestamp")
    try:
        return clock.parse_time(str(said))
    except ValueError:
        return None
