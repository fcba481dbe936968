"""An upgraded connection as a tunnel: raw bytes both ways, with back-pressure both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_HIGH = 256 << 10  # bytes waiting to be read before the peer is made to wait


class ConnectionTunnel:
    """`response.Tunnel` over a transport. The protocol feeds it what arrives."""

    def __init__(self, transport: asyncio.Transport, drain: Callable[[], Awaitable[None]]) -> None:
        self._transport = transport
        self._drain = drain
        self._received: list[bytes] = []
        self._size = 0
        self._ended = False
        self._paused = False
        self._arrived = asyncio.Event()

    def feed(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > _HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()

    def feed_end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def read(self) -> bytes:
        """Whatever has arrived; b"" once the peer has closed its side."""
        while not self._received:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = b"".join(self._received)
        self._received.clear()
        self._size = 0
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow. Raises ConnectionError once the connection is lost."""
        await self._drain()
        self._transport.write(data)
        await self._drain()

    async def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
