"""A SPDY/3.1 session of which the peer opens the streams: kubectl's exec, attach and port-forward.

Flow control. By the protocol each side may send 64 KiB a stream (and a session) until the other gives more by
WINDOW_UPDATE. The library inside every Kubernetes client neither gives nor heeds windows; it leans on TCP. So a window
is held against us only once the peer has shown that it knows windows (SETTINGS or WINDOW_UPDATE); what we have taken in
is always given back by WINDOW_UPDATE; and a stream that is not read makes the whole connection wait, which is TCP's
back-pressure and bounds memory either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import assert_never

from dabbawala.cluster.apiserver import spdy
from dabbawala.cluster.apiserver.response import Tunnel
from dabbawala.cluster.apiserver.spdy import (
    Data,
    Frame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    Settings,
    SpdyError,
    SynReply,
    SynStream,
    WindowUpdate,
)  # fmt: skip

WINDOW = 64 * 1024
BUFFER = 256 * 1024
"""Bytes of one stream that wait to be read before the connection is."""

MAX_STREAMS = 1000
CHUNK = 32 * 1024
_INVALID_STREAM, _REFUSED, _CANCEL = 2, 3, 5


class SpdyStream:
    """One stream, opened by the peer. `read` gives b"" at its end; both directions end on their own."""

    def __init__(self, session: SpdySession, number: int, headers: Mapping[str, str], *, ended: bool) -> None:
        self.number = number
        self.headers = headers
        self._session = session
        self._received: list[bytes] = []
        self._size = 0
        self._unreturned = 0
        self._ended = ended
        self._closed = False
        self._was_reset = False
        self._changed = asyncio.Event()
        self.window = session.initial_window

    async def read(self) -> bytes:
        """What has arrived. ConnectionError when the stream was reset or the connection lost."""
        while not self._received:
            if self._ended:
                return b""
            if self._session.lost or self._was_reset:
                raise ConnectionResetError("the stream was reset")
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._received)
        self._received.clear()
        self._size = 0
        self._unreturned += len(data)
        self._changed.set()
        if self._unreturned >= WINDOW // 2 and not self._ended:
            returned, self._unreturned = self._unreturned, 0
            await self._session.give_back(self.number, returned)
        return data

    async def write(self, data: bytes) -> None:
        """Send, as far as windows and the connection let it."""
        for start in range(0, len(data), CHUNK):
            await self._session.send_data(self, data[start : start + CHUNK])

    async def end(self) -> None:
        """Nothing more will be written."""
        if not self._closed:
            self._closed = True
            await self._session.send(Data(self.number, b"", fin=True))
            self._session.settle(self)

    async def reset(self) -> None:
        self._closed = self._ended = self._was_reset = True
        await self._session.send(RstStream(self.number, _CANCEL))
        self._session.settle(self)

    @property
    def is_over(self) -> bool:
        return self._ended and self._closed

    @property
    def is_closed(self) -> bool:
        return self._closed

    # --- the session's side

    async def take(self, data: bytes) -> None:
        """Data from the peer; waits while too much is unread."""
        if self._ended or not data:
            return
        self._received.append(data)
        self._size += len(data)
        self._changed.set()
        while self._size > BUFFER and not self._was_reset and not self._session.lost:
            self._changed.clear()
            await self._changed.wait()

    def take_end(self, *, reset: bool = False) -> None:
        if reset:
            self._closed = self._was_reset = True
            self._received.clear()
        else:
            self._ended = True
        self._changed.set()
        self._session.settle(self)

    def wake(self) -> None:
        self._changed.set()


class SpdySession:
    """The server's side. `run` reads until the peer leaves; `streams` gives what the peer opens."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.initial_window = WINDOW
        self.lost = False
        self._tunnel = tunnel
        self._encoder, self._decoder = spdy.Encoder(), spdy.Decoder()
        self._streams: dict[int, SpdyStream] = {}
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._window = WINDOW
        self._peer_has_windows = False
        self._more_window = asyncio.Event()
        self._unreturned = 0
        self._last = 0

    async def run(self) -> None:
        try:
            while data := await self._tunnel.read():
                for frame in self._decoder.feed(data):
                    await self._take(frame)
        except SpdyError:
            await self.send(GoAway(self._last, 1))
        except ConnectionError:
            pass
        finally:
            self.lost = True
            self._more_window.set()
            for stream in self._streams.values():
                stream.wake()
            self._opened.put_nowait(None)

    async def streams(self) -> AsyncIterator[SpdyStream]:
        """The streams that the peer opens, until the connection ends."""
        while (stream := await self._opened.get()) is not None:
            yield stream

    async def close(self) -> None:
        if not self.lost:
            await self.send(GoAway(self._last))
        await self._tunnel.close()

    async def send(self, frame: Frame) -> None:
        """One frame at a time: header compression depends on their order."""
        async with self._writing:
            if not self.lost:
                try:
                    await self._tunnel.write(self._encoder.encode(frame))
                except ConnectionError:
                    self.lost = True
                    raise

    async def send_data(self, stream: SpdyStream, data: bytes) -> None:
        while data:
            if self.lost or stream.is_closed:
                raise ConnectionResetError("the stream is closed")
            allowed = len(data)
            if self._peer_has_windows:
                allowed = min(allowed, stream.window, self._window)
                if allowed <= 0:
                    self._more_window.clear()
                    await self._more_window.wait()
                    continue
            part, data = data[:allowed], data[allowed:]
            stream.window -= len(part)
            self._window -= len(part)
            await self.send(Data(stream.number, part))

    async def give_back(self, stream: int, amount: int) -> None:
        """Tell the peer that it may send that much more. Peers without windows skip what they do not know."""
        await self.send(WindowUpdate(stream, amount))
        self._unreturned += amount
        if self._peer_has_windows and self._unreturned >= WINDOW // 2:
            returned, self._unreturned = self._unreturned, 0
            await self.send(WindowUpdate(0, returned))

    def settle(self, stream: SpdyStream) -> None:
        """Forget a stream of which both directions have ended."""
        if stream.is_over:
            self._streams.pop(stream.number, None)

    # --- frames ------------------------------------------------------------------------------------------------

    async def _take(self, frame: Frame) -> None:
        match frame:
            case SynStream():
                await self._open(frame)
            case Data(number, data, fin):
                await self._data(number, data, fin)
            case RstStream(number):
                stream = self._streams.pop(number, None)
                if stream is not None:
                    stream.take_end(reset=True)
            case Ping(number):
                if number % 2:  # odd ones are the client's; even ones would be answers to ours
                    await self.send(frame)
            case Settings(values):
                self._settings(values)
            case WindowUpdate(number, delta):
                self._more(number, delta)
            case Headers(number, _, fin):
                await self._data(number, b"", fin)
            case SynReply() | GoAway():
                pass  # we open no streams, and a client that goes away closes the connection when it is done
            case _:
                assert_never(frame)

    async def _open(self, frame: SynStream) -> None:
        if frame.stream % 2 == 0 or frame.stream <= self._last:
            raise SpdyError(f"stream {frame.stream} cannot be opened after {self._last}")
        self._last = frame.stream
        if len(self._streams) >= MAX_STREAMS:
            await self.send(RstStream(frame.stream, _REFUSED))
            return
        stream = SpdyStream(self, frame.stream, frame.headers, ended=frame.fin)
        self._streams[frame.stream] = stream
        await self.send(SynReply(frame.stream))
        self._opened.put_nowait(stream)

    async def _data(self, number: int, data: bytes, fin: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            if data:
                await self.send(RstStream(number, _INVALID_STREAM))
            return
        await stream.take(data)
        if fin:
            stream.take_end()

    def _settings(self, values: Mapping[int, int]) -> None:
        self._peer_has_windows = True
        window = values.get(spdy.INITIAL_WINDOW_SETTING)
        if window is not None:
            for stream in self._streams.values():
                stream.window += window - self.initial_window
            self.initial_window = window
        self._more_window.set()

    def _more(self, number: int, delta: int) -> None:
        self._peer_has_windows = True
        if number == 0:
            self._window += delta
        elif number in self._streams:
            self._streams[number].window += delta
        self._more_window.set()
