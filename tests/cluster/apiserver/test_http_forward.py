"""One request to a workload and its answer: what passes, and what stays here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dabbawala.cluster.apiserver import http_forward
from dabbawala.cluster.apiserver.http_forward import Asked
from dabbawala.cluster.apiserver.kubelet_link import Link
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response

ASKED = Asked("/path", "workload:80", "/proxy")
TOKEN = "base64url.bearer.authorization.k8s.io.c2VjcmV0"


class Workload:
    """Answers one request with given bytes, piece by piece, and remembers its head."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.head: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        for piece in self._pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def answering(self, request: Request) -> AsyncIterator[Response]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield await asyncio.wait_for(http_forward.forward(request, ASKED, Link(reader, writer)), 10)
        finally:
            writer.close()
            server.close()


async def body(answer: Response) -> bytes:
    assert not isinstance(answer.body, bytes)
    return b"".join([chunk async for chunk in answer.body])


@pytest.mark.parametrize(
    ("offered", "forwarded"),
    [(f"{TOKEN}, chat", "chat"), (f"chat,{TOKEN},news", "chat, news"), (TOKEN, None), ("chat", "chat")],
)
async def test_a_workload_never_sees_who_asks_and_how_they_prove_it(offered: str, forwarded: str | None) -> None:
    workload = Workload(b"HTTP/1.1 204 No Content\r\n\r\n")
    secret = {"authorization": "Bearer secret", "impersonate-user": "ann", "impersonate-extra-scopes": "all"}
    request = Request("GET", "/", headers={**secret, "sec-websocket-protocol": offered, "x-kept": "yes"})
    async with workload.answering(request) as answer:
        assert answer.status == 204
    headers = dict(line.split(": ", 1) for line in workload.head[1:])
    assert headers.get("sec-websocket-protocol") == forwarded
    assert headers["x-kept"] == "yes"
    assert not [name for name in headers if name in secret]


CONTINUE = b"HTTP/1.1 100 Continue\r\nx-interim: yes\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
CREATED = b"HTTP/1.1 201 Created\r\nx-final: yes\r\ncontent-length: 4\r\n\r\ndone"


@pytest.mark.parametrize(
    "pieces",
    [
        [CONTINUE + CREATED],
        [CONTINUE, EARLY, CREATED],
        [bytes([byte]) for byte in CONTINUE + EARLY + CREATED],
    ],
    ids=["at once", "apart", "byte by byte"],
)
async def test_interim_answers_are_passed_over(pieces: list[bytes]) -> None:
    request = Request("POST", "/", headers={"expect": "100-continue"}, body=b"sent")
    workload = Workload(*pieces)
    async with workload.answering(request) as answer:
        assert (answer.status, await body(answer)) == (201, b"done")
        assert answer.headers == {"x-final": "yes"}
    assert not [line for line in workload.head if line.startswith("expect:")]


async def test_an_upgrade_after_an_interim_answer_is_the_answer() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    request = Request("GET", "/", headers={"connection": "upgrade", "upgrade": "websocket"})
    async with Workload(CONTINUE + switched + b"frame").answering(request) as answer:
        assert answer.status == 101
        assert answer.upgrade is not None
