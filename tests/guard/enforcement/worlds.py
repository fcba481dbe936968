"""A cluster in memory on which checks are enforced: its clock is ours, and somebody writes into it who is nobody's
controller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from dabbawala.api import core_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.guard import checks
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle, installing, plan
from dabbawala.guard.enforcement.bundle import Staged, Terms
from dabbawala.guard.enforcement.plan import Plan, Step
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.policy.access import AUTHENTICATED, User
from tests.cluster.apiserver.guarded import guarded_server

ADMIN = User("alice", ("system:masters", AUTHENTICATED))
NOTHING = Terms()


@dataclass(slots=True)
class Guarded:
    """`client` writes as an administrator."""

    server: APIServer
    clock: VirtualClock

    @property
    def client(self) -> Client:
        return self.server.client(ADMIN)

    def at(self, moment: datetime) -> None:
        self.clock.advance((moment - self.clock.now()).total_seconds())

    async def enforce(
        self,
        wanted: Sequence[Check],
        stage: Stage | None = Stage.DENY,
        terms: Terms = NOTHING,
        *,
        everything: bool = False,
    ) -> Plan:
        """Install them; the plan that was carried out."""
        installed = await installing.observe(self.client)
        staged = [Staged(check, stage or installed.next_stage(check)) for check in wanted]
        planned = plan.install(bundle.documents(staged, terms), installed, all_checks=everything)
        await self.carry_out(planned)
        return planned

    async def carry_out(self, planned: Plan) -> list[Step]:
        return [step async for step in installing.carry_out(self.client, planned)]

    async def refusal(self, obj: Object) -> str:
        """Why it may not be created; empty where it may. Nothing is stored."""
        return await self._tried("POST", kind_of(obj).path(meta.namespace(obj)), obj)

    async def update_refusal(self, obj: Object) -> str:
        return await self._tried("PUT", kind_of(obj).path(meta.namespace(obj), meta.name(obj)), obj)

    async def _tried(self, method: str, path: str, obj: Object) -> str:
        headers = {"accept": "application/json", "content-type": "application/json"}
        try:
            answer = await self.client.raw(
                method, path, query=[("dryRun", "All")], body=orjson.dumps(obj), headers=headers
            )
        except status.AlreadyExists:
            return ""
        except status.StatusError as refused:
            return refused.message
        await answer.read()
        return ""

    async def create(self, *objects: Object) -> None:
        for obj in objects:
            await self.client.create(kind_of(obj), obj)

    async def namespaces(self, *names: str) -> None:
        await self.create(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))

    async def current(self, obj: Object) -> Object:
        return await self.client.get(kind_of(obj), meta.name(obj), meta.namespace(obj))


@asynccontextmanager
async def guarded(*namespaces: str) -> AsyncIterator[Guarded]:
    clock = VirtualClock()
    async with guarded_server(clock) as server:
        world = Guarded(server, clock)
        await world.namespaces(*namespaces)
        for name in namespaces:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
            await world.client.create(core_v1.SERVICE_ACCOUNT, account)
        yield world


def kind_of(obj: Object) -> Kind:
    found = kinds.of(obj["apiVersion"], obj["kind"])
    assert found is not None
    return found


def some(*ids: str) -> list[Check]:
    return [checks.shipped()[name] for name in ids]


def native() -> list[Check]:
    return [check for check in checks.shipped().values() if check.native]


def container(name: str = "web", **more: Any) -> Object:
    return {"name": name, "image": "registry.example.com/web:1", **more}


def pod(name: str = "web", namespace: str = "shop", *, labels: Iterable[tuple[str, str]] = (), **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container()], **spec}}


def deployment(name: str = "web", namespace: str = "shop", *, replicas: int = 1, **spec: Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
