"""Answers on their way out: heads, bodies, chunked streams, and waiting while the peer is slow."""

from __future__ import annotations

import asyncio
import contextlib

from dabbawala.cluster.apiserver.response import Response

_REASONS = {
    101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently",
    302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Entity",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Outlet:
    """The writing side of one connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._drained: asyncio.Event | None = None
        self.streaming = False

    def pause(self) -> None:
        self._drained = asyncio.Event()

    def resume(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    @property
    def blocked(self) -> bool:
        """Whether the peer has yet to take what was written."""
        return self._drained is not None

    async def drain(self) -> None:
        """Until the peer has taken enough. Raises ConnectionError once it has left."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._drained is not None:
            await self._drained.wait()

    async def send(self, answer: Response, *, keep_alive: bool, body: bool) -> None:
        """Write an answer; without `body` (HEAD) only what says how it would be."""
        if isinstance(answer.body, bytes):
            start = head(answer, keep_alive, f"content-length: {len(answer.body)}")
            self._transport.write(start + answer.body if body else start)
        elif body:
            await self._stream(answer, keep_alive)
        else:
            await discard(answer)
            self._transport.write(head(answer, keep_alive, "transfer-encoding: chunked"))
        if self._drained is not None:
            await self._drained.wait()

    async def _stream(self, answer: Response, keep_alive: bool) -> None:
        assert not isinstance(answer.body, bytes)
        self.streaming = True
        try:
            async with contextlib.aclosing(answer.body) as chunks:
                self._transport.write(head(answer, keep_alive, "transfer-encoding: chunked"))
                async for chunk in chunks:
                    if self._transport.is_closing():
                        raise ConnectionResetError("the client has left")
                    if chunk:
                        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    if self._drained is not None:
                        await self._drained.wait()
            self._transport.write(b"0\r\n\r\n")
        finally:
            self.streaming = False


def head(answer: Response, keep_alive: bool, length: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length:
        lines.append(length)
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


async def discard(answer: Response) -> None:
    """Let go of an answer that nobody will read."""
    if not isinstance(answer.body, bytes):
        await answer.body.aclose()
