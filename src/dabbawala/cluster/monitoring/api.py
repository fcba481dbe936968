"""The Prometheus HTTP API over our samples: what Grafana, rollout analysis and people with curl ask.

Source: Prometheus HTTP API v1 (query, query_range, series, labels, label values, targets, metadata, buildinfo).
Queries run in the worker thread; the event loop stays free.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, TypeVar

import orjson
from aiohttp import web
from multidict import MultiDict

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.monitoring.scrape import Scraped, Scraper
from dabbawala.timeseries import labels
from dabbawala.timeseries.promql import engine
from dabbawala.timeseries.promql.values import Element, QueryError, Range, Value, format_value
from dabbawala.timeseries.samples import Samples, Series

QUERY_SECONDS_MAX = 30.0
"""A query that takes longer is stopped: while one is computed, nothing that was scraped is stored."""

Answer = TypeVar("Answer")
Parameters = Mapping[str, str]


class BadParameter(QueryError):
    """A parameter that is missing or cannot be read."""


class PrometheusAPI:
    def __init__(self, samples: Samples, scraper: Scraper, worker: Executor, clock: Clock) -> None:
        self._samples = samples
        self._scraper = scraper
        self._worker = worker
        self._clock = clock

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_errors])
        routes = {
            "query": self.query,
            "query_range": self.query_range,
            "series": self.series,
            "labels": self.labels,
            "label/{name}/values": self.label_values,
            "targets": self.targets,
            "metadata": self.metadata,
            "status/buildinfo": self.build,
        }
        for path, answer in routes.items():
            application.router.add_get(f"/api/v1/{path}", answer)
            application.router.add_post(f"/api/v1/{path}", answer)
        for path in ("/-/ready", "/-/healthy"):
            application.router.add_get(path, self.ready)
        return application

    async def _compute(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        computing = asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)
        return await asyncio.wait_for(computing, QUERY_SECONDS_MAX)

    async def _evaluate(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        """Compute a query; its evaluation ends when nobody waits for it any more."""
        over = threading.Event()
        try:
            return await self._compute(work, self._samples, *arguments, over.is_set)
        finally:
            over.set()

    async def query(self, request: web.Request) -> web.Response:
        asked = await _parameters(request)
        now = self._clock.now()
        at = _time(asked, "time", now)
        value = await self._evaluate(engine.query, _needed(asked, "query"), at)
        return _success(_result(value, at))

    async def query_range(self, request: web.Request) -> web.Response:
        asked = await _parameters(request)
        start, end = _time(asked, "start"), _time(asked, "end")
        step = _duration_ms(_needed(asked, "step"))
        query = _needed(asked, "query")
        windows = await self._evaluate(engine.query_range, query, start, end, step)
        return _success({"resultType": "matrix", "result": [_window(window) for window in windows]})

    async def series(self, request: web.Request) -> web.Response:
        asked = await _parameters(request)
        if not asked.getall("match[]", []):
            raise BadParameter("no match[] parameter provided")
        found = await self._compute(self._matching, asked)
        return _success([dict(series.labels) for series in found])

    async def labels(self, request: web.Request) -> web.Response:
        found = await self._compute(self._matching, await _parameters(request))
        return _success(sorted({name for series in found for name, _ in series.labels}))

    async def label_values(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = await self._compute(self._matching, await _parameters(request))
        return _success(sorted({labels.get(series.labels, name) for series in found} - {""}))

    def _matching(self, asked: MultiDict[str]) -> list[Series]:
        """Series that any `match[]` selects, with a sample between `start` and `end` where they are given."""
        start, end = _time(asked, "start", datetime.min), _time(asked, "end", datetime.max)
        selectors = asked.getall("match[]", [])
        chosen: Iterable[Series] = self._samples
        if selectors:
            chosen = {s.labels: s for text in selectors for s in engine.select(self._samples, text)}.values()
        return [series for series in chosen if series.times and series.times[0] <= end and series.times[-1] >= start]

    async def targets(self, request: web.Request) -> web.Response:
        active = [_target(known, self._scraper.interval) for known in self._scraper.scraped.values()]
        return _success({"activeTargets": active, "droppedTargets": []})

    async def metadata(self, request: web.Request) -> web.Response:
        return _success({})

    async def build(self, request: web.Request) -> web.Response:
        return _success({"version": "3.0.0-dabbawala", "revision": "", "branch": "", "goVersion": ""})

    async def ready(self, request: web.Request) -> web.Response:
        return web.Response(text="Ready.\n")


async def _parameters(request: web.Request) -> MultiDict[str]:
    asked: MultiDict[str] = MultiDict(request.query)
    if request.method == "POST":
        for name, value in (await request.post()).items():
            asked.add(name, str(value))
    return asked


def _needed(asked: Parameters, name: str) -> str:
    if not asked.get(name):
        raise BadParameter(f'invalid parameter "{name}": it is missing')
    return asked[name]


def _time(asked: Parameters, name: str, default: datetime | None = None) -> int:
    """Unix milliseconds of a parameter in Unix seconds or RFC 3339."""
    text = asked.get(name)
    if text is None and default is not None:
        edges = {datetime.min: -(2**62), datetime.max: 2**62}
        return edges[default] if default in edges else round(default.timestamp() * 1000)
    text = _needed(asked, name)
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        return round(clock.parse_time(text).timestamp() * 1000)
    except ValueError:
        raise BadParameter(f'invalid parameter "{name}": cannot parse {text!r} to a valid timestamp') from None


def _duration_ms(text: str) -> int:
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        return engine.duration_ms(text)


def _result(value: Value, at_ms: int) -> dict[str, Any]:
    if isinstance(value, str):
        return {"resultType": "string", "result": [at_ms / 1000, value]}
    if isinstance(value, float):
        return {"resultType": "scalar", "result": [at_ms / 1000, format_value(value)]}
    if any(isinstance(item, Range) for item in value):
        return {"resultType": "matrix", "result": [_window(item) for item in value if isinstance(item, Range)]}
    elements = [item for item in value if isinstance(item, Element)]
    shown = [{"metric": dict(e.labels), "value": [at_ms / 1000, format_value(e.value)]} for e in elements]
    return {"resultType": "vector", "result": shown}


def _window(window: Range) -> dict[str, Any]:
    values = [[time_ms / 1000, format_value(value)] for time_ms, value in window.samples]
    return {"metric": dict(window.labels), "values": values}


def _target(known: Scraped, interval_seconds: float) -> dict[str, Any]:
    health = "unknown" if not known.last_scrape else "down" if known.last_error else "up"
    return {
        "discoveredLabels": {},
        "labels": dict(known.target.labels),
        "scrapePool": known.target.job,
        "scrapeUrl": known.target.url,
        "globalUrl": known.target.url,
        "lastError": known.last_error,
        "lastScrape": known.last_scrape,
        "lastScrapeDuration": known.duration,
        "health": health,
        "scrapeInterval": f"{interval_seconds:g}s",
    }


def _success(data: object) -> web.Response:
    return web.Response(body=orjson.dumps({"status": "success", "data": data}), content_type="application/json")


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except QueryError as error:
        malformed = isinstance(error, BadParameter) or "invalid parameter" in str(error)
        return _failure("bad_data" if malformed else "execution", str(error), 400 if malformed else 422)
    except TimeoutError:
        return _failure("timeout", f"query timed out after {QUERY_SECONDS_MAX:.0f} s", 503)


def _failure(kind: str, message: str, code: int) -> web.Response:
    body = orjson.dumps({"status": "error", "errorType": kind, "error": message})
    return web.Response(body=body, status=code, content_type="application/json")
