"""HTTP/1.1 for the API server, over TCP with TLS, or unix sockets: the listeners.

Limits are in `http_requests` (sizes) and `http_connection` (times).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from dabbawala.cluster.apiserver.http_connection import Connection, Handle

BACKLOG = 2048
SWEEP_SECONDS = 5.0


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
        return Connection(self.handle, self.connections)

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
