"""The page that Prometheus and probes read, asked as they ask it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from dabbawala.rollout.metrics_page import REQUEST_BYTES_MAX, CannotListen, MetricsPage


async def render() -> str:
    return "rollout_info 1\n"


PAGE = MetricsPage(render)


async def test_the_numbers_and_the_health_are_there_over_tcp() -> None:
    async with PAGE.listening("127.0.0.1:0") as bound, aiohttp.ClientSession() as session:
        async with session.get(f"http://{bound}/metrics?x=1") as answer:
            assert (answer.status, await answer.text()) == (200, "rollout_info 1\n")
            assert answer.content_type == "text/plain"
        async with session.get(f"http://{bound}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with session.head(f"http://{bound}/metrics") as answer:
            assert (answer.status, await answer.text()) == (200, "")
        for method, path, status in (("GET", "/", 404), ("POST", "/metrics", 405)):
            async with session.request(method, f"http://{bound}{path}") as answer:
                assert answer.status == status


async def test_the_same_over_a_unix_socket_even_if_one_was_left_behind(tmp_path: Path) -> None:
    socket = tmp_path / "metrics.sock"
    socket.touch()
    async with (
        PAGE.listening(socket),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://rollout/metrics") as answer,
    ):
        assert await answer.text() == "rollout_info 1\n"
    assert not socket.exists()


async def test_a_request_without_end_is_given_up_and_others_are_answered() -> None:
    async with PAGE.listening("127.0.0.1:0") as bound:
        host, _, port = bound.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (2 * REQUEST_BYTES_MAX))
        assert await reader.read() == b""
        writer.close()
        async with aiohttp.ClientSession() as session, session.get(f"http://{bound}/healthz") as answer:
            assert answer.status == 200


async def test_an_address_that_is_taken_or_none_is_said_with_what_to_do() -> None:
    async with PAGE.listening("127.0.0.1:0") as bound:
        with pytest.raises(CannotListen, match="choose another address"):
            await PAGE.listening(bound).__aenter__()
    for wrong in ("8090", "127.0.0.1:http", "127.0.0.1:70000"):
        with pytest.raises(CannotListen, match="give host:port"):
            await PAGE.listening(wrong).__aenter__()
