"""One HTTP/1.1 request over a tunnel, its answer streamed back; an upgrade (a websocket) becomes a relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import httptools

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import authn
from dabbawala.cluster.apiserver.kubelet_link import Link
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response, Tunnel

HEAD_SECONDS = 30.0
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "content-length", "host", "expect",
})  # fmt: skip
_PROTOCOLS = "sec-websocket-protocol"


@dataclass(frozen=True, slots=True)
class Asked:
    """The path to ask for (still encoded), the Host, and the path of the proxy itself, for redirects."""

    path: str
    host: str
    prefix: str


class _Parsed:
    """What httptools finds in an answer. Interim ones (100 Continue) are passed over; a 101 is the answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.code = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.head_done = False
        self.done = False

    def on_message_begin(self) -> None:
        self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.code = self.parser.get_status_code()
        self.head_done = self.code == 101 or self.code >= 200

    def on_body(self, data: bytes) -> None:
        self.chunks.append(data)

    def on_message_complete(self) -> None:
        self.done = self.head_done

    def take(self) -> bytes:
        data = b"".join(self.chunks)
        self.chunks.clear()
        return data


async def forward(request: Request, asked: Asked, link: Link) -> Response:
    """Raises ServiceUnavailable when there is no HTTP answer. The link is closed when the answer has been read."""
    try:
        await link.write(_request(request, asked))
        parsed = _Parsed()
        rest = await _read_head(link, parsed)
    except BaseException as failed:
        await link.close()
        if isinstance(failed, OSError | EOFError | TimeoutError | httptools.HttpParserError):
            raise status.ServiceUnavailable(
                f"error trying to reach service: {failed or type(failed).__name__}"
            ) from failed
        raise
    headers = _headers(parsed, asked)
    if parsed.code == 101:
        return _relay(parsed, rest, link)
    if request.method == "HEAD":
        await link.close()
        return Response(parsed.code, b"", headers)
    return Response(parsed.code, _body(link, parsed), headers)


def _request(request: Request, asked: Asked) -> bytes:
    query = f"?{urlencode(list(request.query))}" if request.query.pairs else ""
    upgrade = request.header("upgrade")
    sent = {"host": asked.host, **_kept(request)}
    sent |= {"connection": "upgrade", "upgrade": upgrade} if upgrade else {"connection": "close"}
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        sent["content-length"] = str(len(request.body))
    sent["x-forwarded-uri"] = f"{asked.prefix}{asked.path}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{request.method} {asked.path}{query} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + request.body


def _kept(request: Request) -> dict[str, str]:
    """What the workload is told. Who asks, and how they prove it, is for the API server alone."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in _HOP_BY_HOP and name != "authorization" and not name.startswith("impersonate-")
    }
    protocols = authn.without_token(kept.pop(_PROTOCOLS, ""))
    return {**kept, _PROTOCOLS: protocols} if protocols else kept


async def _read_head(link: Link, parsed: _Parsed) -> bytes:
    """Read to the end of the head; what followed an upgrade is given back."""
    async with asyncio.timeout(HEAD_SECONDS):
        while not parsed.head_done:
            data = await link.read()
            if not data:
                raise EOFError("EOF")
            try:
                parsed.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                return data[upgrade.args[0] :]
    return b""


def _headers(parsed: _Parsed, asked: Asked) -> dict[str, str]:
    headers = {name: value for name, value in parsed.headers.items() if name not in _HOP_BY_HOP}
    location = headers.get("location", "")
    if location and (location.startswith("/") or urlsplit(location).netloc == asked.host):
        parts = urlsplit(location)
        headers["location"] = asked.prefix + parts.path + (f"?{parts.query}" if parts.query else "")
    return headers


async def _body(link: Link, parsed: _Parsed) -> AsyncGenerator[bytes, None]:
    try:
        while True:
            chunk = parsed.take()
            if chunk:
                yield chunk
            if parsed.done:
                return
            data = await link.read()
            if not data:
                return
            parsed.parser.feed_data(data)
    except httptools.HttpParserError as broken:
        raise ConnectionResetError(f"the answer broke off: {broken}") from broken
    finally:
        await link.close()


def _relay(parsed: _Parsed, rest: bytes, link: Link) -> Response:
    """The program has accepted an upgrade: bytes both ways from here on."""

    async def takeover(connection: Tunnel) -> None:
        async def inward() -> None:
            while data := await connection.read():
                await link.write(data)
            link.end()

        async def outward() -> None:
            if rest:
                await connection.write(rest)
            while data := await link.read():
                await connection.write(data)

        tasks = [asyncio.create_task(inward()), asyncio.create_task(outward())]
        try:
            with contextlib.suppress(ConnectionError):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await link.close()

    kept = {name: value for name, value in parsed.headers.items() if name.startswith("sec-websocket")}
    headers = {"connection": "Upgrade", "upgrade": parsed.headers.get("upgrade", "websocket"), **kept}
    return Response(101, headers=headers, upgrade=takeover)
