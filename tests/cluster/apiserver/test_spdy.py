"""SPDY/3.1: frames in any cut, the dictionary, streams, flow control with peers that know it and peers that do not."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.cluster.apiserver import spdy
from dabbawala.cluster.apiserver.spdy import (
    Data,
    Decoder,
    Encoder,
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
from dabbawala.cluster.apiserver.spdy_session import SpdySession, SpdyStream

HEADERS = st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True), st.text(max_size=40), max_size=5)
IDS = st.integers(1, 2**31 - 1)
FRAMES = st.one_of(
    st.builds(SynStream, IDS, HEADERS, st.booleans()),
    st.builds(SynReply, IDS, HEADERS, st.booleans()),
    st.builds(Headers, IDS, HEADERS, st.booleans()),
    st.builds(Data, IDS, st.binary(max_size=300), st.booleans()),
    st.builds(RstStream, IDS, st.integers(1, 11)),
    st.builds(Settings, st.dictionaries(st.integers(1, 8), st.integers(0, 2**31 - 1), max_size=3)),
    st.builds(Ping, st.integers(0, 2**32 - 1)),
    st.builds(GoAway, IDS, st.integers(0, 2)),
    st.builds(WindowUpdate, st.integers(0, 2**31 - 1), IDS),
)


def test_the_dictionary_is_the_protocols() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


@settings(max_examples=100)
@given(st.lists(FRAMES, max_size=12), st.integers(1, 50))
def test_frames_come_back_whatever_pieces_they_arrive_in(frames: list[Frame], size: int) -> None:
    encoder, decoder = Encoder(), Decoder()
    wire = b"".join(encoder.encode(frame) for frame in frames)
    back = [frame for start in range(0, len(wire), size) for frame in decoder.feed(wire[start : start + size])]
    assert back == frames


def test_a_frame_looks_like_the_protocol_says() -> None:
    assert Encoder().encode(Ping(1)) == bytes.fromhex("8003000600000004") + b"\0\0\0\x01"
    assert Encoder().encode(Data(5, b"ab", fin=True)) == bytes.fromhex("0000000501000002") + b"ab"


def test_unknown_control_frames_are_skipped_and_broken_ones_end_it() -> None:
    unknown = struct.pack(">HHI", 0x8003, 99, 2) + b"xx"
    assert Decoder().feed(unknown + Encoder().encode(Ping(3))) == [Ping(3)]
    for broken in (
        struct.pack(">HHI", 0x8002, 6, 4) + b"\0\0\0\1",  # another version
        struct.pack(">HHI", 0x8003, 3, 1) + b"\0",  # a reset without a stream
        struct.pack(">HHI", 0x8003, 1, 14) + b"\0" * 14,  # headers that are not zlib
        struct.pack(">II", 1, spdy.MAX_FRAME + 1),  # too long
    ):
        with pytest.raises(SpdyError):
            Decoder().feed(broken)


class Wire:
    """Both ends of a connection; the test is the client."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[bytes] = asyncio.Queue()
        self.from_server: asyncio.Queue[bytes] = asyncio.Queue()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.got: list[Frame] = []

    async def read(self) -> bytes:
        return await self.to_server.get()

    async def write(self, data: bytes) -> None:
        self.from_server.put_nowait(data)

    async def close(self) -> None:
        self.from_server.put_nowait(b"")

    def send(self, *frames: Frame) -> None:
        self.to_server.put_nowait(b"".join(self.encoder.encode(frame) for frame in frames))

    async def settle(self) -> list[Frame]:
        """Everything that the server has sent by the time it has nothing more to do."""
        for _ in range(200):
            await asyncio.sleep(0)
        fresh: list[Frame] = []
        while not self.from_server.empty():
            fresh += self.decoder.feed(self.from_server.get_nowait())
        self.got += fresh
        return fresh


