"""The manifests of the workloads as they are, at full count: 200 and 1,000 replicas on simulated nodes.

Pods run no process, so the test scrapes for them: it writes the samples that pods of a version would have shown, under
the labels that our monitoring gives them, and the analyses ask our Prometheus API for verdicts over these. The smoke
tests of tatkal ask the real tatkal.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dabbawala.api import argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.monitoring import targets
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Change
from dabbawala.rollout import keys, rehearsal
from dabbawala.rollout.stage import Stage
from dabbawala.timeseries.labels import Labels
from tests.e2e.virtual_cluster import ROLLOUT, VirtualCluster, documents, virtual_cluster

WORKLOADS = Path(__file__).parents[2] / "workloads"
KINDS = {"Rollout": ROLLOUT, "Service": core_v1.SERVICE, "VirtualService": istio_networking_v1.VIRTUAL_SERVICE}


def manifests(workload: str) -> list[Object]:
    return documents(*sorted((WORKLOADS / workload / "manifests").glob("*.yaml"), key=_namespace_first))


def _namespace_first(file: Path) -> tuple[bool, str]:
    return "kind: Namespace" not in file.read_text(), file.name


@dataclass(frozen=True)
class Version:
    """What a pod of it shows: requests a second, the share that fails, seconds that each takes, what visitors buy."""

    rate: float = 5.0
    failing: float = 0.0
    seconds: float = 0.05
    conversion: float = 0.04


@dataclass(slots=True)
class Counting:
    """A series and its growth by the second; `up` grows by nothing, it is 1."""

    series: Labels
    rate: float
    total: float = 0.0


@dataclass
class Scrape:
    """Appends what Prometheus would have scraped of every ready pod, every `interval` seconds of virtual time."""

    cluster: VirtualCluster
    namespace: str
    versions: dict[str, Version]
    interval: float
    _due: float = 0.0
    _counters: dict[str, list[Counting]] = field(default_factory=dict)

    def __call__(self) -> None:
        clock = self.cluster.clock
        if clock.monotonic() < self._due:
            return
        self._due = clock.monotonic() + self.interval
        now_ms = round(clock.now().timestamp() * 1000)
        for pod in self.cluster.list(core_v1.POD, self.namespace):
            for one in self._of(pod):
                one.total = one.total + one.rate * self.interval if one.rate else 1.0
                self.cluster.samples.append(one.series, now_ms, one.total)

    def _of(self, pod: Object) -> Iterable[Counting]:
        if not pods.is_ready(pod) or meta.is_deleting(pod):
            return ()
        if meta.uid(pod) not in self._counters:
            version = self.versions[pod["spec"]["containers"][0]["image"]]
            pages = (_page(target, version) for target in targets.of_pods([pod]))
            self._counters[meta.uid(pod)] = [Counting(series, rate) for page in pages for series, rate in page]
        return self._counters[meta.uid(pod)]


def _page(target: targets.Target, version: Version) -> Iterator[tuple[Labels, float]]:
    def series(name: str, **labels: str) -> Labels:
        return targets.merged(target, {"__name__": name, **labels})

    yield series("up"), 0.0
    yield series("http_requests_total", status="200"), version.rate * (1 - version.failing)
    if version.failing:
        yield series("http_requests_total", status="500"), version.rate * version.failing
    for limit in ("0.1", "2", "5", "+Inf"):
        within = limit == "+Inf" or version.seconds <= float(limit)
        yield series("http_request_duration_seconds_bucket", le=limit), version.rate if within else 1e-9
    yield series("ecommerce_page_views_total"), version.rate
    yield series("ecommerce_conversions_total"), version.rate * version.conversion


@dataclass
class Laws:
    """What must hold at every change, heard from the API; `wrong` is what did not."""

    cluster: VirtualCluster
    namespace: str
    doors: tuple[str, ...]
    """Services with production traffic."""

    most: int
    route: str = ""
    wrong: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    peak: int = 0
    _alive: dict[ObjectKey, str] = field(default_factory=dict)
    _ready: Counter[str] = field(default_factory=Counter)
    _was_ready: dict[ObjectKey, str] = field(default_factory=dict)

    def listen(self) -> None:
        for kind in (core_v1.POD, core_v1.SERVICE, istio_networking_v1.VIRTUAL_SERVICE):
            self.cluster.rollouts.informers.watch(kind, self)

    def changed(self, kind: Kind, change: Change) -> None:
        if meta.namespace(change.object) != self.namespace:
            return
        if kind is core_v1.POD:
            self._pod(meta.key(change.object), change.new)
        elif kind is istio_networking_v1.VIRTUAL_SERVICE and change.new is not None:
            self._route(change.new)

    def progressed(self, kind: Kind) -> None:
        if kind in (core_v1.POD, core_v1.SERVICE):
            self._services()

    def _pod(self, key: ObjectKey, pod: Object | None) -> None:
        live = pod is not None and pods.is_active(pod) and not meta.is_deleting(pod)
        hash_ = meta.labels(pod).get(keys.HASH, "") if pod is not None else ""
        if live:
            self._alive[key] = hash_
        else:
            self._alive.pop(key, None)
        self._ready[self._was_ready.pop(key, "")] -= 1
        if live and pod is not None and pods.is_ready(pod):
            self._was_ready[key] = hash_
            self._ready[hash_] += 1
        self.peak = max(self.peak, len(self._alive))
        if len(self._alive) > self.most:
            self.wrong.append(f"{len(self._alive)} pods, {self.most} are allowed")

    def _services(self) -> None:
        for name in self.doors:
            service = self.cluster.rollouts.informers.get(core_v1.SERVICE, ObjectKey(self.namespace, name))
            hash_ = ((service or {}).get("spec") or {}).get("selector", {}).get(keys.HASH)
            if hash_ and not self._ready[hash_]:
                self.wrong.append(f"Service {name} selects {hash_}, of which no pod is ready")

    def _route(self, route: Object) -> None:
        weights = [int(item.get("weight") or 0) for item in route["spec"]["http"][0]["route"]]
        if sum(weights) != 100:
            self.wrong.append(f"weights {weights}")
        if not self.weights or self.weights[-1] != weights[1]:
            self.weights.append(weights[1])


def peak_of(workload: str, image: str) -> int:
    """What `dabba rollout plan` says that the release takes."""
    listed = manifests(workload)
    before = next(item for item in listed if item["kind"] == "Rollout")
    after = json.loads(json.dumps(before))
    after["spec"]["template"]["spec"]["containers"][0]["image"] = image
    world = [(KINDS[item["kind"]], item) for item in listed if item["kind"] in ("Service", "VirtualService")]
    world += [(argoproj_v1alpha1.ANALYSIS_TEMPLATE, item) for item in listed if item["kind"] == "AnalysisTemplate"]
    return rehearsal.release(before, after, world, Stage(rehearsal.START)).peak


def runs(cluster: VirtualCluster, namespace: str) -> list[Object]:
    return cluster.list(argoproj_v1alpha1.ANALYSIS_RUN, namespace)


def measurements(found: Iterable[Object]) -> Counter[tuple[str, str]]:
    """(metric, phase) -> how many."""
    return Counter(
        (result["name"], item["phase"])
        for run in found
        for result in run["status"].get("metricResults") or ()
        for item in result.get("measurements") or ()
    )


@pytest.fixture
def tatkal_program(tmp_path: Path) -> Iterator[str]:
    """The real tatkal v2.9.0; its address."""
    source = WORKLOADS / "tatkal"
    folder = tmp_path / "app"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "manifests"))
    shutil.copy(source / "versions" / "v2.9.0.json", folder / "version.json")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "DATABASE_URL": f"sqlite:///{tmp_path}/bookings.db"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def listening(address: str) -> None:
    host, port = address.split(":")
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def test_tatkal_is_released_blue_green_with_200_replicas(tmp_path: Path, tatkal_program: str) -> None:
    new, space, name = "irctc/tatkal:v2.9.0", "railway-booking", "tatkal-booking"
    await listening(tatkal_program)
    async with virtual_cluster(tmp_path, nodes=16) as cluster:
        cluster.doors.programs[ObjectKey(space, "tatkal-booking-preview")] = tatkal_program
        cluster.passing.append(Scrape(cluster, space, {"irctc/tatkal:v2.8.0": Version(), new: Version()}, 15))
        laws = Laws(cluster, space, ("tatkal-booking-service",), most=400)
        laws.listen()
        await cluster.apply(*manifests("tatkal"))
        before = await cluster.until_phase(name, space, "Healthy")
        assert before["status"]["availableReplicas"] == 200

        await cluster.set_image(name, space, new)
        after = await cluster.until_phase(name, space, "Healthy", seconds=1200)
        assert after["status"]["stableRS"] != before["status"]["stableRS"]
        active = cluster.read(core_v1.SERVICE, "tatkal-booking-service", space)
        assert active["spec"]["selector"][keys.HASH] == after["status"]["stableRS"]
        found = runs(cluster, space)
        assert {(run["metadata"]["labels"]["rollout-type"], run["status"]["phase"]) for run in found} == {
            ("PrePromotion", "Successful"),
            ("PostPromotion", "Successful"),
        }
        assert measurements(found) == {
            ("availability-answers", "Successful"): 1,
            ("database-healthy", "Successful"): 1,
            ("ready-pods-equal-total", "Successful"): 5,
            ("success-rate", "Successful"): 5,
        }
        assert laws.peak == peak_of("tatkal", new) == 400

        await cluster.until("the standby is gone", lambda: len(cluster.list(core_v1.POD, space)) == 200, seconds=700)
        assert laws.wrong == []


async def test_catalog_is_released_step_by_step_with_1000_replicas_and_a_bad_version_is_thrown_out(
    tmp_path: Path,
) -> None:
    good, bad, space, name = "shop/catalog:v3.4.0", "shop/catalog:v3.4.1", "ecommerce", "product-search"
    versions = {
        "shop/catalog:v3.3.0": Version(),
        good: Version(conversion=0.041),
        bad: Version(failing=0.12, seconds=3.0),
    }
    async with virtual_cluster(tmp_path, nodes=24) as cluster:
        cluster.passing.append(Scrape(cluster, space, versions, 60))
        laws = Laws(cluster, space, ("product-search-stable",), most=2000)
        laws.listen()
        await cluster.apply(*manifests("catalog"))
        before = await cluster.until_phase(name, space, "Healthy")

        await cluster.set_image(name, space, good)
        after = await cluster.until_phase(name, space, "Healthy", seconds=4 * 3600)
        assert after["status"]["stableRS"] != before["status"]["stableRS"]
        assert laws.weights == [0, 5, 10, 25, 50, 75, 100, 0]
        assert measurements(runs(cluster, space)) == {
            ("success-rate", "Successful"): 5,
            ("latency-p95", "Successful"): 5,
            ("conversion-rate", "Successful"): 3,
        }
        assert laws.peak == peak_of("catalog", good)

        await cluster.until("the standby is gone", lambda: len(cluster.list(core_v1.POD, space)) == 1000)
        laws.weights.clear()
        began = cluster.clock.monotonic()
        await cluster.set_image(name, space, bad)
        aborted = await cluster.until_phase(name, space, "Degraded", seconds=3600)
        await cluster.until("weight back", lambda: laws.weights[-1] == 0)
        assert aborted["status"]["stableRS"] == after["status"]["stableRS"]
        assert max(laws.weights) == 10, "it never saw more than a tenth of the traffic"
        assert cluster.clock.monotonic() - began < 1200
        assert measurements(runs(cluster, space))["success-rate", "Failed"] == 4
        assert laws.wrong == []
