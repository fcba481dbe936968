"""The HTTP front: what real connections do to it. Over plain TCP, TLS with client certificates, unix sockets."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import uvloop

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.status import ServiceUnavailable
from dabbawala.client.client import Client
from dabbawala.client.http import HTTPTransport
from dabbawala.client.kubeconfig import Connection as Where
from dabbawala.cluster.apiserver import http_connection as http
from dabbawala.cluster.apiserver import pki
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.http import Front
from dabbawala.cluster.apiserver.plugins import Exchange
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response, Tunnel, json
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, config_map

Door = tuple[Front, int]


async def _echo(tunnel: Tunnel) -> None:
    while data := await tunnel.read():
        await tunnel.write(data.upper())


async def _upgrade(request: Request) -> Response:
    return Response(101, headers={"connection": "Upgrade", "upgrade": "dabba-stream"}, upgrade=_echo)


async def _who(request: Request) -> Response:
    subject = [pair for part in (request.peer_certificate or {}).get("subject", ()) for pair in part]
    return json({"subject": subject, "query": list(request.query), "client": request.client})


async def _broken(request: Request) -> Response:
    raise ValueError("a bug")


def _plugins(core: Core) -> Plugins:
    return Plugins(endpoints={"/upgrade": _upgrade, "/who": _who, "/broken": _broken})


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with APIServer.in_memory(KINDS, clock=SystemClock(), plugins=_plugins) as server:
        front = Front(server.handle)
        yield front
        await front.close()


@pytest.fixture
async def port(front: Front) -> int:
    return await front.listen_tcp("127.0.0.1", 0, None)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", 0))), 5)
    return int(first.split()[1]), headers, body


def _post(path: str, body: bytes, extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_one_connection_carries_many_requests(port: int) -> None:
    async with connected(port) as (reader, writer):
        for index in range(5):
            writer.write(_post(CONFIG_MAPS, orjson.dumps(config_map(f"n{index}"))))
            status, _, body = await _answer(reader)
            assert (status, orjson.loads(body)["metadata"]["name"]) == (201, f"n{index}")


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"".join(f"GET /who?n={index} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for index in range(100)))
        for index in range(100):
            status, _, body = await _answer(reader)
            assert (status, orjson.loads(body)["query"]) == (200, [["n", str(index)]])


async def test_a_request_may_arrive_byte_by_byte(port: int) -> None:
    async with connected(port) as (reader, writer):
        for byte in _post(CONFIG_MAPS, orjson.dumps(config_map("a"))):
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await _answer(reader))[0] == 201


async def test_connection_close_is_honoured(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        _, headers, _ = await _answer(reader)
        assert headers["connection"] == "close"
        assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /who HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /who HTTP/1.1\r\nx: " + b"y" * 400_000, 400),
        (b"GET /" + b"y" * 400_000, 400),
        (b"POST /who HTTP/1.1\r\ncontent-length: 4000000\r\n\r\n", 413),
        (b"POST /who HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
         + (b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 3, 413),
    ],
)  # fmt: skip
async def test_what_cannot_be_a_request_is_refused_and_the_connection_closed(port: int, sent: bytes, code: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(sent)
        status, headers, body = await _answer(reader)
        assert status == code
        assert headers["connection"] == "close"
        assert orjson.loads(body)["kind"] == "Status"


async def test_a_body_of_three_megabytes_is_taken_and_expected_ones_are_invited(port: int) -> None:
    async with connected(port) as (reader, writer):
        body = orjson.dumps(config_map("a", k="x" * 100_000))
        writer.write(f"POST {CONFIG_MAPS} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n".encode())
        writer.write(f"content-length: {len(body)}\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert (await _answer(reader))[0] == 201
        writer.write(_post("/who", b"x" * (3 << 20)))
        assert (await _answer(reader))[0] == 200


async def test_head_answers_without_a_body(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"HEAD /api/v1/namespaces/default HTTP/1.1\r\nhost: x\r\n\r\nGET /who HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b"200 OK" in head
        assert b"content-length: " in head
        assert (await _answer(reader))[0] == 200


async def test_a_bug_is_an_answer(port: int, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"GET /broken HTTP/1.1\r\nhost: x\r\n\r\nGET /who HTTP/1.1\r\nhost: x\r\n\r\n")
        status, _, body = await _answer(reader)
        assert (status, orjson.loads(body)["reason"]) == (500, "InternalError")
        assert (await _answer(reader))[0] == 200
    assert "a bug" in caplog.text


async def test_warnings_travel_in_a_header(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(_post(CONFIG_MAPS, orjson.dumps({**config_map("a"), "colour": 'r"d'})))
        _, headers, _ = await _answer(reader)
        assert headers["warning"] == '299 - "unknown field \\"colour\\""'


async def test_a_watch_streams_and_notices_that_its_client_has_left(front: Front, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(f"GET {CONFIG_MAPS}?watch=true HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert b"chunked" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        async with connected(port) as (reader2, writer2):
            writer2.write(_post(CONFIG_MAPS, orjson.dumps(config_map("a"))))
            await _answer(reader2)
        assert int(await asyncio.wait_for(reader.readline(), 5), 16) > 0
        assert orjson.loads(await asyncio.wait_for(reader.readline(), 5))["type"] == "ADDED"
    await _until(lambda: not front.connections)


async def _until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]  # a callable
            await asyncio.sleep(0.005)


async def test_a_slow_reader_is_waited_for_and_costs_no_memory(front: Front) -> None:
    sent = 0

    async def flood(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(2000):
                sent += 1
                yield b"x" * 50_000
                await asyncio.sleep(0)

        return Response(200, chunks())  # type: ignore[arg-type]  # an async generator function

    front.handle = flood
    port = await front.listen_tcp("127.0.0.1", 0, None)
    async with connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 1000
    await _until(lambda: not front.connections)


async def test_an_upgraded_connection_belongs_to_its_taker(port: int) -> None:
    async with connected(port) as (reader, writer):
        early = b"early "
        writer.write(
            b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: dabba-stream\r\n\r\n" + early
        )
        assert b"101 Switching Protocols" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(b"late")
        assert await asyncio.wait_for(reader.readexactly(10), 5) == b"EARLY LATE"
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_refused_upgrade_is_an_ordinary_answer(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n")
        status, headers, _ = await _answer(reader)
        assert (status, headers["connection"]) == (200, "close")


async def test_slow_requests_and_idle_connections_are_ended(front: Front, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"GET /who HTTP/1.1\r\nhost:")
        await _until(lambda: any(item._reader.arriving for item in front.connections))
        (connection,) = front.connections
        now = asyncio.get_running_loop().time()
        connection.expire(now + http.ARRIVAL_SECONDS - 1)
        assert front.connections
        connection.expire(now + http.ARRIVAL_SECONDS + 1)
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_request_that_is_never_answered_is_timed_out(front: Front) -> None:
    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    front.handle = never
    port = await front.listen_tcp("127.0.0.1", 0, None)
    async with connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await _until(lambda: any(item._task for item in front.connections))
        (connection,) = front.connections
        connection.expire(asyncio.get_running_loop().time() + http.ANSWER_SECONDS + 1)
        assert (await _answer(reader))[0] == 504


@pytest.mark.parametrize(("leaves", "code"), [(True, 499), (False, 504)])
async def test_a_request_that_is_given_up_is_audited(leaves: bool, code: int) -> None:
    ended: list[Exchange] = []

    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    def plugins(core: Core) -> Plugins:
        return Plugins(endpoints={"/never": never}, audit=ended.append)

    async with APIServer.in_memory(KINDS, clock=SystemClock(), plugins=plugins, namespaces=()) as server:
        front = Front(server.handle)
        async with connected(await front.listen_tcp("127.0.0.1", 0, None)) as (_, writer):
            writer.write(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
            await _until(lambda: any(item._serving for item in front.connections))
            (connection,) = front.connections
            if leaves:
                writer.transport.abort()
            else:
                connection.expire(asyncio.get_running_loop().time() + http.ANSWER_SECONDS + 1)
            await _until(lambda: bool(ended))
        await front.close()
    assert [(item.request.path, item.status) for item in ended] == [("/never", code)]


async def test_closing_lets_an_answer_finish_and_cuts_streams(front: Front, port: int) -> None:
    async with connected(port) as (reader, writer), connected(port) as (_, idle):
        writer.write(f"GET {CONFIG_MAPS}?watch=true HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await front.close()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert not front.connections
        idle.close()


# Through the product's own client ----------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> pki.PKI:
    return pki.ensure(tmp_path / "pki", datetime.now(UTC))


def _context(keys: pki.PKI) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.server.certificate, keys.server.key)
    context.load_verify_locations(keys.ca.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def _session(where: Where) -> None:
    """Create, watch, list, delete."""
    transport = HTTPTransport(where)
    client = Client(transport)
    try:
        made = await client.create(core_v1.CONFIG_MAP, config_map("a", k="v"), "default")
        events = client.watch(core_v1.CONFIG_MAP, "default", resource_version=made["metadata"]["resourceVersion"])
        first = asyncio.ensure_future(anext(events))
        await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"k": "w"}})
        assert (await asyncio.wait_for(first, 5)).object["data"] == {"k": "w"}
        await events.aclose()  # type: ignore[attr-defined]  # an async generator
        assert len((await client.list(core_v1.CONFIG_MAP)).items) == 1
        await client.delete(core_v1.CONFIG_MAP, "a", "default")
    finally:
        await client.close()


async def test_a_session_over_plain_tcp(port: int) -> None:
    await _session(Where(server=f"http://127.0.0.1:{port}"))


async def test_a_session_over_tls_shows_the_client_certificate(front: Front, keys: pki.PKI, tmp_path: Path) -> None:
    port = await front.listen_tcp("127.0.0.1", 0, _context(keys))
    pair = pki.Pair(tmp_path / "c.crt", tmp_path / "c.key")
    pki.client_certificate(keys, pair, "alice", ["admins"], datetime.now(UTC))
    where = Where(
        server=f"https://127.0.0.1:{port}",
        ca=keys.ca.certificate.read_bytes(),
        certificate=pair.certificate.read_bytes(),
        key=pair.key.read_bytes(),
    )
    await _session(where)
    transport = HTTPTransport(where)
    seen = orjson.loads(await (await transport.request("GET", "/who")).read())
    await transport.close()
    assert ["commonName", "alice"] in seen["subject"]
    assert ["organizationName", "admins"] in seen["subject"]


async def test_a_certificate_of_another_authority_is_not_let_in(front: Front, keys: pki.PKI, tmp_path: Path) -> None:
    port = await front.listen_tcp("127.0.0.1", 0, _context(keys))
    stranger = pki.ensure(tmp_path / "other", datetime.now(UTC))
    where = Where(
        server=f"https://127.0.0.1:{port}",
        ca=keys.ca.certificate.read_bytes(),
        certificate=stranger.admin.certificate.read_bytes(),
        key=stranger.admin.key.read_bytes(),
    )
    transport = HTTPTransport(where)
    with pytest.raises(ServiceUnavailable):
        await (await transport.request("GET", "/who")).read()
    await transport.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_session_over_a_unix_socket(front: Front, keys: pki.PKI, tmp_path: Path, secure: bool) -> None:
    path = tmp_path / "api.sock"
    path.write_text("left by a process that was killed")
    await front.listen_unix(path, _context(keys) if secure else None)
    assert path.stat().st_mode & 0o777 == 0o600
    if secure:
        context = ssl.create_default_context(cafile=str(keys.ca.certificate))
        reader, writer = await asyncio.open_unix_connection(str(path), ssl=context, server_hostname="kubernetes")
        writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await _answer(reader))[0] == 200
        writer.close()
    else:
        await _session(Where(server="http://localhost", socket=path))


async def test_a_taken_port_is_an_error(front: Front, port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        await front.listen_tcp("127.0.0.1", port, None)


async def test_many_connections_at_once_are_all_served(port: int) -> None:
    async def one() -> int:
        async with connected(port) as (reader, writer):
            writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n")
            return (await _answer(reader))[0]

    assert await asyncio.gather(*(one() for _ in range(300))) == [200] * 300


# On the loop of a real cluster -------------------------------------------------------------------------------------

_ON_UVLOOP: tuple[Callable[..., Coroutine[None, None, None]], ...] = (
    test_pipelined_requests_are_answered_in_order,
    test_a_body_of_three_megabytes_is_taken_and_expected_ones_are_invited,
    test_a_watch_streams_and_notices_that_its_client_has_left,
    test_a_slow_reader_is_waited_for_and_costs_no_memory,
    test_an_upgraded_connection_belongs_to_its_taker,
    test_a_refused_upgrade_is_an_ordinary_answer,
    test_a_request_that_is_never_answered_is_timed_out,
    test_closing_lets_an_answer_finish_and_cuts_streams,
    test_a_session_over_tls_shows_the_client_certificate,
    test_a_certificate_of_another_authority_is_not_let_in,
    test_many_connections_at_once_are_all_served,
)


@pytest.mark.parametrize("scenario", _ON_UVLOOP, ids=lambda scenario: scenario.__name__)
def test_uvloop_behaves_the_same(
    scenario: Callable[..., Coroutine[None, None, None]], keys: pki.PKI, tmp_path: Path
) -> None:
    async def run() -> None:
        async with APIServer.in_memory(KINDS, clock=SystemClock(), plugins=_plugins) as server:
            front = Front(server.handle)
            port = await front.listen_tcp("127.0.0.1", 0, None)
            given = {"front": front, "port": port, "keys": keys, "tmp_path": tmp_path}
            await scenario(**{name: given[name] for name in inspect.signature(scenario).parameters})
            await front.close()

    uvloop.run(run())
