"""The client against the real server in memory, and against what strange servers answer."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.status import Expired, NotFound, ServiceUnavailable, StatusError
from dabbawala.client import client as api
from dabbawala.client.client import PAGE_SIZE, Client
from dabbawala.client.dialer import ServiceAddress, service_of
from dabbawala.client.http import HTTPTransport, kept_alive
from dabbawala.client.kubeconfig import Connection
from dabbawala.client.transport import Response
from dabbawala.cluster.apiserver.app import APIServer


class Canned:
    """A server that answers every request with the same chunks."""

    def __init__(self, status: int, *chunks: bytes) -> None:
        self._status = status
        self._chunks = chunks
        self.asked: list[tuple[str, str]] = []
        self.queries: list[dict[str, str]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        self.asked.append((method, path))
        self.queries.append(dict(query))
        return Response(self._status, {}, self._stream())

    async def _stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    async def close(self) -> None:
        return None


async def test_a_list_follows_every_page() -> None:
    async with APIServer.in_memory(KINDS, clock=VirtualClock()) as server:
        client = server.client()
        for index in range(PAGE_SIZE + 3):
            await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": f"n{index:05}"}}, "default")
        found = await client.list(core_v1.CONFIG_MAP)
    assert [item["metadata"]["name"] for item in found.items] == [f"n{index:05}" for index in range(PAGE_SIZE + 3)]
    assert found.resource_version == str(server.core.store.revision)


async def test_events_are_whole_however_the_bytes_were_cut() -> None:
    stream = b'{"type":"ADDED","object":{"a":1}}\n{"type":"DELETED","object":{"a":2}}\n'
    for cut in range(1, len(stream)):
        client = Client(Canned(200, stream[:cut], stream[cut:]))
        events = [(event.type, event.object["a"]) async for event in client.watch(core_v1.POD)]
        assert events == [("ADDED", 1), ("DELETED", 2)]


async def test_an_error_event_is_raised_as_its_status() -> None:
    line = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n'
    with pytest.raises(Expired, match="too old"):
        async for _ in Client(Canned(200, line)).watch(core_v1.POD):
            pytest.fail("an error is no event")


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (404, b'{"kind":"Status","reason":"NotFound","message":"gone","code":404}', NotFound),
        (404, b'{"kind":"Status","reason":"NotFound","code":404}', NotFound),
        (503, b"upstream connect error", ServiceUnavailable),
        (502, b"", StatusError),
        (500, b"[1, 2]", StatusError),
    ],
)
async def test_every_failure_is_a_status_error(code: int, body: bytes, error: type[StatusError]) -> None:
    with pytest.raises(error):
        await Client(Canned(code, body)).get(core_v1.POD, "p", "default")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("prometheus.monitoring.svc.cluster.local", ServiceAddress("monitoring", "prometheus")),
        ("prometheus.monitoring.svc", ServiceAddress("monitoring", "prometheus")),
        ("example.com", None),
        ("svc", None),
        ("a.b.c.svc", None),
    ],
)
def test_only_names_of_services_mean_services(host: str, found: ServiceAddress | None) -> None:
    assert service_of(host) == found


async def test_a_watch_asks_for_its_end_after_five_to_ten_minutes_chosen_at_random() -> None:
    server = Canned(200)
    client = Client(server, dice=random.Random(7)).writing_as("me")
    for _ in range(200):
        async for _ in client.watch(core_v1.POD):
            pytest.fail("there are no events")
    asked = sorted(int(query["timeoutSeconds"]) for query in server.queries)
    assert asked[0] in range(300, 310)
    assert asked[-1] in range(590, 600)


async def silent_server(answer: bytes) -> asyncio.Server:
    """Answers so much, and then never again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"])
async def test_a_server_that_falls_silent_is_given_up(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CALL_SECONDS_MAX", 0.05)
    monkeypatch.setattr(api, "SILENCE_SECONDS_MAX", 0.05)
    async with await silent_server(answer) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client(HTTPTransport(Connection(server=f"http://127.0.0.1:{port}")))
        with pytest.raises(ServiceUnavailable, match=r"nothing from the API server within 0\.05 s"):
            await client.get(core_v1.POD, "a", "default")
        with pytest.raises(ServiceUnavailable, match=r"watch.*: nothing from the API server within 0\.05 s"):
            async for _ in client.watch(core_v1.POD):
                pytest.fail("there are no events")
        await client.close()


def test_connections_are_kept_alive_by_the_kernel() -> None:
    with kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
