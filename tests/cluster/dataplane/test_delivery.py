"""The order of a change against an Envoy that is quick, busy, stuck or not there; it is played here, to have it so."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dabbawala.cluster.dataplane import admin, xds
from dabbawala.cluster.dataplane.delivery import STEP_SECONDS_MAX, Delivery
from dabbawala.cluster.dataplane.resources import Config, Resource

STATISTIC = {"lds.json": "listener_manager.lds", "cds.json": "cluster_manager.cds"}


class Hurried:
    """A clock on which nobody waits."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class Played:
    """What the two sockets of an Envoy say. `busy`: it gives no answer. `stuck`: files that it does not come to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.busy = self.busy_worker = False
        self.stuck: set[str] = set()
        self._free = asyncio.Event()

    async def admin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(reader, writer, wait=self.busy, body=self._versions)

    async def probe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(reader, writer, wait=self.busy_worker, body=lambda: "ok")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, wait: bool, body) -> None:  # type: ignore[no-untyped-def]
        await reader.readuntil(b"\r\n\r\n")
        if wait:
            await self._free.wait()
        text = body().encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
        writer.close()

    def _versions(self) -> str:
        lines = []
        for name, version in xds.read(self.folder / "xds")[1].items():
            kind, _, stem = name.removesuffix(".json").rpartition("/")
            statistic = STATISTIC.get(name) or {"eds": f"cluster.{stem}", "rds": f"http.{stem}.rds.{stem}"}[kind]
            if name not in self.stuck:
                lines.append(f'{statistic}.version_text: "{version}"')
        return "\n".join(lines)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        admins = await asyncio.start_unix_server(self.admin, self.folder / "envoy-admin.sock")
        probes = await asyncio.start_unix_server(self.probe, self.folder / "probe.sock")
        try:
            yield
        finally:
            self._free.set()
            for server in (admins, probes):
                server.close()
                await server.wait_closed()


@pytest.fixture
def envoy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    monkeypatch.setattr(admin, "ANSWER_SECONDS_MAX", 0.1)
    with tempfile.TemporaryDirectory(prefix="d") as short:
        yield Played(Path(short))


def towards(cluster: str) -> Config:
    """One route, to this cluster."""
    ends: Resource = {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"address": cluster}]}]}
    return Config(
        {"door": {"name": "door"}}, {cluster: {"name": cluster}}, {"r": {"name": "r", "to": cluster}}, {cluster: ends}
    )


def written(envoy: Played) -> Config:
    return xds.read(envoy.folder / "xds")[0]


def delivery(envoy: Played, clock: Hurried) -> Delivery:
    return Delivery("node-1", envoy.folder, envoy.folder / "log", clock)


async def test_a_change_reaches_a_quick_envoy_whole(envoy: Played) -> None:
    made = delivery(envoy, Hurried())
    async with envoy.running():
        assert (await made.deliver(towards("old"))).accepted
        assert (await made.deliver(towards("new"))).accepted
    assert written(envoy) == towards("new")


@pytest.mark.parametrize("part", ["busy", "busy_worker"])
async def test_no_step_is_written_over_one_that_a_busy_envoy_may_not_have_taken(envoy: Played, part: str) -> None:
    made = delivery(envoy, Hurried())
    async with envoy.running():
        await made.deliver(towards("old"))
        setattr(envoy, part, True)
        for _ in range(3):
            verdict = await made.deliver(towards("new"))
            assert "its Envoy is slow" in verdict.down
            assert written(envoy).routes == towards("old").routes, "requests still go where endpoints surely are"
            assert written(envoy).endpoints.keys() == {"old", "new"}
        setattr(envoy, part, False)
        assert (await made.deliver(towards("new"))).accepted
    assert written(envoy) == towards("new")


async def test_a_control_plane_that_starts_anew_goes_on_from_the_step_that_was_reached(envoy: Played) -> None:
    before = delivery(envoy, Hurried())
    async with envoy.running():
        await before.deliver(towards("old"))
        envoy.busy = True
        await before.deliver(towards("new"))
        after = delivery(envoy, Hurried())
        assert "its Envoy is slow" in (await after.deliver(towards("new"))).down
        assert written(envoy).routes == towards("old").routes
        envoy.busy = False
        assert (await after.deliver(towards("new"))).accepted
    assert written(envoy) == towards("new")


async def test_a_step_that_is_never_run_holds_up_the_next_for_a_bounded_time(envoy: Played) -> None:
    clock = Hurried()
    made = delivery(envoy, clock)
    async with envoy.running():
        await made.deliver(towards("old"))
        envoy.stuck.add("eds/new.json")
        assert (await made.deliver(towards("new"))).pending == {"eds/new.json"}
        began = clock.passed
        while written(envoy).routes == towards("old").routes:
            assert (await made.deliver(towards("new"))).pending == {"eds/new.json"}
            assert clock.passed < began + 2 * STEP_SECONDS_MAX
        assert clock.passed > began + STEP_SECONDS_MAX / 2


async def test_what_is_stuck_holds_up_nothing_else(envoy: Played) -> None:
    clock = Hurried()
    made = delivery(envoy, clock)
    async with envoy.running():
        envoy.stuck.add("eds/old.json")
        await made.deliver(towards("old"))
        clock.passed += STEP_SECONDS_MAX
        for _ in range(4):
            verdict = await made.deliver(towards("new"))
        assert verdict.accepted
        assert clock.passed < 2 * STEP_SECONDS_MAX


async def test_where_no_envoy_runs_all_is_written_for_the_one_to_come(envoy: Played) -> None:
    made = delivery(envoy, Hurried())
    async with envoy.running():
        await made.deliver(towards("old"))
    verdict = await made.deliver(towards("new"))
    assert "does not answer" in verdict.down
    assert written(envoy) == towards("new")


@pytest.mark.parametrize("damage", ['{"version_info": "1", "resources": [7]}', "", "[]", '{"version_info": "1"}'])
async def test_a_damaged_file_is_written_anew(envoy: Played, damage: str) -> None:
    async with envoy.running():
        await delivery(envoy, Hurried()).deliver(towards("old"))
        (envoy.folder / "xds/eds/old.json").write_text(damage)
        (envoy.folder / "xds/lds.json.part").write_text("{")
        assert (await delivery(envoy, Hurried()).deliver(towards("old"))).accepted
    assert written(envoy) == towards("old")
