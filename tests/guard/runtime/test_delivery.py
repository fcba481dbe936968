"""Alerts on their way out: to a webhook that fails, to a program, and to the small server where Falco posts."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from dabbawala.apimachinery.clock import SystemClock, VirtualClock
from dabbawala.guard.runtime import metrics, sinks
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.docket import HOLD_SECONDS, Docket
from dabbawala.guard.runtime.door import CannotListen, opened
from dabbawala.guard.runtime.engine import Engine
from dabbawala.guard.runtime.events import Container, Workload
from dabbawala.guard.runtime.pods import Pods
from dabbawala.guard.runtime.sinks import ATTEMPTS_MAX, QUEUE_MAX, Lines, Program, Webhook
from tests.guard.runtime import given

RULE = given.built("- rule: r\n  desc: d\n  output: o %k8s.pod.name\n  priority: INFO\n  condition: evt.type = execve")


def alert() -> Alert:
    return given.said(RULE, given.started(given.program("x")))[0]


@asynccontextmanager
async def receiver(statuses: list[int]) -> AsyncIterator[tuple[str, list[Any]]]:
    """A server that answers with these, then 200, and what it got."""
    got: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        got.append(orjson.loads(await request.read()))
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.add_routes([web.post("/alerts", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}/alerts".format(*runner.addresses[0]), got
    finally:
        await runner.cleanup()


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def turned(clock: VirtualClock, happened: Any) -> None:
    """Let time pass, by turns of the loop, until it has happened."""
    async with asyncio.timeout(10):
        while not happened():
            clock.advance(5)
            await asyncio.sleep(0.001)


async def test_a_webhook_that_fails_is_tried_again() -> None:
    clock = VirtualClock()
    async with receiver([500, 503]) as (url, got):
        hook = Webhook(url, clock)
        task = asyncio.ensure_future(hook.run())
        hook.offer(alert())
        await turned(clock, lambda: len(got) == 3)
        await ended(task)
    assert [body["rule"] for body in got] == ["r"] * 3
    assert hook.dropped == 0


async def test_a_webhook_that_goes_on_failing_drops_the_alert_and_counts_it(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    async with receiver([500] * 50) as (url, got):
        hook = Webhook(url, clock)
        task = asyncio.ensure_future(hook.run())
        hook.offer(alert())
        await turned(clock, lambda: hook.dropped)
        await ended(task)
    assert len(got) == ATTEMPTS_MAX
    complaints = [record.message for record in caplog.records if record.name == sinks.log.name]
    assert complaints == [f"webhook: r was not delivered: {url} answered 500", "webhook: not delivered in all: 1"]


async def test_a_queue_that_is_full_drops_and_counts() -> None:
    hook = Webhook("http://127.0.0.1:9/", VirtualClock())
    for _ in range(QUEUE_MAX + 3):
        hook.offer(alert())
    assert hook.dropped == 3


async def test_what_is_in_line_at_the_end_is_still_delivered() -> None:
    async with receiver([]) as (url, got):
        hook = Webhook(url, SystemClock())
        task = asyncio.ensure_future(hook.run())
        await asyncio.sleep(0)
        for _ in range(3):
            hook.offer(alert())
        await ended(task)
    assert len(got) == 3


async def test_a_program_gets_a_line_for_each_alert(tmp_path: Path) -> None:
    program = Program(f"cat > {tmp_path}/got", SystemClock())
    task = asyncio.ensure_future(program.run())
    await asyncio.sleep(0)
    program.offer(alert())
    program.offer(alert())
    await ended(task)
    lines = (tmp_path / "got").read_bytes().splitlines()
    assert [orjson.loads(line)["rule"] for line in lines] == ["r", "r"]


def test_a_file_is_appended_to_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(b"before\n")
    with sinks.opened(path) as file:
        Lines("file", file).offer(alert())
    assert path.read_bytes().splitlines()[0] == b"before"
    assert len(path.read_bytes().splitlines()) == 2
    assert path.stat().st_mode & 0o077 == 0


async def test_falco_may_post_its_events_and_prometheus_read_the_numbers() -> None:
    taken: list[Alert] = []
    shown = Lines("terminal", io.BytesIO())

    def numbers() -> str:
        return metrics.render(None, [shown], len(taken))

    async with opened("127.0.0.1:0", numbers, taken.append) as address, aiohttp.ClientSession() as session:
        event = {"rule": "Terminal shell in container", "time": "2026-01-01T00:00:00Z", "priority": "Notice"}
        for path in ("/", "/falco"):
            async with session.post(f"http://{address}{path}", json=event) as answer:
                assert answer.status == 200
        async with session.post(f"http://{address}/", data=b"nonsense") as answer:
            assert (answer.status, "not JSON" in await answer.text()) == (400, True)
        async with session.get(f"http://{address}/metrics") as answer:
            page = await answer.text()
        async with session.get(f"http://{address}/healthz") as answer:
            assert answer.status == 200
    assert [one.ids for one in taken] == [("RUN-04",), ("RUN-04",)]
    assert "dabbawala_guard_runtime_reported_events_total 2\n" in page
    assert 'dabbawala_guard_runtime_dropped_alerts_total{output="terminal"} 0\n' in page


async def test_an_address_that_cannot_be_had_is_said() -> None:
    for address in ("nonsense", "203.0.113.1:1"):
        with pytest.raises(CannotListen, match=address):
            async with opened(address, str, lambda _: None):
                pass


class Known(Pods):
    """Pods as the API has told of them so far."""

    def __init__(self) -> None:
        self.told: dict[str, Workload] = {}
        self.heard = lambda: None

    def workload(self, container: Container) -> Workload | None:
        return self.told.get(container.pod_uid)


async def test_an_event_waits_until_the_api_has_told_whose_it_is() -> None:
    got: list[Alert] = []
    known = Known()
    docket = Docket(Engine(RULE), VirtualClock(), known, deliver=got.append)
    docket.take(given.started(given.program("x"), workload=None))
    assert not got
    known.told["uid-1"] = given.WORKLOAD
    known.heard()
    assert [one.output for one in got] == ["o web-0"]


async def test_an_event_of_a_pod_that_the_api_never_tells_of_is_another_clusters() -> None:
    got: list[Alert] = []
    clock = VirtualClock()
    docket = Docket(Engine(RULE), clock, Known(), deliver=got.append)
    task = asyncio.ensure_future(docket.run())
    await asyncio.sleep(0)
    docket.take(given.started(given.program("x"), workload=None))
    for _ in range(3):
        clock.advance(HOLD_SECONDS)
        await asyncio.sleep(0)
    await ended(task)
    assert (got, docket.foreign) == ([], 1)


async def test_without_an_api_nothing_waits() -> None:
    got: list[Alert] = []
    docket = Docket(Engine(RULE), VirtualClock(), None, deliver=got.append)
    docket.take(given.started(given.program("x"), workload=None))
    assert [one.output for one in got] == ["o <NA>"]
