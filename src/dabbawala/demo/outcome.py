"""What one release did, in numbers that were all measured. Pure: samples and the release's own moments in, numbers out.

A number that could not be measured is None, and the report says "not measured"; nothing is ever filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dabbawala.demo import measure
from dabbawala.demo.load import Sample
from dabbawala.demo.measure import Window

ROLLBACK_TRAFFIC_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in a release; `at` is Unix time in seconds."""

    at: float
    name: str
    weight: int | None = None


@dataclass(slots=True)
class Observation:
    """What was seen of a release while it ran. Times are Unix seconds.

    `switches` are seconds from the write of a route to its acceptance by every node; `verdict_at` is when the analysis
    failed; `proxied` is what Envoy counted: all requests, and those it answered with 5xx.
    """

    name: str
    strategy: str
    from_version: str
    to_version: str
    started: float
    ended: float = 0.0
    outcome: str = ""
    moments: list[Moment] = field(default_factory=list)
    switches: list[float] = field(default_factory=list)
    verdict_at: float | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    proxied: dict[str, int] = field(default_factory=dict)


def numbers(seen: Observation, samples: Sequence[Sample]) -> dict[str, Any]:
    """The release's entry in the report."""
    during = Window(seen.started, seen.ended)
    failed = measure.failed(samples)
    bad = [sample for sample in failed if sample.version == seen.to_version and seen.outcome == "rolled-back"]
    first_bad = measure.first_bad_answer(samples, seen.to_version)
    last_bad = measure.last_answer(samples, seen.to_version)
    rolled_back = seen.outcome == "rolled-back" and seen.verdict_at is not None
    return {
        "name": seen.name,
        "strategy": seen.strategy,
        "from": seen.from_version,
        "to": seen.to_version,
        "outcome": seen.outcome,
        "seconds": round(seen.ended - seen.started, 2),
        "requests_total": len(samples),
        "requests_failed": len(failed),
        "requests_failed_by_bad_version": len(bad),
        "failures": failures(failed),
        "requests_by_version": _by_version(samples),
        "p99_ms_before": measure.p99_ms(Window(0, seen.started).of(samples)),
        "p99_ms_during": measure.p99_ms(during.of(samples)),
        "switch_seconds": round(max(seen.switches), 4) if seen.switches else None,
        "detect_seconds": _between(first_bad, seen.verdict_at) if rolled_back else None,
        "rollback_seconds": _between(seen.verdict_at, last_bad) if rolled_back else None,
        "envoy": seen.proxied,
        "steps": steps(seen, samples),
        "verdicts": seen.verdicts,
    }


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start), 3)


def _by_version(samples: Sequence[Sample]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sample in samples:
        counts[sample.version or "no answer"] = counts.get(sample.version or "no answer", 0) + 1
    return dict(sorted(counts.items()))


def failures(failed: Sequence[Sample]) -> list[dict[str, Any]]:
    """Failed requests by what was seen, most frequent first."""
    kinds: dict[tuple[int, str, str], int] = {}
    for sample in failed:
        kind = (sample.status, sample.version, sample.error)
        kinds[kind] = kinds.get(kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda entry: -entry[1])
    return [{"status": s, "version": v, "error": e, "count": count} for (s, v, e), count in ordered]


def steps(seen: Observation, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Each moment with what happened until the next one: requests, failures, and the new version's measured share.
    What is seen once the release has ended (its weight, set back) takes no time."""
    ends = [*(moment.at for moment in seen.moments[1:]), seen.ended]
    rows = []
    for moment, end in zip(seen.moments, ends, strict=False):
        within = Window(moment.at, end).of(samples)
        rows.append(
            {
                **asdict(moment),
                "at": round(moment.at - seen.started, 2),
                "seconds": round(max(end - moment.at, 0.0), 2),
                "requests": len(within),
                "failed": len(measure.failed(within)),
                "share_percent": round(measure.share(within, seen.to_version), 2),
                "p99_ms": measure.p99_ms(within),
            }
        )
    return rows


def verdict(release: dict[str, Any], expected: str) -> list[str]:
    """What is wrong with a release; empty when all is as it must be."""
    wrong = []
    if release["outcome"] != expected:
        wrong.append(f"ended {release['outcome'] or 'without an outcome'}, expected {expected}")
    unexplained = release["requests_failed"] - release["requests_failed_by_bad_version"]
    if unexplained:
        wrong.append(f"{unexplained} requests failed that the bad version did not answer")
    if expected == "rolled-back":
        rollback = release["rollback_seconds"]
        if rollback is None or rollback > ROLLBACK_TRAFFIC_SECONDS_MAX:
            wrong.append(f"traffic was back {rollback} s after the verdict, not within {ROLLBACK_TRAFFIC_SECONDS_MAX}")
        if not release["requests_failed_by_bad_version"]:
            wrong.append("the bad version failed no request, so nothing was proved")
    return wrong
