"""Promotions and aborts in a row, a hundred of each or more, under constant load: no request may fail or be misled.

    python bench/release.py [--releases N] [--requests M] [--rate R]

Three lanes run side by side, each a Rollout of the catalog under its own open-loop load: blue-green, canary, and canary
with a stable set that shrinks as traffic moves. In each lane releases follow one another without a break, every second
one aborted: a canary at one of its steps, a blue-green release when its preview is up. They go on until there were
enough of them and enough requests, so that no request comes while nothing is released. Every request that was not
answered 2xx is printed, and so is every one answered by a version that its step did not allow. Exit status 1 when there
was any.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import release_lanes
from private_cluster import PrivateCluster, machine, private_cluster
from release_allowed import Allowed
from release_lanes import ABORTED_AT, IMAGE, NAMESPACE, VERSIONS, Lane
from release_ledger import Ledger, judge, percentile_ms

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, istio_networking_v1, kinds
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.client import http, kubeconfig
from dabbawala.client.client import Client
from dabbawala.demo import programs
from dabbawala.demo.load import LoadProcess, Settings
from dabbawala.reconcile.informer import Informers
from dabbawala.rollout import keys

ROLLOUT = argoproj_v1alpha1.ROLLOUT
WATCHED = (ROLLOUT, apps_v1.REPLICA_SET, core_v1.SERVICE, istio_networking_v1.VIRTUAL_SERVICE)
STRATEGIES = ("blue-green", "canary", "canary-dynamic")
RELEASE_SECONDS_MAX = 60.0
REQUESTS_MAX = 10_000_000
SETTLE_SECONDS = 1.0
NODE_PORTS = range(31000, 32700)
Object = dict[str, Any]


class Stuck(Exception):
    """A release did not come where it should in time; the message says where."""


@dataclass
class Run:
    """One lane while it runs."""

    lane: Lane
    client: Client
    allowed: Allowed
    ledger: Ledger = field(default_factory=Ledger)
    rollout: Object = field(default_factory=dict)
    journal: list[tuple[float, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    promoted: int = 0
    aborted: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def progressed(self, kind: object) -> None:
        return None

    def changed(self, kind: object, change: Any) -> None:
        obj, now = change.object, time.time()
        if meta.namespace(obj) != NAMESPACE:
            return
        if obj["kind"] == ROLLOUT.kind and meta.name(obj) == self.lane.name:
            self.rollout = obj
            self.note(f"Rollout {_shown(obj)}")
        if obj["kind"] == "ReplicaSet" and meta.labels(obj).get("app") == self.lane.name:
            self.sizes[meta.labels(obj)[keys.HASH]] = obj["spec"]["replicas"]
        if self.allowed.saw(obj, now):
            self.note(f"{obj['kind']} {meta.name(obj)}: may answer: {', '.join(sorted(self.allowed.now))}")
        self._changed.set()

    def note(self, text: str) -> None:
        if not self.journal or self.journal[-1][1] != text:
            self.journal.append((time.time(), text))

    async def until(self, what: str, done: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS_MAX):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Stuck(f"{self.lane.name} was not {what} in {RELEASE_SECONDS_MAX:.0f} s") from None

    async def patch(self, body: Object, subresource: str = "") -> None:
        await self.client.patch(ROLLOUT, self.lane.name, NAMESPACE, body, subresource=subresource)

    async def ask_for(self, version: str) -> None:
        """A new template; returns when the controller has taken it in."""
        self.note(f"asked for {version}")
        path = "/spec/template/spec/containers/0/image"
        change = [{"op": "replace", "path": path, "value": f"{IMAGE}:{version}"}]
        changed = await self.client.patch(ROLLOUT, self.lane.name, NAMESPACE, change, type=PatchType.JSON)
        await self.until(f"looked at for {version}", lambda: _observed(self.rollout) >= meta.generation(changed))

    @property
    def status(self) -> Object:
        return self.rollout.get("status") or {}

    @property
    def is_stable(self) -> bool:
        status = self.status
        return status.get("phase") == "Healthy" and status.get("stableRS") == status.get("currentPodHash")

    @property
    def is_held(self) -> bool:
        return any(item["reason"] == "BlueGreenPause" for item in self.status.get("pauseConditions") or ())

    @property
    def others(self) -> list[int]:
        """Sizes of all sets but the stable one."""
        return [size for hash_, size in self.sizes.items() if hash_ != self.status.get("stableRS")]

    async def promote(self, version: str) -> None:
        await self.ask_for(version)
        if self.lane.is_blue_green:
            await self.until(f"previewing {version}", lambda: self.is_held or self.is_stable)
            await self.patch({"status": {"pauseConditions": None}}, "status")
        await self.until(f"on {version} alone", lambda: self.is_stable and self.allowed.now == {version})
        self.promoted += 1

    async def abort(self, version: str, back: str, step: int) -> None:
        """Begin a release, abort it at a step or when the preview is up, and ask for the stable version again."""
        if self.lane.is_blue_green:  # going back to what still runs would be at once, without a preview
            await self.until("scaled down", lambda: not any(self.others))
        await self.ask_for(version)
        if self.lane.is_blue_green:
            await self.until(f"previewing {version}", lambda: self.is_held)
        else:
            await self.until(f"at step {step}", lambda: int(self.status.get("currentStepIndex") or 0) >= step)
        self.note("aborted")
        await self.patch({"status": {"abort": True}}, "status")
        returned = {back}
        await self.until("back", lambda: bool(self.status.get("abort")) and self.allowed.now == returned)
        await self.ask_for(back)
        await self.until(f"healthy on {back}", lambda: self.is_stable and not self.status.get("abort"))
        self.aborted += 1

    async def releases(self, pairs: int, requests: int, load: LoadProcess) -> None:
        """A promotion and an abort in turn, until there were so many of both and so many requests. Raises LoadEnded."""
        stable, other = VERSIONS
        steps = itertools.cycle(ABORTED_AT)
        while self.aborted < pairs or len(self.ledger) < requests:
            load.check()
            await self.promote(other)
            stable, other = other, stable
            await self.abort(other, stable, next(steps))


def _observed(rollout: Object) -> int:
    return int((rollout.get("status") or {}).get("observedGeneration") or 0)


def _shown(rollout: Object) -> str:
    status = rollout.get("status") or {}
    step, aborted = status.get("currentStepIndex"), "aborted " if status.get("abort") else ""
    return f"{aborted}{status.get('phase')} step {step} {status.get('message') or ''}"


def _free_node_ports() -> itertools.chain[int]:
    def free(port: int) -> bool:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return taken.connect_ex(("127.0.0.1", port)) != 0

    start = NODE_PORTS.start + time.time_ns() // 1000 % (len(NODE_PORTS) - 100)
    return itertools.chain(port for port in range(start, NODE_PORTS.stop) if free(port))


async def deploy(run: Run) -> None:
    for obj in release_lanes.objects(run.lane, programs.folder()):
        kind = kinds.of(obj["apiVersion"], obj["kind"])
        assert kind is not None, obj["kind"]
        await run.client.writing_as("bench").apply(kind, obj)


@dataclass(frozen=True)
class Size:
    releases: int
    requests: int
    rate: float


async def bench(cluster: PrivateCluster, size: Size) -> bool:
    """Returns whether every promise held."""
    async with AsyncExitStack() as cleanup:
        client = Client(http.HTTPTransport(kubeconfig.load(cluster.kubeconfig)))
        cleanup.push_async_callback(client.close)
        ports = _free_node_ports()
        lanes = [Lane(strategy, next(ports)) for strategy in STRATEGIES]
        runs = [Run(lane, client, Allowed(lane)) for lane in lanes]
        informers = Informers(client, SystemClock())
        for kind, run in itertools.product(WATCHED, runs):
            informers.watch(kind, run)
        informers.start()
        cleanup.push_async_callback(informers.stop)
        for run in runs:
            await deploy(run)
        await asyncio.gather(*(run.until("healthy", lambda run=run: run.is_stable) for run in runs))
        loads = [LoadProcess(_settings(run.lane, size.rate / len(runs)), run.ledger.take) for run in runs]
        began = time.time()
        for load in loads:
            await load.start()
            cleanup.push_async_callback(load.close)
        await asyncio.sleep(SETTLE_SECONDS)
        work = [
            asyncio.ensure_future(run.releases(pairs, -(-size.requests // len(runs)), load))
            for run, pairs, load in zip(runs, _pairs(size, runs), loads, strict=True)
        ]
        stuck: list[object] = []
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:  # Ctrl-C: what was seen so far is told all the same
            stuck.append("interrupted")
        for lane_at_work in work:
            lane_at_work.cancel()
        found = await asyncio.gather(*work, return_exceptions=True)
        stuck += [error for error in found if isinstance(error, Exception)]
        ends = await asyncio.gather(*(load.stop() for load in loads), return_exceptions=True)
        stuck += [ended for ended in ends if ended and str(ended) not in map(str, stuck)]
        held = report(runs, time.time() - began)
        for run in runs if stuck else ():
            print(f"\n{run.lane.name}, last moments:")
            _print_moments(run, time.time(), 15)
        for error in stuck:
            print(f"STUCK: {error!r}")
        return held and not stuck


def _settings(lane: Lane, rate: float) -> Settings:
    return Settings("127.0.0.1", lane.node_port, lane.authority, "catalog", rate, REQUESTS_MAX)


def _pairs(size: Size, runs: list[Run]) -> list[int]:
    """Promotions with an abort each, spread over the lanes as evenly as can be."""
    each, rest = divmod(-(-size.releases // 2), len(runs))
    return [each + (number < rest) for number in range(len(runs))]


def report(runs: list[Run], took: float) -> bool:
    failed = misled = 0
    for run in runs:
        found = judge(run.ledger, run.allowed)
        failed, misled = failed + len(run.ledger.failed), misled + len(found.misled)
        latencies, late = sorted(run.ledger.latency), sorted(run.ledger.late)
        switches = run.allowed.switches
        print(f"\n{run.lane.name}: {run.promoted} promotions, {run.aborted} aborts, {len(run.ledger):,} requests")
        print(f"  latency p50 {percentile_ms(latencies, 0.5):.1f} ms, p99 {percentile_ms(latencies, 0.99):.1f} ms")
        print(f"  client late by p50 {percentile_ms(late, 0.5):.1f} ms, p99 {percentile_ms(late, 0.99):.1f} ms")
        print(f"  {len(switches)} switches, longest {max(switches, default=0):.3f} s from written to run by every node")
        counts = {version: run.ledger.version.count(version) for version in sorted(set(run.ledger.version))}
        print(f"  answered by: {', '.join(f'{version or chr(63)} {count:,}' for version, count in counts.items())}")
        if found.early:
            print(f"  {found.early} answers up to {found.earliest * 1000:.0f} ms before the watch told of their route")
        print_failures(run, found.misled)
    promoted, aborted = sum(run.promoted for run in runs), sum(run.aborted for run in runs)
    requests = sum(len(run.ledger) for run in runs)
    print(f"\n{promoted} promotions and {aborted} aborts, {requests:,} requests, in {took:.0f} s")
    print(f"requests that were not 2xx: {failed}")
    print(f"requests answered by a version that its step did not allow: {misled}")
    return not failed and not misled


def print_failures(run: Run, misled: list[tuple[float, float, str]]) -> None:
    """Each with the last moments of its lane before it."""
    told = 0.0
    for sample in run.ledger.failed:
        print(f"  NOT 2xx  sent {sample.intended:.3f} after {sample.latency:.3f} s: {sample.status} {sample.error}")
        answered = sample.intended + sample.latency
        last = max((at for at, _ in run.journal if at <= answered), default=0.0)
        if last > told:
            _print_moments(run, answered)
            told = last
    for sent, answered, version in misled:
        print(f"  MISLED   sent {sent:.3f} answered {answered:.3f} by {version}")
        _print_moments(run, answered)


def _print_moments(run: Run, before: float, most: int = 5) -> None:
    for at, text in [moment for moment in run.journal if moment[0] <= before][-most:]:
        print(f"             {at:.3f} {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=200, help="at least so many promotions and aborts together")
    parser.add_argument("--requests", type=int, default=1_000_000, help="at least so many in all")
    parser.add_argument(
        "--rate", type=float, default=400, help="requests a second in all; more than the machine carries fails"
    )
    given = parser.parse_args()
    print(f"{machine()}; {given.rate:g} requests/s, open loop, no retries, one in ten on a new connection")
    with private_cluster() as cluster:
        for version in VERSIONS:
            arguments = ["--build-arg", f"VERSION={version}", "--build-arg", f"PYTHON={programs.PYTHON}"]
            cluster.dabba("image", "build", str(programs.folder() / "catalog"), "-t", f"{IMAGE}:{version}", *arguments)
        cluster.dabba("up", "--nodes", "1")
        held = asyncio.run(bench(cluster, Size(given.releases, given.requests, given.rate)))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
