"""Samples in memory: a bounded number of series, each with a bounded past.

Times are Unix milliseconds. A series that was scraped and is gone gets a stale marker, one NaN of a bit pattern of its
own, so that it ends at once instead of living on for the look-back. Appending out of order is refused, as it is by
Prometheus by default.
"""

from __future__ import annotations

import math
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dabbawala.timeseries.labels import NAME, Labels, Matcher, get

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
SERIES_MAX = 200_000
RETENTION_MS = 6 * 3600 * 1000
SAMPLES_MAX = 20_000_000
"""Samples of all series, 16 bytes each. Beyond it the oldest go first, so the past that is kept gets shorter."""

TRIM_AT = 64


def is_stale(value: float) -> bool:
    return value != value and struct.pack("<d", value) == b"\x02\x00\x00\x00\x00\x00\xf0\x7f"


class TooManySeries(Exception):
    """The bound on series is reached; the message says which bound and what to do."""


@dataclass(slots=True)
class Series:
    labels: Labels
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def append(self, time_ms: int, value: float) -> bool:
        """False for a sample that is not newer than the last one."""
        if self.times and time_ms <= self.times[-1]:
            return False
        self.times.append(time_ms)
        self.values.append(value)
        return True

    def between(self, after_ms: int, until_ms: int) -> list[tuple[int, float]]:
        """Samples in (after, until], stale markers left out."""
        low, high = bisect_right(self.times, after_ms), bisect_right(self.times, until_ms)
        pairs = zip(self.times[low:high], self.values[low:high], strict=True)
        return [(time, value) for time, value in pairs if value == value or not is_stale(value)]

    def latest(self, at_ms: int, look_back_ms: int) -> tuple[int, float] | None:
        """The newest sample in (at − look-back, at], or None; a stale marker is none."""
        index = bisect_right(self.times, at_ms) - 1
        if index < 0 or self.times[index] <= at_ms - look_back_ms:
            return None
        value = self.values[index]
        return None if math.isnan(value) and is_stale(value) else (self.times[index], value)

    def trim(self, before_ms: int, *, at_least: int = TRIM_AT) -> None:
        """Forget what is older, when that is `at_least` so many samples or all."""
        old = bisect_left(self.times, before_ms)
        if old >= at_least or old == len(self.times):
            del self.times[:old]
            del self.values[:old]


class Samples:
    """All series, found by metric name first."""

    def __init__(
        self, *, series_max: int = SERIES_MAX, samples_max: int = SAMPLES_MAX, retention_ms: int = RETENTION_MS
    ) -> None:
        self.series_max = series_max
        self.samples_max = samples_max
        self.retention_ms = retention_ms
        self._series: dict[Labels, Series] = {}
        self._by_name: dict[str, dict[Labels, Series]] = {}

    def __len__(self) -> int:
        return len(self._series)

    def append(self, labels: Labels, time_ms: int, value: float) -> bool:
        """False when the sample came too late. Raises TooManySeries."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= self.series_max:
                raise TooManySeries(f"{self.series_max} series are kept at the most; a label with too many values?")
            series = self._series[labels] = Series(labels)
            self._by_name.setdefault(get(labels, NAME), {})[labels] = series
        return series.append(time_ms, value)

    def select(self, matchers: Sequence[Matcher]) -> list[Series]:
        tests = [(matcher.name, matcher.test()) for matcher in matchers]
        return [
            series
            for series in self._candidates(matchers)
            if all(test(get(series.labels, name)) for name, test in tests)
        ]

    def _candidates(self, matchers: Sequence[Matcher]) -> Iterable[Series]:
        name = next((matcher.value for matcher in matchers if matcher.name == NAME and matcher.op == "="), None)
        return list((self._series if name is None else self._by_name.get(name, {})).values())

    def __iter__(self) -> Iterator[Series]:
        return iter(list(self._series.values()))

    def trim(self, now_ms: int) -> None:
        """Forget what is older than the retention, or too much, and series with nothing left."""
        before, at_least = now_ms - self.retention_ms, TRIM_AT
        while True:
            for labels, series in list(self._series.items()):
                series.trim(before, at_least=at_least)
                if not series.times:
                    self._forget(labels)
            if self._count() <= self.samples_max or before >= now_ms:
                return
            oldest = min(series.times[0] for series in self._series.values())
            before, at_least = max(before, oldest) + max((now_ms - max(before, oldest)) // 10, 1), 1

    def _count(self) -> int:
        return sum(len(series.times) for series in self._series.values())

    def _forget(self, labels: Labels) -> None:
        del self._series[labels]
        named = self._by_name[get(labels, NAME)]
        del named[labels]
        if not named:
            del self._by_name[get(labels, NAME)]
