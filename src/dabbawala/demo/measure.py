"""From samples to the numbers of the report. Pure: every number can be recomputed from the samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dabbawala.demo.load import Sample


@dataclass(frozen=True, slots=True)
class Window:
    """Unix times in seconds; `end` is not in it."""

    start: float
    end: float

    def of(self, samples: Iterable[Sample]) -> list[Sample]:
        return [sample for sample in samples if self.start <= sample.intended < self.end]


def percentile(values: Iterable[float], fraction: float) -> float | None:
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * fraction) - 1)]


def p99_ms(samples: Iterable[Sample]) -> float | None:
    """Of the answered requests, milliseconds from the intended send time."""
    value = percentile((sample.latency for sample in samples if sample.status), 0.99)
    return None if value is None else round(value * 1000, 1)


def failed(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.failed]


def answered_at(sample: Sample) -> float:
    return sample.intended + sample.latency


def first_bad_answer(samples: Iterable[Sample], version: str) -> float | None:
    """When the client had the first failed answer of that version."""
    return min((answered_at(s) for s in samples if s.failed and s.version == version), default=None)


def last_answer(samples: Iterable[Sample], version: str) -> float | None:
    return max((answered_at(s) for s in samples if s.version == version), default=None)


def share(samples: Sequence[Sample], version: str) -> float:
    """Percent of the answered requests that this version answered."""
    answered = [sample for sample in samples if sample.status]
    return 100 * sum(sample.version == version for sample in answered) / len(answered) if answered else 0.0


def per_second(samples: Iterable[Sample], window: Window) -> list[dict[str, float]]:
    """For plots: requests, failures and p99 (ms) by second, and the answers of each version."""
    seconds: dict[int, list[Sample]] = {}
    for sample in window.of(samples):
        seconds.setdefault(int(sample.intended - window.start), []).append(sample)
    return [_second(second, seconds[second]) for second in sorted(seconds)]


def _second(second: int, samples: list[Sample]) -> dict[str, float]:
    row: dict[str, float] = {
        "second": second,
        "requests": len(samples),
        "failed": len(failed(samples)),
        "p99_ms": p99_ms(samples) or 0.0,
    }
    for sample in samples:
        if sample.version:
            row[sample.version] = row.get(sample.version, 0) + 1
    return row
