"""Running the rollout capability: in the control plane of the embedded cluster, or as a process of its own against
any cluster, with leader election and nothing but the rights that `manifests/rollout` gives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dabbawala.api import argoproj_v1alpha1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.apimachinery.status import Forbidden, NotFound
from dabbawala.reconcile import runtime
from dabbawala.reconcile.controller import Controller
from dabbawala.reconcile.election import Election
from dabbawala.reconcile.runtime import Runtime
from dabbawala.rollout.analysis.controller import AnalysisRunController
from dabbawala.rollout.analysis.providers import Dialer
from dabbawala.rollout.controller import RolloutController
from dabbawala.rollout.metrics import Metrics
from dabbawala.rollout.metrics_page import CannotListen as CannotListen
from dabbawala.rollout.metrics_page import MetricsPage

log = logging.getLogger("dabbawala.rollout")

LEASE = "dabbawala-rollout"
WORKERS = 16
"""Keys of one controller worked on at once: analyses wait for their providers meanwhile."""


class Client(runtime.Client, Protocol):
    """What the capability needs of the API; `client.Client` has it."""


def controllers(
    client: Client,
    clock: Clock,
    dialer: Dialer,
    *,
    instance_id: str = "",
    istio: bool = True,
    metrics: Metrics | None = None,
) -> tuple[Controller, ...]:
    """The capability's controllers, for whoever runs them."""
    return (
        RolloutController(instance_id=instance_id, istio=istio, metrics=metrics, clock=clock),
        AnalysisRunController(client, dialer, clock, instance_id=instance_id),
    )


async def has_istio(client: Client) -> bool:
    """Whether the cluster serves VirtualServices that we may read."""
    return await _serves(client, istio_networking_v1.VIRTUAL_SERVICE) and await _serves(
        client, istio_networking_v1.DESTINATION_RULE
    )


async def _serves(client: Client, kind: Kind) -> bool:
    try:
        await client.list(kind)
    except NotFound:
        return False
    except Forbidden as refused:
        log.warning("%s cannot be read, so no route is steered: %s", kind.resource, refused.message)
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one process runs the capability. With a `lease_namespace` it acts only while holding the Lease there, as
    `identity`; `metrics` is the address (`host:port`, or a unix socket) of the page of its numbers, if any;
    `version` is the product's."""

    identity: str = ""
    lease_namespace: str = ""
    instance_id: str = ""
    metrics: str | Path = ""
    version: str = ""


async def run(client: Client, clock: Clock, dialer: Dialer, settings: Settings) -> None:
    """Run until cancelled. Raises CannotListen when the address of the metrics cannot be had."""
    work = Work(client, clock, dialer, settings)
    async with AsyncExitStack() as cleanup:
        if settings.metrics:
            page = MetricsPage(work.numbers)
            bound = await cleanup.enter_async_context(page.listening(settings.metrics))
            log.info("metrics are served at %s", bound)
        if not settings.lease_namespace:
            await work.run()
            return
        name = f"{LEASE}-{settings.instance_id}" if settings.instance_id else LEASE
        lease = ObjectKey(settings.lease_namespace, name)
        await Election(client, clock, lease, settings.identity).lead(work.run)


class Work:
    """What a process does while it may, and the numbers about it; a process that waits its turn has next to none."""

    def __init__(self, client: Client, clock: Clock, dialer: Dialer, settings: Settings) -> None:
        self._client = client
        self._clock = clock
        self._settings = settings
        self._metrics = Metrics()
        self._runtime: Runtime | None = None
        self._make: Callable[[bool], tuple[Controller, ...]] = lambda istio: controllers(
            client, clock, dialer, instance_id=settings.instance_id, istio=istio, metrics=self._metrics
        )

    async def run(self) -> None:
        istio = await has_istio(self._client)
        self._runtime = Runtime(self._client, self._clock, self._make(istio), workers=WORKERS)
        log.info("rollout controllers run (%s)", "with Istio" if istio else "without Istio")
        try:
            await self._runtime.run()
        finally:
            self._runtime = None

    async def numbers(self) -> str:
        """Written in a thread: of ten thousand Rollouts that takes a second, which nobody shall wait for."""
        caches = self._runtime.informers if self._runtime is not None else None
        rollouts = list(caches.list(argoproj_v1alpha1.ROLLOUT)) if caches is not None else []
        runs = list(caches.list(argoproj_v1alpha1.ANALYSIS_RUN)) if caches is not None else []
        render = self._metrics.render
        return await asyncio.to_thread(render, rollouts, runs, version=self._settings.version)
