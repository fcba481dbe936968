"""The audit log: who did what, in one line each; bounded, and off the request path."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dabbawala.api import KINDS
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import audit, standard
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.audit import AuditLog
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.plugins import Admission, Exchange
from dabbawala.cluster.apiserver.request import LOOPBACK, Request
from dabbawala.cluster.apiserver.tokens import Signer
from dabbawala.cluster.store.store import Store
from tests.cluster.apiserver.guarded import kind, send, user

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def recorded(path: Path, clock: VirtualClock) -> list[dict[str, Any]]:
    """What is in the log after a few requests by a person and by the cluster itself."""
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    with AuditLog(path, clock, lambda: "id") as log:
        extras = standard.Extras(audit=log)
        async with APIServer.in_memory(
            KINDS, clock=clock, plugins=lambda core: standard.plugins(core, signer, build="t", extras=extras)
        ) as server:
            await send(server, "POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"password": "hunter2"}},
                       who=user("ann", "system:masters"), headers={"user-agent": "kubectl/1"})  # fmt: skip
            await send(server, "GET", CONFIG_MAPS, who=user("eve"))
            await server.client().get(kind("v1", "ConfigMap"), "a", "default")
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_says_who_did_what_and_how_it_ended(tmp_path: Path, clock: VirtualClock) -> None:
    lines = await recorded(tmp_path / "audit.log", clock)
    entry = next(line for line in lines if line["user"]["username"] == "ann")
    assert (entry["verb"], entry["responseStatus"]["code"]) == ("create", 201)
    assert entry["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert entry["userAgent"] == "kubectl/1"
    assert entry["annotations"]["authorization.k8s.io/decision"] == "allow"


async def test_records_what_was_refused_and_by_whom_it_was_tried(tmp_path: Path, clock: VirtualClock) -> None:
    lines = await recorded(tmp_path / "audit.log", clock)
    assert [(line["verb"], line["responseStatus"]["code"]) for line in lines if line["user"]["username"] == "eve"] == [
        ("list", 403)
    ]


async def test_never_holds_what_was_written(tmp_path: Path, clock: VirtualClock) -> None:
    await recorded(tmp_path / "audit.log", clock)
    assert b"hunter2" not in (tmp_path / "audit.log").read_bytes()


async def test_leaves_out_what_the_cluster_itself_reads(tmp_path: Path, clock: VirtualClock) -> None:
    lines = await recorded(tmp_path / "audit.log", clock)
    assert not [line for line in lines if line["user"]["username"] == "system:apiserver" and line["verb"] == "get"]


class Leaving:
    """A client that leaves while its request is being admitted: the row is written when that is noticed."""

    async def validate(self, admission: Admission) -> None:
        task = asyncio.current_task()
        if admission.name == "a" and task is not None:
            task.cancel()


@pytest.mark.parametrize(("expired", "code"), [(False, 499), (True, 504)])
async def test_records_what_was_written_for_a_client_that_did_not_wait(
    tmp_path: Path, clock: VirtualClock, expired: bool, code: int
) -> None:
    ended: list[Exchange] = []
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    request = Request("POST", CONFIG_MAPS, body=b'{"metadata":{"name":"a"}}', user=LOOPBACK, expired=expired)

    def plugins(core: Core) -> Plugins:
        return replace(standard.plugins(core, signer, build="t"), validators=(Leaving(),), audit=ended.append)

    store = await Store.open(tmp_path / "state.db", clock=clock)
    async with APIServer.in_memory(KINDS, clock=clock, plugins=plugins, store=store) as server:
        ended.clear()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(server.handle(request))
        await server.client().create(kind("v1", "ConfigMap"), {"metadata": {"name": "next"}}, "default")
        assert (await send(server, "GET", f"{CONFIG_MAPS}/a")).status == 200
    assert (ended[0].request, ended[0].status) == (request, code)
    assert ended[0].target is not None
    assert ended[0].decision is not None


def exchange() -> Exchange:
    return Exchange(Request("GET", "/x", user=user("ann")), None, 404, 0.0, 0.1, None)


def test_old_files_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_FILE_BYTES", 100)
    path = tmp_path / "audit.log"
    for _ in range(10):
        with AuditLog(path, VirtualClock(), lambda: "id") as log:
            log(exchange())
    found = sorted(file.name for file in tmp_path.iterdir())
    assert found == ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"]


def test_says_how_much_it_could_not_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_QUEUED", 2)
    path = tmp_path / "audit.log"
    log = AuditLog(path, VirtualClock(), lambda: "id")
    for _ in range(5):
        log(exchange())
    log.start()
    log.close()
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert sum(line["kind"] == "Event" for line in lines) == 2
    assert next(line["count"] for line in lines if line["kind"] == "Dropped") == 3
