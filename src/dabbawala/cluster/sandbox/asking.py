"""One request to the holder or to a shim, from asyncio: the part that every client method shares."""

from __future__ import annotations

import asyncio
import socket

from dabbawala.cluster.sandbox import sessions, wire

_REQUEST_SECONDS = 30.0


class HolderGone(Exception):
    """The holder, or the shim of the pod, does not answer: it was never started, or it has ended."""


class Asking:
    """Where the sockets of one cluster's sandbox are, and how they are asked."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir

    def holder_path(self) -> str:
        return f"{self.run_dir}/holder.sock"

    def pod_path(self, uid: str) -> str:
        return f"{self.run_dir}/pods/{uid}.sock"

    async def ask(self, request: wire.Message, *, timeout: float | None = _REQUEST_SECONDS) -> wire.Message:
        return await self._ask_at(self.holder_path(), request, timeout)

    async def ask_pod(self, uid: str, request: wire.Message) -> wire.Message:
        return await self._ask_at(self.pod_path(uid), request, _REQUEST_SECONDS)

    async def open(self, path: str) -> sessions.Connection:
        try:
            return await sessions.connect(path)
        except OSError as error:
            raise HolderGone(f"nothing answers at {path}: {error.strerror or error}") from error

    async def _ask_at(self, path: str, request: wire.Message, timeout: float | None) -> wire.Message:
        connection = await self.open(path)
        try:
            async with asyncio.timeout(timeout):
                await connection.send(request)
                return await connection.answer()
        except (ConnectionError, EOFError) as error:
            raise HolderGone(f"{path} ended without an answer") from error
        finally:
            connection.close()

    async def ask_for_socket(self, path: str, request: wire.Message) -> socket.socket:
        """A request whose answer is a socket made in another network."""
        connection = await self.open(path)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await connection.send(request)
                await connection.answer()
            (descriptor,) = connection.take_descriptors()
        except (ConnectionError, EOFError) as error:
            raise HolderGone(f"{path} ended without an answer") from error
        finally:
            connection.close()
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        return made


async def connect(made: socket.socket, host: str, port: int, timeout: float) -> socket.socket:
    """Connect it, or close it."""
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    return made
