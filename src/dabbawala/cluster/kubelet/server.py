"""What a node answers: logs, exec, attach, port-forward, dial, stats, over plain HTTP/1.1 on a unix socket.

Only the API server connects here (the socket is the user's own); it has authenticated and authorised whoever asks. One
request a connection. Streams are upgrades (`Upgrade: dabba-stream`), see `client/tunnel.py`. Paths are the real
kubelet's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import StatusError
from dabbawala.client import tunnel
from dabbawala.cluster.kubelet import log_requests, stats, tunnels
from dabbawala.cluster.kubelet.agent import Agent
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure
from dabbawala.cluster.kubelet.stats import Sampler

log = logging.getLogger("dabbawala.kubelet")

BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: method, path segments, query with repeated names, whether it asks for an upgrade."""

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, list[str]]
    upgrade: bool

    def one(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        return self.one(name, "false").lower() not in ("", "0", "f", "false")


@dataclass(frozen=True, slots=True)
class Line:
    """The connection of one request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, code: int, body: bytes, content_type: str = "application/json") -> None:
        head = f"HTTP/1.1 {code} -\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        self.writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        await self.writer.drain()

    async def stream(self, chunks: AsyncIterator[bytes], content_type: str = "text/plain") -> None:
        head = f"HTTP/1.1 200 -\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n"
        self.writer.write(f"{head}\r\n".encode())
        await self.writer.drain()
        async for chunk in chunks:
            self.writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await self.writer.drain()
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def switch(self) -> None:
        """Say yes to an upgrade; from here on the connection is a tunnel."""
        self.writer.write(f"HTTP/1.1 101 -\r\nconnection: upgrade\r\nupgrade: {tunnel.PROTOCOL}\r\n\r\n".encode())
        await self.writer.drain()


Route = Callable[[Asked, Line], Awaitable[None]]


class KubeletServer:
    """Serves one agent. `run` works until cancelled; the socket is replaced if an earlier agent left one."""

    def __init__(self, agent: Agent, path: Path) -> None:
        self._agent = agent
        self._path = path
        self._sampler = Sampler(agent)
        self._routes: dict[str, Route] = {
            "healthz": self._healthz,
            "pods": self._pods,
            "containerLogs": self._logs,
            "exec": self._exec,
            "attach": self._attach,
            "portForward": self._port_forward,
            "dial": self._dial,
            "stats": self._stats,
            "metrics": self._metrics,
        }

    async def run(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        server = await asyncio.start_unix_server(self._serve, self._path, limit=tunnel.MAX_HEAD, backlog=BACKLOG)
        os.chmod(self._path, 0o600)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        try:
            asked = _parse(await tunnel.read_head(reader))
            await self._answer(asked, line)
        except (ConnectionError, EOFError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _answer(self, asked: Asked, line: Line) -> None:
        route = self._routes.get(asked.segments[0] if asked.segments else "")
        try:
            if route is None:
                raise status.NotFound("the kubelet has no such path")
            await route(asked, line)
        except StatusError as error:
            await line.answer(error.code, orjson.dumps(error.to_status()))
        except RuntimeFailure as failed:
            refusal = _as_status(failed)
            await line.answer(refusal.code, orjson.dumps(refusal.to_status()))
        except ConnectionError:
            raise
        except Exception as defect:
            log.exception("kubelet request %s", "/".join(asked.segments))
            await line.answer(500, orjson.dumps(status.InternalError(str(defect)).to_status()))

    # --- plain answers -----------------------------------------------------------------------------------------

    async def _healthz(self, asked: Asked, line: Line) -> None:
        await line.answer(200, b"ok", "text/plain")

    async def _pods(self, asked: Asked, line: Line) -> None:
        items: list[Object] = [worker.state.pod for worker in self._agent.workers.values()]
        await line.answer(200, orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))

    async def _stats(self, asked: Asked, line: Line) -> None:
        await line.answer(200, orjson.dumps(stats.summary(self._agent.parts.identity, await self._sampler.sample())))

    async def _metrics(self, asked: Asked, line: Line) -> None:
        text = stats.exposition(await self._sampler.sample())
        await line.answer(200, text.encode(), "text/plain; version=0.0.4")

    async def _logs(self, asked: Asked, line: Line) -> None:
        namespace, pod, container = _three(asked)
        wanted = log_requests.Wanted(namespace, pod, container, asked.query)
        await line.stream(log_requests.open_log(self._agent, wanted))

    # --- streams -----------------------------------------------------------------------------------------------

    async def _exec(self, asked: Asked, line: Line) -> None:
        namespace, pod, container = _three(asked)
        session = await tunnels.begin_exec(self._agent, (namespace, pod, container), asked.query)
        await self._carry(line, session, stdin=asked.flag("stdin"))

    async def _attach(self, asked: Asked, line: Line) -> None:
        namespace, pod, container = _three(asked)
        session = await tunnels.begin_attach(self._agent, (namespace, pod, container), stdin=asked.flag("stdin"))
        await self._carry(line, session, stdin=asked.flag("stdin"))

    async def _carry(self, line: Line, session: tunnels.Open, *, stdin: bool) -> None:
        try:
            await line.switch()
            await tunnels.carry(session, line.reader, line.writer, stdin=stdin)
        finally:
            session.session.close()

    async def _port_forward(self, asked: Asked, line: Line) -> None:
        _, namespace, pod, *_ = (*asked.segments, "", "")
        connection = await tunnels.connect_pod(self._agent, namespace, pod, asked.one("port"))
        await line.switch()
        await tunnels.relay(line.reader, line.writer, connection)

    async def _dial(self, asked: Asked, line: Line) -> None:
        connection = await tunnels.connect_node(self._agent, asked.one("address"))
        await line.switch()
        await tunnels.relay(line.reader, line.writer, connection)


def _parse(head: tunnel.Head) -> Asked:
    method, target, *_ = (*head.line.split(" "), "", "")
    parts = urlsplit(target)
    segments = tuple(unquote(one) for one in parts.path.split("/") if one)
    wants = head.headers.get("upgrade", "").lower() == tunnel.PROTOCOL
    return Asked(method, segments, parse_qs(parts.query, keep_blank_values=True), wants)


def _three(asked: Asked) -> tuple[str, str, str]:
    if len(asked.segments) != 4:
        raise status.NotFound("the path names a namespace, a pod and a container")
    return asked.segments[1], asked.segments[2], asked.segments[3]


def _as_status(failed: RuntimeFailure) -> StatusError:
    if failed.reason in ("NotFound", "NotRunning", "SandboxGone"):
        return status.BadRequest(f"container not available: {failed.message}")
    return status.InternalError(f"Internal error occurred: {failed.message}")