class Pair:
    def __init__(self, wire: Wire, session: SpdySession) -> None:
        self.wire = wire
        self.session = session

    async def open(self, number: int = 1) -> SpdyStream:
        self.wire.send(SynStream(number, {"streamtype": "data"}))
        async for stream in self.session.streams():
            return stream
        raise AssertionError("no stream")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    wire = Wire()
    session = SpdySession(wire)
    task = asyncio.create_task(session.run())
    yield Pair(wire, session)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_stream_is_answered_at_once_and_carries_both_ways(pair: Pair) -> None:
    stream = await pair.open()
    pair.wire.send(Data(1, b"hello"), Data(1, b"", fin=True))
    assert await stream.read() == b"hello"
    assert await stream.read() == b""
    await stream.write(b"world")
    await stream.end()
    await pair.wire.settle()
    assert pair.wire.got == [SynReply(1), Data(1, b"world"), Data(1, b"", fin=True)]


async def test_ending_one_direction_leaves_the_other_open(pair: Pair) -> None:
    stream = await pair.open()
    await stream.end()
    pair.wire.send(Data(1, b"late"))
    assert await stream.read() == b"late"


async def test_pings_of_the_client_come_back(pair: Pair) -> None:
    pair.wire.send(Ping(7), Ping(8))
    assert await pair.wire.settle() == [Ping(7)]


async def test_a_peer_without_windows_gets_everything_at_once(pair: Pair) -> None:
    stream = await pair.open()
    await asyncio.wait_for(stream.write(b"x" * 1_000_000), 5)
    sent = sum(len(frame.data) for frame in await pair.wire.settle() if isinstance(frame, Data))
    assert sent == 1_000_000


async def test_a_peer_with_windows_gets_no_more_than_it_allows(pair: Pair) -> None:
    stream = await pair.open()
    pair.wire.send(Settings({spdy.INITIAL_WINDOW_SETTING: 100}))
    await pair.wire.settle()
    writing = asyncio.create_task(stream.write(b"x" * 250))
    frames = [frame for frame in await pair.wire.settle() if isinstance(frame, Data)]
    assert sum(len(frame.data) for frame in frames) == 100
    pair.wire.send(WindowUpdate(1, 100))
    frames = [frame for frame in await pair.wire.settle() if isinstance(frame, Data)]
    assert sum(len(frame.data) for frame in frames) == 100
    pair.wire.send(WindowUpdate(1, 1000))
    await pair.wire.settle()
    await asyncio.wait_for(writing, 5)


async def test_the_window_of_the_session_holds_all_streams_together(pair: Pair) -> None:
    first, second = await pair.open(1), await pair.open(3)
    pair.wire.send(WindowUpdate(1, 1_000_000), WindowUpdate(3, 1_000_000))
    await pair.wire.settle()
    writing = [asyncio.create_task(one.write(b"x" * 60_000)) for one in (first, second)]
    frames = [frame for frame in await pair.wire.settle() if isinstance(frame, Data)]
    assert sum(len(frame.data) for frame in frames) == 65536
    pair.wire.send(WindowUpdate(0, 1_000_000))
    await pair.wire.settle()
    await asyncio.wait_for(asyncio.gather(*writing), 5)


async def test_what_was_read_is_given_back(pair: Pair) -> None:
    stream = await pair.open()
    pair.wire.send(Data(1, b"x" * 40_000))
    await stream.read()
    assert WindowUpdate(1, 40_000) in await pair.wire.settle()


async def test_a_stream_that_is_not_read_makes_the_connection_wait(pair: Pair) -> None:
    stream = await pair.open()
    for _ in range(20):
        pair.wire.send(Data(1, b"x" * 30_000))
    pair.wire.send(Ping(1))
    assert Ping(1) not in await pair.wire.settle()
    received = 0
    while received < 600_000:
        received += len(await stream.read())
    assert Ping(1) in await pair.wire.settle()


async def test_a_reset_ends_reading_and_writing(pair: Pair) -> None:
    stream = await pair.open()
    pair.wire.send(RstStream(1, 5))
    with pytest.raises(ConnectionError):
        await stream.read()
    with pytest.raises(ConnectionError):
        await stream.write(b"x")


async def test_a_stream_number_that_goes_backwards_ends_the_session(pair: Pair) -> None:
    await pair.open(5)
    pair.wire.send(SynStream(3, {}))
    assert GoAway(5, 1) in await pair.wire.settle()
    assert pair.session.lost


async def test_the_end_of_the_connection_wakes_everybody(pair: Pair) -> None:
    stream = await pair.open()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    pair.wire.to_server.put_nowait(b"")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(reading, 5)
    assert [one async for one in pair.session.streams()] == []
