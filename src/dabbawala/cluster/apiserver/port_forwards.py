"""Carrying the connections of a port-forward between a client and a pod.

    SPDY/3.1, or SPDY inside a websocket    two streams a connection: `data` and `error`, tied by the header requestid
    v4.channel.k8s.io                       two channels a port: 2i data, 2i+1 error; each begins with its port number

Source: kubelet/pkg/cri/streaming/portforward, apimachinery/pkg/util/portforward, KEP-4006.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable, Sequence

from dabbawala.apimachinery import status
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.apiserver.kubelet_link import Link
from dabbawala.cluster.apiserver.request import Query
from dabbawala.cluster.apiserver.response import Tunnel
from dabbawala.cluster.apiserver.spdy_session import SpdySession, SpdyStream
from dabbawala.cluster.apiserver.websocket import WebSocket

WEBSOCKET_PROTOCOLS = ("SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", "portforward.k8s.io", "")
SPDY_PROTOCOLS = ("portforward.k8s.io",)
MAX_PORTS = 100

Connect = Callable[[int], Awaitable[Link]]
"""A raw tunnel to a port of the pod. Raises StatusError."""


def asked_ports(query: Query) -> list[int]:
    """The ports of the query; raises BadRequest for one that is not a port."""
    texts = [part for value in query.all("ports") for part in value.split(",") if part]
    if len(texts) > MAX_PORTS or any(not one.isdecimal() or not 0 < int(one) < 65536 for one in texts):
        raise status.BadRequest(f"query parameter ports must be up to {MAX_PORTS} numbers from 1 to 65535")
    return [int(one) for one in texts]


# --- SPDY ------------------------------------------------------------------------------------------------------


async def serve_spdy(connection: Tunnel, connect: Connect) -> None:
    session = SpdySession(connection)
    reading = asyncio.create_task(session.run(), name="spdy session")
    pairs: dict[str, dict[str, SpdyStream]] = {}
    try:
        async with asyncio.TaskGroup() as tasks:
            async for stream in session.streams():
                request = stream.headers.get("requestid", "")
                pair = pairs.setdefault(request, {})
                pair[stream.headers.get("streamtype", "")] = stream
                if {"data", "error"} <= pair.keys():
                    del pairs[request]
                    tasks.create_task(_forward(pair["data"], pair["error"], connect))
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _forward(data: SpdyStream, error: SpdyStream, connect: Connect) -> None:
    """One forwarded connection. A failure is told on the error stream."""
    port = data.headers.get("port", "")
    try:
        if not port.isdecimal():
            raise status.BadRequest(f"port {port!r} is not a number")
        link = await connect(int(port))
    except StatusError as refused:
        with contextlib.suppress(ConnectionError):
            await error.write(f"error forwarding port {port} to pod: {refused.message}".encode())
            await error.end()
            await data.end()
        return
    try:
        await asyncio.gather(_to_pod(data, link), _from_pod(link, data))
    except ConnectionError:
        pass  # clients reset the data stream when they have read what they wanted
    finally:
        await link.close()
        with contextlib.suppress(ConnectionError):
            await error.end()


async def _to_pod(data: SpdyStream, link: Link) -> None:
    while received := await data.read():
        await link.write(received)
    link.end()


async def _from_pod(link: Link, data: SpdyStream) -> None:
    try:
        while received := await link.read():
            await data.write(received)
    finally:
        await data.end()


# --- channels --------------------------------------------------------------------------------------------------


async def serve_channels(socket: WebSocket, ports: Sequence[int], connect: Connect) -> None:
    links: dict[int, Link] = {}
    writing = asyncio.Lock()

    async def send(channel: int, data: bytes) -> None:
        async with writing:
            await socket.write(bytes([channel]) + data)

    try:
        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                await send(channel, struct.pack("<H", port))
        for number, port in enumerate(ports):
            try:
                links[number] = await connect(port)
            except StatusError as refused:
                await send(2 * number + 1, refused.message.encode())
        await _pump(socket, links, send)
    except ConnectionError:
        pass
    finally:
        for link in links.values():
            await link.close()


async def _pump(socket: WebSocket, links: dict[int, Link], send: Callable[[int, bytes], Awaitable[None]]) -> None:
    async def outward(number: int, link: Link) -> None:
        while data := await link.read():
            await send(2 * number, data)

    async def all_outward() -> None:
        await asyncio.gather(*(outward(number, link) for number, link in links.items()))
        await socket.close()

    ending = asyncio.create_task(all_outward(), name="port-forward outward")
    inward = asyncio.create_task(_channels_inward(socket, links), name="port-forward inward")
    try:
        await asyncio.wait((ending, inward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ending, inward):
            task.cancel()
        await asyncio.gather(ending, inward, return_exceptions=True)


async def _channels_inward(socket: WebSocket, links: dict[int, Link]) -> None:
    while message := await socket.read():
        number, data = message[0], message[1:]
        link = links.get(number // 2)
        if number % 2 == 0 and link is not None and data:
            await link.write(data)
