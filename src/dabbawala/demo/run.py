"""The main job: a cluster, two services, three releases under live traffic, and a report of what was measured.

Everything goes through the front door: images are built from the workloads' Dockerfiles, their manifests are applied,
a release is one change of an image, and the outcome is what a watching user sees and what the visitors were answered.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dabbawala.api import argoproj_v1alpha1, core_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import conditions
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.client import prometheus
from dabbawala.client.client import Client
from dabbawala.client.dialer import Dialer, DialFailed
from dabbawala.demo import manifests, measure, outcome, releases, report, scaling
from dabbawala.demo.load import LoadProcess, Sample, Settings
from dabbawala.demo.measure import Window
from dabbawala.demo.outcome import Observation
from dabbawala.demo.releases import Release, Service
from dabbawala.demo.view import View
from dabbawala.demo.watching import ReleaseWatch

ROLLOUT_SECONDS_MAX = 600.0
HEALTHY_SECONDS_MAX = 180.0
LOAD_REQUESTS_MAX = 200_000
POLL_SECONDS = 0.1
SCRAPE_SECONDS_MAX, QUERY_SECONDS_MAX = 10.0, 5.0
LATE_FACTOR_MAX = 3.0
"""How much longer than at its rate the load may take to send what is asked for; then it has died."""

FIELD_MANAGER = "dabba-demo"
PROGRAMMED, REACHABLE = "dabbawala.dev/Programmed", "dabbawala.dev/Reachable"
PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how fast the demo is. `requests` is the least number for each release; `before` and `after` are
    seconds of traffic on either side of it."""

    rate: float
    requests: int
    before: float
    after: float
    tatkal: scaling.Scaling
    catalog: scaling.Scaling

    def of(self, service: Service) -> scaling.Scaling:
        return self.tatkal if service is releases.TATKAL else self.catalog


FULL = Plan(
    rate=200,
    requests=20_000,
    before=10,
    after=5,
    tatkal=scaling.Scaling(replicas=4, preview_replicas=1, time=20, resources=10),
    catalog=scaling.Scaling(replicas=4, preview_replicas=1, time=60, resources=10, compared=60),
)
QUICK = Plan(
    rate=220,
    requests=3_000,
    before=3,
    after=1,
    tatkal=scaling.Scaling(replicas=2, preview_replicas=1, time=60, resources=10),
    catalog=scaling.Scaling(replicas=2, preview_replicas=1, time=450, resources=10, compared=25),
)


class DemoFailed(Exception):
    """The demo could not go on; the message says what it waited for."""


@dataclass(slots=True)
class Started:
    """A cluster that is up: its client, and seconds from the command to each milestone."""

    client: Client
    host: str
    cluster_ready_seconds: float
    first_pod_ready_seconds: float | None = None
    first_answer_seconds: float | None = None


class EnvoyCounts:
    """Requests that Envoy has counted at a service's doors between `begin` and `end`."""

    def __init__(self, client: Client, service: Service, clock: Clock) -> None:
        doors = "|".join(service.doors)
        where = f'destination_service_name=~"{doors}",destination_service_namespace="{service.namespace}"'
        base = f"istio_requests_total{{{where}"
        self._queries = {"requests": f"sum({base}}})", "failed": f'sum({base},response_code=~"5..|0"}})'}
        self._client = client
        self._clock = clock
        self._before: dict[str, float] = {}

    async def begin(self) -> None:
        self._before = await self._measured()

    async def end(self, sent: int) -> dict[str, int]:
        """All requests and those answered 5xx; waits for the scrape that has seen the last of `sent`."""
        deadline = self._clock.monotonic() + SCRAPE_SECONDS_MAX
        while True:
            now = await self._measured()
            counts = {name: round(now[name] - self._before[name]) for name in now}
            if counts["requests"] >= sent or self._clock.monotonic() > deadline:
                return counts
            await self._clock.sleep(POLL_SECONDS)

    async def _measured(self) -> dict[str, float]:
        """What monitoring says now. Raises DemoFailed when it says nothing: no answer is not 0."""
        deadline = self._clock.monotonic() + SCRAPE_SECONDS_MAX
        async with Dialer(self._client.transport) as dialer:
            while True:
                read = {name: await _value(dialer, query) for name, query in self._queries.items()}
                found = {name: value for name, value in read.items() if value is not None}
                if len(found) == len(read):
                    return found
                if self._clock.monotonic() > deadline:
                    raise DemoFailed(
                        f"monitoring has not answered for {SCRAPE_SECONDS_MAX:.0f} s;"
                        " `dabba logs --name demo monitoring` may say why not"
                    )
                await self._clock.sleep(POLL_SECONDS)


