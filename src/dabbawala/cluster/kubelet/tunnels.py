"""Carrying exec, attach, port-forward and dial between the API server's tunnel and the runtime."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.client import tunnel
from dabbawala.client.tunnel import Channel
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.agent import Agent
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure, Session
from dabbawala.cluster.kubelet.worker import PodWorker
from dabbawala.cluster.sandbox.spec import ExecSpec

Query = Mapping[str, list[str]]
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Open:
    """A session, whether its end has an exit code to tell (exec) or not (attach), and what the end of the client's
    input asks for beyond the session itself: a container with stdinOnce gets no input after its first attachment."""

    session: Session
    command: tuple[str, ...] = ()
    input_ended: Callable[[], Awaitable[None]] | None = None


def _worker(agent: Agent, namespace: str, name: str) -> PodWorker:
    worker = agent.worker(namespace, name)
    if worker is None:
        raise status.NotFound(f'pod "{name}" is not on this node')
    if not worker.state.address:
        raise status.BadRequest(f"pod {name} has no running sandbox")
    return worker


async def begin_exec(agent: Agent, target: tuple[str, str, str], query: Query) -> Open:
    """Raises a StatusError or RuntimeFailure when there is nothing to run it in."""
    namespace, pod, container = target
    worker = _worker(agent, namespace, pod)
    command = tuple(query.get("command") or ())
    if not command:
        raise status.BadRequest("you must specify at least one command for the container")
    wanted = ExecSpec(command, tty=_flag(query, "tty"), stdin=_flag(query, "stdin"))
    return Open(await agent.parts.runtime.exec(worker.state.uid, container, wanted), command)


async def begin_attach(agent: Agent, target: tuple[str, str, str], *, stdin: bool) -> Open:
    namespace, pod, container = target
    worker = _worker(agent, namespace, pod)
    runtime, uid = agent.parts.runtime, worker.state.uid
    session = await runtime.attach(uid, container, stdin=stdin)
    once = (pod_spec.container(worker.state.pod, container) or {}).get("stdinOnce")
    if not (stdin and once):
        return Open(session)

    async def input_ended() -> None:
        with contextlib.suppress(RuntimeFailure):  # it has ended by itself
            await runtime.close_stdin(uid, container)

    return Open(session, input_ended=input_ended)


def _flag(query: Query, name: str) -> bool:
    return query.get(name, ["false"])[0].lower() in ("true", "1")


async def carry(open_: Open, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stdin: bool) -> None:
    """Both directions until the command has ended (then its result goes out) or the client has left."""
    inward = asyncio.create_task(_inward(open_, reader, stdin=stdin))
    outward = asyncio.create_task(_outward(open_, writer))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if not outward.done() and not inward.cancelled() and inward.exception() is None and not inward.result():
            await outward
    finally:
        for task in (inward, outward):
            task.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(open_: Open, reader: asyncio.StreamReader, *, stdin: bool) -> bool:
    """Input and resizes. True when the client has left."""
    session = open_.session
    ended = not stdin
    while True:
        arrived = await tunnel.read_frame(reader)
        if arrived is None:
            if not (ended or session.tty):
                await _end_input(open_)
            return True
        channel, data = arrived
        if channel == Channel.RESIZE:
            size = orjson.loads(data)
            with contextlib.suppress(OSError):  # the program has just ended, and its terminal with it
                session.resize(int(size.get("Width") or 0), int(size.get("Height") or 0))
        elif channel == Channel.STDIN and not ended:
            ended = not data
            try:
                await (session.write(data) if data else _end_input(open_))
            except OSError:  # it no longer reads; how it ended is still to be told
                ended = True


async def _end_input(open_: Open) -> None:
    session = open_.session
    if session.tty:
        await session.write(b"\x04")
        return
    session.close_stdin()
    if open_.input_ended is not None:
        await open_.input_ended()


async def _outward(open_: Open, writer: asyncio.StreamWriter) -> None:
    session = open_.session
    async for channel, data in session.output():
        writer.write(tunnel.frame(channel, data))
        await writer.drain()
    result: Object = {"metadata": {}, "status": "Success"}
    if open_.command:
        result = verdict(await session.wait(), session.error, open_.command)
    writer.write(tunnel.frame(Channel.ERROR, orjson.dumps(result)))
    await writer.drain()


def verdict(code: int, error: str, command: tuple[str, ...]) -> Object:
    """The Status that ends an exec. Source: apimachinery remotecommand.NonZeroExitCodeReason."""
    if code == 0 and not error:
        return {"metadata": {}, "status": "Success"}
    if error:
        message = f"error executing command in container: {error}"
        return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: error executing command {list(command)}, "
        f"exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


# --- raw connections -------------------------------------------------------------------------------------------


async def connect_pod(agent: Agent, namespace: str, name: str, port: str) -> socket.socket:
    """A connection to a port on the pod's loopback. Raises BadRequest when nobody listens there."""
    worker = _worker(agent, namespace, name)
    if not port.isdecimal():
        raise status.BadRequest(f"port {port!r} is not a number")
    try:
        return await agent.parts.runtime.dial(worker.state.uid, int(port))
    except RuntimeFailure as failed:
        raise status.BadRequest(
            f"failed to connect to localhost:{port} inside pod {name}: {failed.message}"
        ) from failed


async def connect_node(agent: Agent, address: str) -> socket.socket:
    """A connection from the node's network to `host:port`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise status.BadRequest(f"address {address!r} is not host:port")
    try:
        return await agent.parts.runtime.node_dial(host, int(port))
    except RuntimeFailure as failed:
        raise status.ServiceUnavailable(f"dial tcp {address}: {failed.message}") from failed


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: socket.socket) -> None:
    """Bytes both ways; a half that has ended is passed on, and the end of both ends it."""
    inner_reader, inner_writer = await asyncio.open_connection(sock=connection)
    try:
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
    except (ConnectionError, EOFError):
        pass
    finally:
        inner_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
