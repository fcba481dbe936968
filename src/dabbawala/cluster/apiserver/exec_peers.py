"""Whoever asked for an exec or attach, by whichever protocol: channels in, channels out, one final Status.

    v5.channel.k8s.io      one byte of channel before the data; 255 and a channel closes that channel
    v4.channel.k8s.io      the same without closing; the final Status is JSON on channel 3
    channel.k8s.io, v2, v3 the same; the final word on channel 3 is text, and only about a failure
    SPDY/3.1               one stream a channel, named by the header streamType

Source: KEP-4006, apimachinery/pkg/util/remotecommand, kubelet/pkg/cri/streaming/remotecommand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.client.tunnel import Channel
from dabbawala.cluster.apiserver.spdy_session import SpdySession, SpdyStream
from dabbawala.cluster.apiserver.websocket import WebSocket

WEBSOCKET_PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io", "",
)  # fmt: skip
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_CLOSE = 255
STREAMS_SECONDS = 30.0


class Peer(Protocol):
    async def receive(self) -> tuple[Channel, bytes] | None:
        """Input or a resize; empty input is its end; None when the client has left."""
        ...

    async def send(self, channel: Channel, data: bytes) -> None: ...

    async def finish(self, result: Object) -> None:
        """The command's result; nothing follows."""
        ...


def has_structured_status(protocol: str) -> bool:
    return protocol.startswith(("v4.", "v5."))


def final_words(protocol: str, result: Object) -> bytes:
    if has_structured_status(protocol):
        return orjson.dumps(result)
    return b"" if result.get("status") == "Success" else str(result.get("message") or "failed").encode()


class WebSocketPeer:
    def __init__(self, socket: WebSocket, protocol: str) -> None:
        self._socket = socket
        self._protocol = protocol

    async def receive(self) -> tuple[Channel, bytes] | None:
        while message := await self._socket.read():
            number, data = message[0], message[1:]
            if number == _CLOSE:
                if data[:1] == bytes([Channel.STDIN]):
                    return Channel.STDIN, b""
            elif number in (Channel.STDIN, Channel.RESIZE) and data:
                return Channel(number), data
        return None

    async def send(self, channel: Channel, data: bytes) -> None:
        await self._socket.write(bytes([channel]) + data)

    async def finish(self, result: Object) -> None:
        words = final_words(self._protocol, result)
        if words:
            await self.send(Channel.ERROR, words)
        await self._socket.close()


class SpdyPeer:
    """`wanted` are the stream types that the client has announced to open; `gather` waits for them."""

    def __init__(self, session: SpdySession, protocol: str, wanted: Iterable[str]) -> None:
        self._session = session
        self._protocol = protocol
        self._wanted = frozenset(wanted)
        self._streams: dict[str, SpdyStream] = {}
        self._arrived: asyncio.Queue[tuple[Channel, bytes] | None] = asyncio.Queue(maxsize=4)
        self._tasks: list[asyncio.Task[None]] = []

    async def gather(self) -> bool:
        """Take in the announced streams. False when the client has not opened them in time."""
        try:
            async with asyncio.timeout(STREAMS_SECONDS):
                async for stream in self._session.streams():
                    self._streams[stream.headers.get("streamtype", "")] = stream
                    if self._wanted <= self._streams.keys():
                        break
        except TimeoutError:
            return False
        if not self._wanted <= self._streams.keys():
            return False
        for name, channel in (("stdin", Channel.STDIN), ("resize", Channel.RESIZE)):
            if name in self._streams:
                self._tasks.append(asyncio.create_task(self._read(self._streams[name], channel)))
        self._tasks.append(asyncio.create_task(self._watch()))
        return True

    async def receive(self) -> tuple[Channel, bytes] | None:
        return await self._arrived.get()

    async def send(self, channel: Channel, data: bytes) -> None:
        stream = self._streams.get(channel.name.lower())
        if stream is not None:
            await stream.write(data)

    async def finish(self, result: Object) -> None:
        words = final_words(self._protocol, result)
        if words:
            await self._streams["error"].write(words)
        for stream in self._streams.values():
            await stream.end()
        await self._session.close()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _read(self, stream: SpdyStream, channel: Channel) -> None:
        try:
            while data := await stream.read():
                await self._arrived.put((channel, data))
        except ConnectionError:
            return
        if channel is Channel.STDIN:
            await self._arrived.put((channel, b""))

    async def _watch(self) -> None:
        """The connection's end is the client's leaving."""
        async for stream in self._session.streams():
            await stream.reset()
        await self._arrived.put(None)
