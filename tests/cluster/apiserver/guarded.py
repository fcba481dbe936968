"""The API server with everything plugged in, as a cluster runs it, and raw calls as somebody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec

from dabbawala.api import KINDS, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import rbac_defaults, standard
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.audit import AuditLog
from dabbawala.cluster.apiserver.crds import CRD, CustomResources
from dabbawala.cluster.apiserver.metrics import Metrics
from dabbawala.cluster.apiserver.request import LOOPBACK, Query, Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.tokens import Signer
from dabbawala.policy.access import AUTHENTICATED, User

DEADLINE_SECONDS = 5.0
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def kind(api_version: str, name: str) -> Kind:
    found = kinds.of(api_version, name)
    assert found is not None
    return found


def user(name: str, *groups: str) -> User:
    return User(name, (*groups, AUTHENTICATED))


@asynccontextmanager
async def guarded_server(
    clock: VirtualClock, signer: Signer | None = None, extras: standard.Extras | None = None
) -> AsyncIterator[APIServer]:
    signer = signer or Signer(ec.generate_private_key(ec.SECP256R1()))
    async with APIServer.in_memory(
        KINDS, clock=clock, plugins=lambda core: standard.plugins(core, signer, build="test", extras=extras)
    ) as server:
        client = server.client()
        await rbac_defaults.ensure(server.core, client.create, client.update)
        yield server


@asynccontextmanager
async def extensible_server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    """One that serves the kinds of its CustomResourceDefinitions too."""
    async with guarded_server(clock) as server:
        resources = CustomResources(server.core, server.client())
        resources.load()
        task = asyncio.create_task(resources.run())
        yield server
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def define(server: APIServer, crd: Object) -> None:
    """Create the definition and wait until it is settled one way or the other."""
    name = (await server.client().create(CRD, crd))["metadata"]["name"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not conditions.find(server.core.objects.get(CRD.resource, "", name) or {}, "Established"):
            await asyncio.sleep(0)


@asynccontextmanager
async def audited_server(clock: VirtualClock, log: Path) -> AsyncIterator[APIServer]:
    """With an audit log, as every cluster has one."""
    metrics = Metrics()
    with AuditLog(log, clock, lambda: "id", metrics=metrics) as audit:
        async with guarded_server(clock, extras=standard.Extras(audit=audit, metrics=metrics)) as server:
            yield server


async def send(
    server: APIServer,
    method: str,
    url: str,
    body: object = None,
    *,
    who: User | None = LOOPBACK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One request as `who`, or with the credential in `headers`; the answer's body is in one piece."""
    path, _, query = url.partition("?")
    data = b"" if body is None else orjson.dumps(body)
    request = Request(method, path, Query.parse(query), headers or {}, data, user=who)
    return await server.handle(request)


def parsed(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return orjson.loads(response.body)
