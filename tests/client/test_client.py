"""The client against the real server in memory, and against what strange servers answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.status import Expired, NotFound, ServiceUnavailable, StatusError
from dabbawala.client.client import PAGE_SIZE, Client
from dabbawala.client.dialer import ServiceAddress, service_of
from dabbawala.client.transport import Response
from dabbawala.cluster.apiserver.app import APIServer


class Canned:
    """A server that answers every request with the same chunks."""

    def __init__(self, status: int, *chunks: bytes) -> None:
        self._status = status
        self._chunks = chunks
        self.asked: list[tuple[str, str]] = []

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
