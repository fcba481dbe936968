"""tatkal: last-minute train tickets. At 10:00 the quota opens and everyone comes at once.

    GET  /api/v1/tatkal/availability         seats left, by train
    POST /api/v1/tatkal/bookings             {"train": "12951", "passenger": "Asha"} -> a PNR, durable
    GET  /api/v1/tatkal/bookings/{pnr}
    GET  /health/ready  /health/live  /health/database  /metrics

What a version does differently is in its own `version.json`; the environment can override a number, never the version.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import admission
import store
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

DATABASE_THREADS = 4
DRAIN_SECONDS_MAX = 20.0
BACKLOG = 4096
"""Connections that wait to be accepted. With the usual 128 a busy moment turns new visitors away in the kernel."""
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = TypeVar("Answer")


class Metrics:
    def __init__(self, service: Tatkal) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered", ("method", "path", "status"), registry=self.registry
        )
        self.latency = Histogram(
            "http_request_duration_seconds", "Time to answer", ("path",), buckets=BUCKETS, registry=self.registry
        )
        self.bookings = Counter("tatkal_bookings", "Bookings by outcome", ("status",), registry=self.registry)
        running = Gauge("tatkal_bookings_running", "Bookings under way", registry=self.registry)
        running.set_function(lambda: service.admission.running)
        waiting = Gauge("tatkal_queue_length", "Passengers in the queue", registry=self.registry)
        waiting.set_function(lambda: len(service.admission.waiting))
        info = Gauge("tatkal_build_info", "The version that runs", ("version",), registry=self.registry)
        info.labels(service.version).set(1)


class Tatkal:
    def __init__(self, version: dict[str, object], environment: dict[str, str]) -> None:
        limit = int(environment.get("MAX_CONCURRENT_BOOKINGS") or str(version["max_concurrent_bookings"]))
        queue = environment.get("ENABLE_ENHANCED_QUEUE", str(version["enhanced_queue"])).lower() == "true"
        self.version = str(version["version"])
        self.opening_time = environment.get("TATKAL_OPENING_TIME", "10:00")
        self.store = store.Store(environment["DATABASE_URL"])
        self.admission = admission.Admission(limit, enhanced_queue=queue)
        self.database = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self.metrics = Metrics(self)

    async def _in_database(self, call: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.database, call, *arguments)

    @web.middleware
    async def measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "unknown"
        status = 500
        try:
            response = await handler(request)
            status = response.status
            response.headers["X-Version"] = self.version
            return response
        except web.HTTPException as refused:
            status = refused.status
            refused.headers["X-Version"] = self.version
            raise
        finally:
            self.metrics.requests.labels(request.method, path, str(status)).inc()
            self.metrics.latency.labels(path).observe(time.perf_counter() - started)

    async def availability(self, request: web.Request) -> web.Response:
        seats = await self._in_database(self.store.availability)
        return web.json_response({"opens": self.opening_time, "version": self.version, "trains": seats})

    async def book(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            train, passenger = str(wanted["train"]), str(wanted["passenger"])
        except (json.JSONDecodeError, KeyError, TypeError):
            return web.json_response({"error": 'send {"train": "12951", "passenger": "NAME"}'}, status=400)
        try:
            async with self.admission.place():
                booking = await self._in_database(self.store.book, train, passenger)
        except admission.TurnedAway:
            self.metrics.bookings.labels("TURNED_AWAY").inc()
            return web.json_response({"error": "too many are booking right now"}, status=503)
        except KeyError:
            return web.json_response({"error": f"train {train} is not sold here"}, status=404)
        self.metrics.bookings.labels(booking.status).inc()
        return web.json_response({**vars(booking), "version": self.version}, status=201)

    async def find(self, request: web.Request) -> web.Response:
        booking = await self._in_database(self.store.find, request.match_info["pnr"])
        if booking is None:
            return web.json_response({"error": "no such PNR"}, status=404)
        return web.json_response(vars(booking))

    async def live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive", "version": self.version})

    async def check_database(self, request: web.Request) -> web.Response:
        try:
            await self._in_database(self.store.check)
        except sqlite3.Error as error:
            return web.json_response({"status": "unhealthy", "error": str(error)}, status=503)
        return web.json_response({"status": "healthy"})

    async def expose(self, request: web.Request) -> web.Response:
        body = exposition.generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self.measure])
        application.add_routes(
            [
                web.get("/api/v1/tatkal/availability", self.availability),
                web.post("/api/v1/tatkal/bookings", self.book),
                web.get("/api/v1/tatkal/bookings/{pnr}", self.find),
                web.get("/health/live", self.live),
                web.get("/health/ready", self.check_database),
                web.get("/health/database", self.check_database),
                web.get("/metrics", self.expose),
            ]
        )
        return application


def main() -> None:
    version = json.loads((Path(__file__).parent / "version.json").read_text())
    service = Tatkal(version, dict(os.environ))
    port = int(os.environ.get("PORT", "8080"))
    application = service.application()
    web.run_app(application, port=port, access_log=None, shutdown_timeout=DRAIN_SECONDS_MAX, backlog=BACKLOG)


if __name__ == "__main__":
    main()
