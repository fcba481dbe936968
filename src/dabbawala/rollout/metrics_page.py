"""The page of the capability's numbers, and whether it lives: GET /metrics and GET /healthz over plain HTTP.

A small server of its own, for the embedded cluster's control plane does without a large one. It is read by Prometheus
and by probes: one request a connection, no body, nothing that a request could change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

REQUEST_BYTES_MAX = 16 * 1024
REQUEST_SECONDS_MAX = 10.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[str, str]
"""Status line's end, and body."""


class CannotListen(Exception):
    """The address cannot be had; the message says why and what to do."""


class MetricsPage:
    """`render` gives the text of /metrics."""

    def __init__(self, render: Callable[[], Awaitable[str]]) -> None:
        self._pages: dict[str, Callable[[], Awaitable[str]]] = {"/metrics": render, "/healthz": _ok}

    @asynccontextmanager
    async def listening(self, address: str | Path) -> AsyncIterator[str]:
        """Serve at `host:port`, or at a unix socket, and give the address that was bound. Raises CannotListen."""
        server = await self._listen(address)
        try:
            yield _shown(server)
        finally:
            server.close()
            if isinstance(address, Path):
                address.unlink(missing_ok=True)

    async def _listen(self, address: str | Path) -> asyncio.Server:
        limit = REQUEST_BYTES_MAX
        try:
            if isinstance(address, Path):
                address.unlink(missing_ok=True)  # of a control plane that was killed
                server = await asyncio.start_unix_server(self._serve, address, limit=limit)
                address.chmod(0o600)
                return server
            host, port = split(address)
            return await asyncio.start_server(self._serve, host, port, limit=limit)
        except OSError as error:
            raise CannotListen(f"metrics cannot be served at {address}: {error}; choose another address") from error

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or says nothing that can be answered
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        status, text = await self._page(method, path)
        body = text.encode()
        lines = (f"HTTP/1.1 {status}", f"Content-Type: {CONTENT_TYPE}", f"Content-Length: {len(body)}",
                 "Connection: close", "", "")  # fmt: skip
        return "\r\n".join(lines).encode() + (b"" if method == "HEAD" else body)

    async def _page(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "ask with GET\n"
        page = self._pages.get(path)
        if page is None:
            return "404 Not Found", "there are /metrics and /healthz\n"
        return "200 OK", await page()


async def _ok() -> str:
    return "ok\n"


def split(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `:port` (every address). Raises CannotListen."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise CannotListen(f"{address!r} is no address to serve metrics at; give host:port, such as 127.0.0.1:8090")
    return host.strip("[]") or "0.0.0.0", int(port)


def _shown(server: asyncio.Server) -> str:
    name = server.sockets[0].getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
