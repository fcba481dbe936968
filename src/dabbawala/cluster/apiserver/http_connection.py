"""One HTTP/1.1 connection: requests in, answers out, in order, until somebody ends it or takes it over.

An answer is bytes, a stream, or the connection itself (an upgrade). Whoever is too slow is ended: a request that does
not arrive, one that is not answered, a peer that does not take what it asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.http_answers import Outlet, discard, head
from dabbawala.cluster.apiserver.http_requests import RequestReader
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.tunnel import ConnectionTunnel

log = logging.getLogger("dabbawala.apiserver.http")

MAX_PIPELINED = 16  # requests read ahead on one connection
ARRIVAL_SECONDS = 15.0
ANSWER_SECONDS = 60.0
IDLE_SECONDS = 300.0
LINGER_SECONDS = 1.0

Handle = Callable[[Request], Awaitable[Response]]


class Connection(asyncio.Protocol):
    """One connection: whole requests queue, and one task at a time answers them."""

    def __init__(self, handle: Handle, connections: set[Connection]) -> None:
        self._handle = handle
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader: RequestReader
        self._queue: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._serving: Request | None = None
        self._tunnel: ConnectionTunnel | None = None
        self._out: Outlet
        self._since = self._loop.time()  # of the state that `expire` looks at
        self._refused = False
        self._closing = False

    # The transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        self._out = Outlet(self._transport)
        peer = transport.get_extra_info("peername")
        self._reader = RequestReader(
            self._take,
            self._refuse,
            self._transport.write,
            peer_certificate=transport.get_extra_info("peercert") or None,
            client=str(peer[0]) if isinstance(peer, tuple) and peer else "unix",
        )
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self._connections.discard(self)
        self._out.resume()
        if self._tunnel is not None:
            self._tunnel.feed_end()
        elif self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if not self._reader.arriving:
            self._since = self._loop.time()
        self._reader.feed(data)
        if self._reader.upgrading:
            self._transport.pause_reading()  # until somebody takes the connection over

    def eof_received(self) -> bool:
        if self._tunnel is not None:
            self._tunnel.feed_end()
            # The other direction stays open, which TLS does not know.
            return self._transport.get_extra_info("sslcontext") is None
        return False

    def pause_writing(self) -> None:
        self._out.pause()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        self._out.resume()

    def _take(self, request: Request, keep_alive: bool) -> None:
        """A whole request has arrived."""
        self._since = self._loop.time()
        self._queue.append((request, keep_alive))
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
        answer = await self._handle(request)
        if self._transport.is_closing():
            await discard(answer)
            return False
        if answer.upgrade is not None:
            await self._hand_over(answer)
            return False
        keep_alive = keep_alive and not self._closing and not self._reader.upgrading
        await self._out.send(answer, keep_alive=keep_alive, body=request.method != "HEAD")
        return keep_alive

    async def _hand_over(self, answer: Response) -> None:
        assert answer.upgrade is not None
        self._tunnel = ConnectionTunnel(self._transport, self._out.drain)
        if self._reader.rest:
            self._tunnel.feed(self._reader.rest)
        self._transport.write(head(answer, True, ""))
        self._transport.resume_reading()
        try:
            await answer.upgrade(self._tunnel)
        finally:
            await self._tunnel.close()

    def _refuse(self, error: status.StatusError) -> None:
        """Answer an unreadable request, and close: what follows on the connection means nothing. It is still read
        for a moment, because closing at once would make the client miss the answer."""
        if self._refused or self._transport.is_closing():
            return
        self._refused = True
        answer = response.failure(error)
        assert isinstance(answer.body, bytes)
        self._transport.write(head(answer, False, f"content-length: {len(answer.body)}") + answer.body)
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    # Endings -----------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Called every few seconds: end what has taken too long."""
        waited = now - self._since
        if self._tunnel is not None:
            return
        if self._out.blocked:
            if waited > ANSWER_SECONDS:
                self.abort()
        elif self._task is not None:
            long = self._out.streaming or (self._serving is not None and self._serving.long_running)
            if waited > ANSWER_SECONDS and not long:
                if self._serving is not None:
                    self._serving.expired = True
                self._refuse(status.Timeout("request did not complete within the allotted time"))
                self._task.cancel()
        elif waited > (ARRIVAL_SECONDS if self._reader.arriving else IDLE_SECONDS):
            self._transport.close()

    def finish(self) -> None:
        """Close once the answer under way is sent; at once when there is none, or when it never ends."""
        self._closing = True
        if self._task is None:
            self._transport.close()
        elif self._out.streaming or self._tunnel is not None:
            self._task.cancel()

    def abort(self) -> None:
        self._transport.abort()
