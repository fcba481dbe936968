"""Running the rollout capability: in the control plane of the embedded cluster, or as a process of its own against
any cluster, with leader election and nothing but the rights that `manifests/rollout` gives.
"""

from __future__ import annotations

import logging
from typing import Protocol

from dabbawala.api import istio_networking_v1
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


async def run(
    client: Client,
    clock: Clock,
    dialer: Dialer,
    *,
    identity: str = "",
    lease_namespace: str = "",
    instance_id: str = "",
) -> None:
    """Run until cancelled. With a `lease_namespace` act only while holding the Lease there, as `identity`."""

    async def work() -> None:
        istio = await has_istio(client)
        listed = controllers(client, clock, dialer, instance_id=instance_id, istio=istio)
        log.info("rollout controllers run (%s)", "with Istio" if istio else "without Istio")
        await Runtime(client, clock, listed, workers=WORKERS).run()

    if not lease_namespace:
        await work()
        return
    name = f"{LEASE}-{instance_id}" if instance_id else LEASE
    await Election(client, clock, ObjectKey(lease_namespace, name), identity).lead(work)