@dataclass(slots=True)
class Demo:
    started: Started
    workloads: Path
    plan: Plan
    clock: Clock
    view: View
    began: float
    rows: list[list[dict[str, float]]] = field(default_factory=list)

    async def run(self) -> dict[str, Any]:
        """All releases, in order; returns the report."""
        for service in releases.SERVICES:
            await self._deploy(service)
        return self._report([await self._release(release) for release in releases.RELEASES])

    async def _deploy(self, service: Service) -> None:
        """Apply the workload's manifests at scale and wait until it answers at its door."""
        client, rules = self.started.client.writing_as(FIELD_MANAGER), self.plan.of(service)
        for obj in manifests.read(self.workloads / service.folder / "manifests"):
            await client.apply(_kind_of(obj), scaling.scaled(obj, rules))
        await self._until(f"{service.rollout} to be healthy", lambda: self._healthy(service), HEALTHY_SECONDS_MAX)
        if self.started.first_pod_ready_seconds is None:
            self.started.first_pod_ready_seconds = await self._first_ready(service)
        await self._until(f"{service.authority} to answer", lambda: self._answers(service), HEALTHY_SECONDS_MAX)
        if self.started.first_answer_seconds is None:
            self.started.first_answer_seconds = round(self.clock.monotonic() - self.began, 2)
        self.view.say(
            f"{self._elapsed()}  {service.rollout} {service.first_version} serves at port {service.node_port}"
        )

    async def _first_ready(self, service: Service) -> float | None:
        """From the pods' own Ready conditions, which have whole seconds."""
        pods = await self.started.client.list(core_v1.POD, service.namespace)
        moments = [
            clocks.parse_time(condition["lastTransitionTime"]).timestamp()
            for pod in pods.items
            for condition in (pod.get("status") or {}).get("conditions") or ()
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        start = self.clock.now().timestamp() - (self.clock.monotonic() - self.began)
        return round(min(moments) - start, 2) if moments else None

    async def _healthy(self, service: Service) -> bool:
        rollout = await self.started.client.get(argoproj_v1alpha1.ROLLOUT, service.rollout, service.namespace)
        return (rollout.get("status") or {}).get("phase") == "Healthy"

    async def _answers(self, service: Service) -> bool:
        """Through our own edge: a port that another program holds would answer too."""
        door = await self.started.client.get(core_v1.SERVICE, service.doors[0], service.namespace)
        if not conditions.is_true(door, PROGRAMMED):
            return False
        reachable = conditions.find(door, REACHABLE) or {}
        if reachable.get("status") == "False":
            raise DemoFailed(str(reachable.get("message")))
        seen: list[Sample] = []
        await self._load(service, seen, rate=20, limit=5)
        return bool(seen) and not measure.failed(seen)

    async def _load(self, service: Service, seen: list[Sample], *, rate: float, limit: int) -> None:
        load = LoadProcess(self._settings(service, rate, limit), seen.extend)
        try:
            await load.start()
            await load.finished()
        finally:
            await load.close()

    def _settings(self, service: Service, rate: float, limit: int) -> Settings:
        return Settings(self.started.host, service.node_port, service.authority, service.folder, rate, limit)

    async def _until(self, what: str, done: Callable[[], Awaitable[bool]], seconds: float) -> None:
        deadline = self.clock.monotonic() + seconds
        while not await done():
            if self.clock.monotonic() > deadline:
                raise DemoFailed(f"waited {seconds:.0f} s for {what}; `dabba logs --name demo` may say why not")
            await self.clock.sleep(POLL_SECONDS)

    async def _release(self, release: Release) -> dict[str, Any]:
        """One release under traffic, with traffic before and after it."""
        service, samples = release.service, list[Sample]()
        seen = Observation(service.rollout, release.strategy, release.previous, release.version, 0.0)
        watch = ReleaseWatch(self.started.client, self.clock, release, seen)
        watch.on_change = lambda: self.view.rollout_changed(watch.rollout)
        load = LoadProcess(self._settings(service, self.plan.rate, LOAD_REQUESTS_MAX), self._taking(samples))
        async with AsyncExitStack() as cleanup:
            cleanup.push_async_callback(watch.stop)  # also what was begun when an interrupt comes amid the start
            await watch.start()
            counts = EnvoyCounts(self.started.client, service, self.clock)
            await counts.begin()
            cleanup.push_async_callback(load.close)
            await load.start()
            await self.clock.sleep(self.plan.before)
            seen.started = self.clock.now().timestamp()
            self.view.watch(seen)
            watch.begin()
            await _set_image(self.started.client, release)
            await self._ended(watch, release)
            await self._enough(load, samples)
            await load.stop()
            seen.proxied = await counts.end(len(samples))
        self.view.watched()
        return self._entry(release, seen, samples)

    def _taking(self, samples: list[Sample]) -> Callable[[list[Sample]], None]:
        def take(batch: list[Sample]) -> None:
            samples.extend(batch)
            self.view.samples(batch)

        return take

    async def _ended(self, watch: ReleaseWatch, release: Release) -> None:
        try:
            async with asyncio.timeout(ROLLOUT_SECONDS_MAX):
                await watch.done.wait()
        except TimeoutError:
            watch.seen.ended = self.clock.now().timestamp()
            phase = (watch.rollout.get("status") or {}).get("message", "")
            self.view.say(f"the release of {release.version} did not end in {ROLLOUT_SECONDS_MAX:.0f} s: {phase}")

    async def _enough(self, load: LoadProcess, samples: list[Sample]) -> None:
        """Traffic goes on after the release, and until there were enough requests."""
        await self.clock.sleep(self.plan.after)

        async def enough() -> bool:
            load.check()
            return len(samples) >= self.plan.requests

        await self._until(
            f"{self.plan.requests} requests", enough, LATE_FACTOR_MAX * self.plan.requests / self.plan.rate
        )

    def _entry(self, release: Release, seen: Observation, samples: Sequence[Sample]) -> dict[str, Any]:
        entry = outcome.numbers(seen, samples)
        entry["wrong"] = outcome.verdict(entry, release.expected)
        entry["expected"] = release.expected
        self.rows.append(measure.per_second(samples, Window(seen.started - self.plan.before, samples[-1].intended)))
        mark = "ok" if not entry["wrong"] else "; ".join(entry["wrong"])
        self.view.say(f"{self._elapsed()}  {seen.name} {release.version}: {seen.outcome or 'no outcome'} ({mark})")
        return entry

    def _elapsed(self) -> str:
        return f"{self.clock.monotonic() - self.began:6.1f} s"

    def _report(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        plan = self.plan
        return {
            "finished": clocks.format_time(self.clock.now()),
            "machine": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            "seconds": round(self.clock.monotonic() - self.began, 1),
            "passed": all(not entry["wrong"] for entry in entries),
            "cluster_ready_seconds": round(self.started.cluster_ready_seconds, 3),
            "first_pod_ready_seconds": self.started.first_pod_ready_seconds,
            "first_answer_seconds": self.started.first_answer_seconds,
            "rate": plan.rate,
            "scaling": {
                "tatkal replicas": f"{plan.tatkal.replicas} instead of 200",
                "catalog replicas": f"{plan.catalog.replicas} instead of 1,000",
                "tatkal durations": f"divided by {plan.tatkal.time:g}",
                "catalog durations": f"divided by {plan.catalog.time:g}",
                "CPU and memory requests": f"divided by {plan.tatkal.resources:g}",
                "query windows": f"divided likewise, at least {scaling.WINDOW_SECONDS_MIN:g} s for 5 m",
                "conversion threshold": f"{0.95 - plan.catalog.noise:.2f} instead of 0.95: three standard deviations "
                f"of chance lower, at about {plan.catalog.compared:g} purchases counted",
            },
            "releases": entries,
            "method": METHOD,
        }


METHOD = [
    "Open loop: requests are sent at their intended times, whatever the answers do; latency counts from there.",
    "Failed is everything but a 2xx: resets, refusals, timeouts and missing answers included. Nothing is retried, "
    "neither by the client nor by Envoy.",
    "One request in ten opens a connection of its own; the others use kept-alive ones, and some are in flight across "
    "every switch.",
    "Switch: from the event of the written route to the event of its acceptance by every node's Envoy.",
    "Detect: from the first failed answer of the new version to the failed verdict. Rollback: from the verdict to the "
    "last answer of the bad version.",
    "Which version answered is what the answer itself says (X-Version).",
]


async def _set_image(client: Client, release: Release) -> None:
    service = release.service
    change = [
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/image",
            "value": f"{service.image}:{release.version}",
        }
    ]
    await client.writing_as(FIELD_MANAGER).patch(
        argoproj_v1alpha1.ROLLOUT, service.rollout, service.namespace, change, type=PatchType.JSON
    )


def _kind_of(obj: Object) -> Kind:
    kind = kinds.of(str(obj.get("apiVersion")), str(obj.get("kind")))
    if kind is None:
        raise DemoFailed(f"a manifest has the unknown kind {obj.get('apiVersion')} {obj.get('kind')}")
    return kind


async def _value(dialer: Dialer, query: str) -> float | None:
    """One number from the cluster's Prometheus, 0 where there is no series yet; None when it does not answer."""
    try:
        answer: Any = await prometheus.ask(dialer, PROMETHEUS, query, timeout_seconds=QUERY_SECONDS_MAX)
    except DialFailed:
        return None
    if answer["status"] != "success":
        return None
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def write(result: dict[str, Any], rows: list[list[dict[str, float]]], folder: Path) -> tuple[Path, Path]:
    """Both reports; returns their paths."""
    machine, person = folder / "demo-report.json", folder / "demo-report.html"
    machine.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    person.write_text(report.page(result, rows))
    return machine, person
