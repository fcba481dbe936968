"""What a controller is refused in a namespace that goes away is no failure of the controller's."""

from __future__ import annotations

import asyncio
from datetime import datetime

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.client.client import Client
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.plan import Create, Plan
from dabbawala.reconcile.runtime import Runtime
from tests.reconcile.conftest import until


class Stubborn:
    """Makes three ConfigMaps in every namespace that is being deleted, and tells of refusals."""

    name = "stubborn"
    kind: Kind = core_v1.NAMESPACE
    watches = ()

    def __init__(self) -> None:
        self.planned = 0
        self.told: list[str] = []

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        namespace = caches.get(core_v1.NAMESPACE, key)
        if namespace is None or not meta.is_deleting(namespace):
            return Plan()
        self.planned += 1
        return Plan(tuple(Create(core_v1.CONFIG_MAP, self._made(key.name, number)) for number in range(3)))

    def report(self, key: ObjectKey, caches: Caches, refused: StatusError, now: datetime) -> Plan:
        self.told.append(refused.message)
        return Plan()

    def _made(self, namespace: str, number: int) -> Object:
        metadata = {"name": f"made-{number}", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def test_nothing_is_retried_or_reported_there(client: Client) -> None:
    controller = Stubborn()
    runtime = Runtime(client, SystemClock(), (controller,))
    running = asyncio.create_task(runtime.run())
    await runtime.ready.wait()
    await client.create(core_v1.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}})
    await client.delete(core_v1.NAMESPACE, "ending")
    (loop,) = runtime.loops.values()
    await until("it has tried", lambda: controller.planned and loop.queue.idle)
    assert loop.queue.next_due() is None, "no later try is planned"
    assert loop.failures == {}
    assert controller.told == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
