"""From the API server to a node's agent: requests and tunnels over the agent's unix socket.

The Node's annotation says where the socket is. Simulated nodes have none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import orjson

from dabbawala.apimachinery import meta, status
from dabbawala.client import tunnel
from dabbawala.cluster.apiserver.objects import Objects

SOCKET_ANNOTATION = "dabbawala.dev/kubelet-socket"
HEAD_SECONDS = 30.0
CHUNK = 64 * 1024

Query = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Link:
    """A tunnel to an agent: framed (exec, attach) or raw bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        return await self.reader.read(CHUNK)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def end(self) -> None:
        """Nothing more will be written."""
        with contextlib.suppress(OSError, RuntimeError):
            self.writer.write_eof()

    async def close(self) -> None:
        self.writer.close()


@dataclass(slots=True)
class Reply:
    """An agent's answer: status, content type, body as it comes."""

    status: int
    content_type: str
    body: AsyncGenerator[bytes, None]

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body])


class KubeletLink:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def socket(self, node: str) -> str:
        """Where a node's agent listens; empty for a simulated node. Raises NotFound for no such node."""
        found = self._objects.get("nodes", "", node)
        if found is None:
            raise status.not_found("nodes", node)
        return meta.annotations(found).get(SOCKET_ANNOTATION, "")

    def nodes(self) -> list[str]:
        """The nodes that have an agent."""
        every = self._objects.list("nodes")
        return [meta.name(one) for one in every if meta.annotations(one).get(SOCKET_ANNOTATION)]

    async def get(self, node: str, path: str, query: Query = ()) -> Reply:
        """Ask the agent. Raises the agent's own StatusError, or ServiceUnavailable when it does not answer."""
        reader, writer = await self._send(node, "GET", path, query, upgrade=False)
        head = await self._head(node, reader, writer)
        if head.status >= 400:
            raise await _refusal(head, reader, writer)
        return Reply(head.status, head.headers.get("content-type", "text/plain"), _body(head, reader, writer))

    async def upgrade(self, node: str, path: str, query: Query = ()) -> Link:
        """A tunnel to what the path names."""
        reader, writer = await self._send(node, "POST", path, query, upgrade=True)
        head = await self._head(node, reader, writer)
        if head.status != 101:
            raise await _refusal(head, reader, writer)
        return Link(reader, writer)

    async def _send(
        self, node: str, method: str, path: str, query: Query, *, upgrade: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = self.socket(node)
        if not where:
            raise status.BadRequest(f'node "{node}" is simulated: there is no program to reach on it')
        try:
            reader, writer = await asyncio.open_unix_connection(where, limit=tunnel.MAX_HEAD)
        except OSError as away:
            raise _away(node, away) from away
        target = quote(path) + (f"?{urlencode(list(query))}" if query else "")
        asked = f"connection: upgrade\r\nupgrade: {tunnel.PROTOCOL}\r\n" if upgrade else "connection: close\r\n"
        writer.write(f"{method} {target} HTTP/1.1\r\nhost: kubelet\r\n{asked}\r\n".encode())
        return reader, writer

    async def _head(self, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tunnel.Head:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                return await tunnel.read_head(reader)
        except (OSError, EOFError, TimeoutError) as away:
            writer.close()
            raise _away(node, away) from away
        except BaseException:
            writer.close()
            raise


def _away(node: str, error: BaseException) -> status.ServiceUnavailable:
    return status.ServiceUnavailable(f'the agent of node "{node}" does not answer: {error or type(error).__name__}')


async def _refusal(head: tunnel.Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> status.StatusError:
    body = b"".join([chunk async for chunk in _body(head, reader, writer)])
    try:
        return status.from_status(orjson.loads(body), head.status)
    except orjson.JSONDecodeError:
        return status.InternalError(f"the node's agent answered {head.status}: {body[:500].decode(errors='replace')}")


async def _body(
    head: tunnel.Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator[bytes, None]:
    """The body, by its length or in chunks. An answer that is cut off raises ConnectionError."""
    try:
        if head.headers.get("transfer-encoding", "") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                yield (await reader.readexactly(size + 2))[:-2]
        else:
            left = int(head.headers.get("content-length", "0"))
            while left and (chunk := await reader.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk
    except EOFError as cut:
        raise ConnectionResetError("the node's agent went away in the middle of its answer") from cut
    finally:
        writer.close()
