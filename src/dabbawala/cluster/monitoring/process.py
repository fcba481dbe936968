"""Monitoring as a process of its own, in the network of the first node, once a cluster.

It watches pods and nodes, scrapes them, and serves the Prometheus HTTP API at the node's address. A Service without a
selector, `prometheus` in the namespace `monitoring`, leads there, so that the address which manifests expect,
`http://prometheus.monitoring.svc.cluster.local:9090`, works from every pod and through the API server's proxy.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from dabbawala.api import core_v1, discovery_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.monitoring import targets
from dabbawala.cluster.monitoring.api import PrometheusAPI
from dabbawala.cluster.monitoring.scrape import Derive, Scraper
from dabbawala.cluster.monitoring.targets import Target
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informers
from dabbawala.timeseries.samples import Samples

NAMESPACE = "monitoring"
SERVICE = "prometheus"
PORT = 9090
FIELD_MANAGER = "monitoring"
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`address` is the node's own; `run` holds the nodes' Envoy sockets; `fixed` are scraped whatever runs."""

    address: str
    run: Path
    interval_seconds: float
    fixed: tuple[Target, ...] = ()


class Monitoring:
    def __init__(self, client: Client, clock: Clock, settings: Settings, derive: Derive | None = None) -> None:
        self._client = client
        self._settings = settings
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="timeseries")
        self.samples = Samples()
        self.scraper = Scraper(
            self.samples, self._worker, clock, interval_seconds=settings.interval_seconds, derive=derive
        )
        self._api = PrometheusAPI(self.samples, self.scraper, self._worker, clock)
        self._clock = clock
        self._informers = Informers(client, clock)
        for kind in (core_v1.POD, core_v1.NODE):
            self._informers.watch(kind, self)

    def changed(self, kind: Kind, change: Change) -> None:
        """Targets follow pods and nodes at once; a burst of changes is looked at once."""
        if not self._stale.is_set():
            self._stale.set()

    def progressed(self, kind: Kind) -> None:
        return None

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the port is taken."""
        self._stale = asyncio.Event()
        runner = web.AppRunner(self._api.application(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.address, PORT).start()
            self._informers.start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.scraper.trim())
                tasks.create_task(self._announce())
                await self._informers.filled()
                await self._follow()
        finally:
            await self._informers.stop()
            await self.scraper.close()
            await runner.cleanup()
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        while True:
            pods, nodes = self._informers.list(core_v1.POD), self._informers.list(core_v1.NODE)
            envoys = targets.of_envoys(nodes, self._settings.run)
            self.scraper.set_targets([*targets.of_pods(pods), *envoys, *self._settings.fixed])
            await self._stale.wait()
            await self._clock.sleep(0.05)
            self._stale.clear()

    async def _announce(self) -> None:
        """Apply the Namespace, the Service and its EndpointSlice, until the API server has taken them."""
        for kind, obj in _objects(self._settings.address):
            while True:
                try:
                    await self._client.writing_as(FIELD_MANAGER).apply(kind, obj)
                    break
                except Exception as error:
                    if not _passing(error):
                        raise
                    await self._clock.sleep(RETRY_SECONDS)


def _passing(error: Exception) -> bool:
    return getattr(error, "code", 0) >= 500 or isinstance(error, OSError)


def _objects(address: str) -> list[tuple[Kind, Object]]:
    port = {"name": "http", "port": PORT, "protocol": "TCP"}
    placed = {"name": SERVICE, "namespace": NAMESPACE}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": placed,
        "spec": {"ports": [{**port, "targetPort": PORT, "appProtocol": "http"}]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**placed, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False}}],
        "ports": [port],
    }
    return [(core_v1.NAMESPACE, namespace), (core_v1.SERVICE, service), (discovery_v1.ENDPOINT_SLICE, endpoints)]
