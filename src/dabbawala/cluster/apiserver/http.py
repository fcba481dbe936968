"""HTTP/1.1 for the API server: an asyncio protocol on httptools, over TCP with TLS, or unix sockets.

One request at a time on a connection (pipelined ones wait their turn), answered as bytes, as a stream, or by handing
the connection over. Limits: 64 KiB of headers, 3 MiB of body, 15 s for a request to arrive, 60 s for one that is not
long-running to be answered, 60 s for a peer to take what it asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httptools

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.request import Query, Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.tunnel import ConnectionTunnel

log = logging.getLogger("dabbawala.apiserver.http")

MAX_HEADERS = 64 << 10  # bytes of request line and headers
MAX_BODY = 3 << 20  # bytes
MAX_PIPELINED = 16  # requests read ahead on one connection
BACKLOG = 2048
ARRIVAL_SECONDS = 15.0
ANSWER_SECONDS = 60.0
IDLE_SECONDS = 300.0
LINGER_SECONDS = 1.0
SWEEP_SECONDS = 5.0

Handle = Callable[[Request], Awaitable[Response]]

_REASONS = {
    101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently",
    302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Entity",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Front:
    """Listeners in front of one `handle`. `close` ends streams and connections, politely first."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def listen_tcp(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Listen, and return the port (useful with port 0). Raises OSError when the port is taken."""
        listener = socket.create_server((host, port), backlog=BACKLOG)
        listener.setblocking(False)
        server = await asyncio.get_running_loop().create_server(
            self._connection, sock=listener, ssl=context, backlog=BACKLOG
        )
        self._serve(server)
        return int(listener.getsockname()[1])

    async def listen_unix(self, path: Path, context: ssl.SSLContext | None = None) -> None:
        """Listen on a unix socket that only its owner may use, replacing one that nobody serves any more."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        server = await asyncio.get_running_loop().create_unix_server(
            self._connection, sock=listener, ssl=context, backlog=BACKLOG
        )
        self._serve(server)

    def _connection(self) -> Connection:
        return Connection(self)

    def _serve(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="http sweeper")

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in tuple(self.connections):
                connection.expire(loop.time())

    async def close(self, *, grace_seconds: float = 1.0) -> None:
        """Stop listening, let answers under way finish for a moment, then cut every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for connection in tuple(self.connections):
            connection.finish()
        deadline = asyncio.get_running_loop().time() + grace_seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        for connection in tuple(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection. The parser calls `on_*`; complete requests queue, and one task at a time answers them."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser: Any = httptools.HttpRequestParser(self)
        self._peer_certificate: dict[str, Any] | None = None
        self._client = ""
        self._queue: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._tunnel: ConnectionTunnel | None = None
        self._drained: asyncio.Event | None = None
        self._since = self._loop.time()  # of the state that `expire` looks at
        self._streaming = False
        self._refused = False
        self._upgrading = False  # the client has asked to; the parser reads no further
        self._closing = False
        self._arriving = False
        self._serving: Request | None = None
        self._rest: bytes = b""  # what came after a request to upgrade
        self._begin()

    # The transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        self._peer_certificate = transport.get_extra_info("peercert") or None
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) and peer else "unix"
        self._front.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self._front.connections.discard(self)
        self._resume()
        if self._tunnel is not None:
            self._tunnel.feed_end()
        elif self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if self._upgrading:
            self._rest += data
            return
        if self._refused:
            return
        self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            self._rest = data[upgrade.args[0] :]
            self._transport.pause_reading()  # until somebody takes the connection over
        except httptools.HttpParserError as error:
            self._refuse(status.BadRequest(f"malformed HTTP request: {error}"))
            return
        if self._header_bytes > MAX_HEADERS or (not self._headers_done and self._unfinished > MAX_HEADERS):
            self._refuse(status.BadRequest(f"request headers larger than {MAX_HEADERS} bytes"))

    def eof_received(self) -> bool:
        if self._tunnel is not None:
            self._tunnel.feed_end()
            return True  # the other direction stays open
        return False

    def pause_writing(self) -> None:
        self._drained = asyncio.Event()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        self._resume()

    def _resume(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    # The parser's side -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._header_bytes = 0
        self._unfinished = 0  # bytes received since the read in which the message began
        self._headers_done = False
        self._rest = b""

    def on_message_begin(self) -> None:
        self._begin()
        self._arriving = True
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        present = self._headers.get(key)
        self._headers[key] = text if present is None else f"{present},{text}"

    def on_headers_complete(self) -> None:
        self._headers_done = True
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            self._refuse(_too_large())
        elif self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY:
            self._refuse(_too_large())
        elif not self._refused:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            self._parser.get_method().decode("latin-1"),
            path,
            Query.parse(query),
            self._headers,
            b"".join(self._body),
            self._peer_certificate,
            self._client,
        )
        self._queue.append((request, self._parser.should_keep_alive()))
        self._arriving = False
        self._header_bytes = self._unfinished = 0
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())
        elif len(self._queue) >= MAX_PIPELINED:
            self._transport.pause_reading()

    # Answering ---------------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        try:
            while self._queue and not self._closing:
                request, keep_alive = self._queue.popleft()
                self._since = self._loop.time()
                if not await self._answer(request, keep_alive):
                    self._transport.close()
                    return
                if len(self._queue) == MAX_PIPELINED - 1:
                    self._transport.resume_reading()
        except (ConnectionError, asyncio.CancelledError):
            self._transport.close()
        except Exception:
            log.exception("a connection failed")
            self._transport.abort()
        finally:
            self._task = None
            self._since = self._loop.time()

    async def _answer(self, request: Request, keep_alive: bool) -> bool:
        """Send one answer; whether the connection can go on."""
        self._serving = request
        answer = await self._front.handle(request)
        if self._transport.is_closing():
            await _discard(answer)
            return False
        if answer.upgrade is not None:
            await self._hand_over(answer)
            return False
        keep_alive = keep_alive and not self._closing and not self._upgrading
        if isinstance(answer.body, bytes):
            head = _head(answer, keep_alive, f"content-length: {len(answer.body)}")
            self._transport.write(head if request.method == "HEAD" else head + answer.body)
        elif request.method == "HEAD":
            await _discard(answer)
            self._transport.write(_head(answer, keep_alive, "transfer-encoding: chunked"))
        else:
            await self._stream(answer, keep_alive)
        if self._drained is not None:
            await self._drained.wait()
        return keep_alive

    async def _stream(self, answer: Response, keep_alive: bool) -> None:
        assert not isinstance(answer.body, bytes)
        self._streaming = True
        try:
            async with contextlib.aclosing(answer.body) as chunks:
                self._transport.write(_head(answer, keep_alive, "transfer-encoding: chunked"))
                async for chunk in chunks:
                    if self._transport.is_closing():
                        raise ConnectionResetError("the client has left")
                    if chunk:
                        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    if self._drained is not None:
                        await self._drained.wait()
            self._transport.write(b"0\r\n\r\n")
        finally:
            self._streaming = False

    async def _hand_over(self, answer: Response) -> None:
        assert answer.upgrade is not None
        self._tunnel = ConnectionTunnel(self._transport, self._drain)
        if self._rest:
            self._tunnel.feed(self._rest)
        self._transport.write(_head(answer, True, ""))
        self._transport.resume_reading()
        try:
            await answer.upgrade(self._tunnel)
        finally:
            await self._tunnel.close()

    async def _drain(self) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._drained is not None:
            await self._drained.wait()

    def _refuse(self, error: status.StatusError) -> None:
        """Answer an unreadable request, and close: what follows on the connection means nothing. It is still read
        for a moment, because closing at once would make the client miss the answer."""
        if self._refused or self._transport.is_closing():
            return
        self._refused = True
        answer = response.failure(error)
        assert isinstance(answer.body, bytes)
        self._transport.write(_head(answer, False, f"content-length: {len(answer.body)}") + answer.body)
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    # Endings -----------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Called every few seconds: end what has taken too long."""
        waited = now - self._since
        if self._tunnel is not None:
            return
        if self._drained is not None:
            if waited > ANSWER_SECONDS:
                self.abort()
        elif self._task is not None:
            if waited > ANSWER_SECONDS and not self._takes_long():
                self._refuse(status.Timeout("request did not complete within the allotted time"))
                self._task.cancel()
        elif waited > (ARRIVAL_SECONDS if self._arriving else IDLE_SECONDS):
            self._transport.close()

    def _takes_long(self) -> bool:
        return self._streaming or (self._serving is not None and self._serving.long_running)

    def finish(self) -> None:
        """Close once the answer under way is sent; at once when there is none, or when it never ends."""
        self._closing = True
        if self._task is None:
            self._transport.close()
        elif self._streaming or self._tunnel is not None:
            self._task.cancel()

    def abort(self) -> None:
        self._transport.abort()


def _head(answer: Response, keep_alive: bool, length: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length:
        lines.append(length)
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


async def _discard(answer: Response) -> None:
    if not isinstance(answer.body, bytes):
        await answer.body.aclose()


def _too_large() -> status.RequestEntityTooLarge:
    return status.RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY} bytes")
