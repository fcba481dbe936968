"""Scraping: fetch each target's page once an interval, and say about each target whether it answered.

Like Prometheus: `up`, `scrape_duration_seconds` and `scrape_samples_scraped` for every scrape; a series that is missing
from a page that had it, and every series of a target that is gone or does not answer, gets a stale marker. Fetching is
done on the event loop, parsing and storing in the one thread that also answers queries, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.monitoring.targets import Target, merged
from dabbawala.timeseries import exposition, labels
from dabbawala.timeseries.samples import STALE, Samples, TooManySeries

log = logging.getLogger("dabbawala.monitoring")

TIMEOUT_SECONDS_MAX = 10.0
PAGE_BYTES_MAX = 16 * 1024 * 1024
TRIM_EVERY_SECONDS = 60.0
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=1"

Derive = Callable[[list[exposition.Sample]], Iterable[exposition.Sample]]
"""Further samples from those of an Envoy's page: the mesh's metrics under their own names."""


@dataclass(slots=True)
class Scraped:
    """What is known of a target: its last scrape, and the series its last page had."""

    target: Target
    task: asyncio.Task[None] | None = None
    series: frozenset[labels.Labels] = frozenset()
    last_error: str = ""
    last_scrape: float = 0.0
    duration: float = 0.0
    extra: dict[str, labels.Labels] = field(default_factory=dict)


class Scraper:
    """Keeps one task a target; `set_targets` says what there is now."""

    def __init__(
        self, samples: Samples, worker: Executor, clock: Clock, *, interval_seconds: float, derive: Derive | None = None
    ) -> None:
        self.samples = samples
        self.interval = interval_seconds
        self.scraped: dict[Target, Scraped] = {}
        self._worker = worker
        self._clock = clock
        self._derive = derive
        self._network = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(min(TIMEOUT_SECONDS_MAX, interval_seconds)))

    def set_targets(self, targets: Iterable[Target]) -> None:
        wanted = set(targets)
        for target in [target for target in self.scraped if target not in wanted]:
            gone = self.scraped.pop(target)
            if gone.task:
                gone.task.cancel()
            self._worker.submit(self._end, gone, self._now_ms())
        for target in wanted - self.scraped.keys():
            known = self.scraped[target] = Scraped(target)
            known.task = asyncio.create_task(self._repeat(known), name=f"scrape {target.url}")

    async def close(self) -> None:
        tasks = [known.task for known in self.scraped.values() if known.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._network.close()

    async def trim(self) -> None:
        """Forget old samples now and then, until cancelled."""
        while True:
            await self._clock.sleep(TRIM_EVERY_SECONDS)
            await asyncio.get_running_loop().run_in_executor(self._worker, self.samples.trim, self._now_ms())

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)

    async def _repeat(self, known: Scraped) -> None:
        """At fixed times, spread over the interval by the target's name, so that not all come at once."""
        offset = zlib.crc32(known.target.url.encode()) % 1000 / 1000 * min(self.interval, 1.0)
        due = self._clock.monotonic() + offset
        while True:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            await self._scrape(known)
            due = max(due + self.interval, self._clock.monotonic())

    async def _scrape(self, known: Scraped) -> None:
        started, now_ms = self._clock.monotonic(), self._now_ms()
        page, open_metrics, known.last_error = b"", False, ""
        try:
            page, open_metrics = await self._fetch(known.target)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            known.last_error = f"{type(error).__name__}: {error}".rstrip(": ")
        known.duration = self._clock.monotonic() - started
        known.last_scrape = now_ms / 1000
        store = self._store
        await asyncio.get_running_loop().run_in_executor(self._worker, store, known, page, open_metrics, now_ms)

    async def _fetch(self, target: Target) -> tuple[bytes, bool]:
        if target.socket is None:
            return await _get(self._network, target.url)
        connector = aiohttp.UnixConnector(str(target.socket))
        timeout = aiohttp.ClientTimeout(min(TIMEOUT_SECONDS_MAX, self.interval))
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await _get(session, target.url)

    def _store(self, known: Scraped, page: bytes, open_metrics: bool, now_ms: int) -> None:
        """In the worker: parse, append, and mark what is missing."""
        found: list[exposition.Sample] = []
        if not known.last_error:
            try:
                found = list(exposition.parse(page.decode(errors="replace"), open_metrics=open_metrics))
            except exposition.BadExposition as error:
                known.last_error = str(error)
        if self._derive and known.target.socket:
            found.extend(self._derive(found))
        for keep in (partial(self._append, known, found), partial(self._report, known, len(found))):
            try:
                keep(now_ms)
            except TooManySeries as error:
                known.last_error = str(error)
                log.warning("%s: %s", known.target.url, error)

    def _append(self, known: Scraped, found: list[exposition.Sample], now_ms: int) -> None:
        before, present = known.series, set()
        try:
            for sample in found:
                series = merged(known.target, dict(sample.labels))
                self.samples.append(series, sample.timestamp_ms or now_ms, sample.value)
                present.add(series)
        finally:
            known.series = frozenset(present)
        for series in before - known.series:
            self.samples.append(series, now_ms, STALE)

    def _report(self, known: Scraped, count: int, now_ms: int) -> None:
        values = {
            "up": 0.0 if known.last_error else 1.0,
            "scrape_duration_seconds": known.duration,
            "scrape_samples_scraped": float(count),
        }
        for name, value in values.items():
            series = labels.make([(labels.NAME, name), *known.target.labels])
            known.extra[name] = series
            self.samples.append(series, now_ms, value)

    def _end(self, gone: Scraped, now_ms: int) -> None:
        for series in [*gone.series, *gone.extra.values()]:
            self.samples.append(series, now_ms, STALE)


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[bytes, bool]:
    """The page, and whether it is OpenMetrics. Raises ValueError for an answer that is no page of metrics."""
    async with session.get(url, headers={"Accept": ACCEPT}) as answer:
        if answer.status != 200:
            raise ValueError(f"server returned HTTP status {answer.status}")
        page = await answer.content.read(PAGE_BYTES_MAX + 1)
        while len(page) <= PAGE_BYTES_MAX and (more := await answer.content.read(PAGE_BYTES_MAX)):
            page += more
        if len(page) > PAGE_BYTES_MAX:
            raise ValueError(f"the page has more than {PAGE_BYTES_MAX} bytes")
        return page, "openmetrics" in answer.headers.get("Content-Type", "")
