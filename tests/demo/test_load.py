"""The load generator against real servers that behave well, badly, and not at all."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dabbawala.demo import visitors
from dabbawala.demo.load import NEW_CONNECTION_EVERY, REASON_BYTES_MAX, Load, LoadEnded, LoadProcess, Sample, Settings

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def sent(server: TestServer, *, limit: int = 40, rate: float = 400) -> list[Sample]:
    seen: list[Sample] = []
    settings = Settings("127.0.0.1", server.port or 0, "shop", "catalog", rate, limit)
    await Load(settings, seen.extend).run(asyncio.Event())
    return sorted(seen, key=lambda sample: sample.intended)


def serving(answer: Answer) -> TestServer:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    return TestServer(application)


async def test_every_answer_is_counted_with_its_version_and_one_in_ten_has_its_own_connection() -> None:
    peers: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        return web.Response(headers={"X-Version": "v1"})

    async with serving(answer) as server:
        samples = await sent(server)
    assert [(s.status, s.version, s.error) for s in samples] == [(200, "v1", "")] * 40
    assert len(set(peers)) >= 40 / NEW_CONNECTION_EVERY
    assert len(set(peers)) < 40


async def test_latency_counts_from_the_intended_time_so_a_stall_shows_in_all_that_waited() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response()

    async with serving(answer) as server:
        samples = await sent(server, limit=20)
    assert min(sample.latency for sample in samples) >= 0.2
    gaps = [after.intended - before.intended for before, after in itertools.pairwise(samples)]
    assert max(gaps) < 0.01


async def test_an_error_status_and_a_reset_are_failures_and_nothing_is_tried_again() -> None:
    arrived = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        if arrived % 2:
            return web.Response(status=500, headers={"X-Version": "bad"})
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(answer) as server:
        samples = await sent(server, limit=10)
    assert arrived == 10
    assert all(sample.failed for sample in samples)
    assert {sample.status for sample in samples} == {0, 500}
    assert all(sample.error for sample in samples if not sample.status)


async def test_a_refusal_is_kept_with_the_beginning_of_what_it_said() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503, text="no healthy upstream\n" + "x" * 10_000)

    async with serving(answer) as server:
        samples = await sent(server, limit=3)
    assert all(sample.error.startswith("no healthy upstream") for sample in samples)
    assert {len(sample.error) for sample in samples} == {REASON_BYTES_MAX}


async def test_a_refused_connection_is_a_failure() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as server:
        pass
    samples = await sent(server, limit=3)
    assert [sample.status for sample in samples] == [0, 0, 0]


async def test_stopping_waits_for_what_is_in_flight() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response()

    seen: list[Sample] = []
    stop = asyncio.Event()
    async with serving(answer) as server:
        settings = Settings("127.0.0.1", server.port or 0, "shop", "tatkal", 50, 1000)
        running = asyncio.create_task(Load(settings, seen.extend).run(stop))
        await asyncio.sleep(0.1)
        stop.set()
        await running
    assert seen
    assert not [sample for sample in seen if sample.failed]


async def test_a_client_that_was_kept_from_sending_says_how_late_it_was() -> None:
    async def answer(request: web.Request) -> web.Response:
        time.sleep(0.05)  # holds up the client too, which shares this loop
        return web.Response()

    async with serving(answer) as server:
        samples = await sent(server, limit=10)
    assert all(0 <= sample.late <= sample.latency for sample in samples)
    assert max(sample.late for sample in samples) >= 0.04


async def test_samples_of_the_load_process_arrive_whole() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"X-Version": "v1"})

    seen: list[Sample] = []
    async with serving(answer) as server:
        load = LoadProcess(Settings("127.0.0.1", server.port or 0, "shop", "catalog", 400, 200), seen.extend)
        await load.start()
        await load.finished()
    assert [(sample.status, sample.version, sample.error) for sample in seen] == [(503, "v1", "")] * 200


async def test_a_load_that_ended_before_it_was_stopped_is_no_load() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as server:
        settings = Settings("127.0.0.1", server.port or 0, "shop", "catalog", 400, 20)
        ended, stopped = (
            LoadProcess(settings, lambda batch: None),
            LoadProcess(replace(settings, limit=10**6), lambda batch: None),
        )
        await ended.start()
        with pytest.raises(LoadEnded, match="the load on shop ended by itself with status 0 before it was stopped"):
            async with asyncio.timeout(30):
                while True:
                    ended.check()
                    await asyncio.sleep(0.01)
        with pytest.raises(LoadEnded):
            await ended.stop()
        await ended.close()
        await stopped.start()
        stopped.check()
        await stopped.stop()
        stopped.check()


async def test_a_load_that_was_killed_has_not_finished() -> None:
    begun = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        begun.set()
        return web.Response()

    async with serving(answer) as server:
        load = LoadProcess(Settings("127.0.0.1", server.port or 0, "shop", "catalog", 50, 10**6), lambda batch: None)
        await load.start()
        await begun.wait()
        assert load.pid is not None
        os.kill(load.pid, signal.SIGKILL)
        with pytest.raises(LoadEnded, match="was killed by signal 9"):
            await load.finished()
        with pytest.raises(LoadEnded, match="was killed by signal 9"):
            await load.stop()


async def test_a_load_process_ends_when_whoever_started_it_was_killed() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as server:
        settings = Settings("127.0.0.1", server.port or 0, "shop", "catalog", 50, 10_000_000)
        reading, writing = os.pipe()
        orphan = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dabbawala.demo.load",
            stdin=asyncio.subprocess.PIPE, stdout=writing, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        os.close(writing)
        _, errors = await asyncio.wait_for(_killed_reader(orphan, settings, reading), 30)
    assert orphan.returncode is not None
    assert b"Traceback" not in errors


async def _killed_reader(
    orphan: asyncio.subprocess.Process, settings: Settings, reading: int
) -> tuple[bytes | None, bytes]:
    """Read the first samples, and no more."""
    assert orphan.stdin is not None
    orphan.stdin.write(orjson.dumps(asdict(settings)))
    orphan.stdin.close()
    assert await asyncio.to_thread(os.read, reading, 1)
    os.close(reading)
    return await orphan.communicate()


def test_every_run_asks_the_same_and_nothing_tells_the_versions_apart() -> None:
    first = [visitors.catalog(number).encode("shop") for number in range(500)]
    assert first == [visitors.catalog(number).encode("shop") for number in range(500)]
    assert not [request for request in first if b"v3." in request]
    assert sum(request.startswith(b"POST") for request in first) == 150
