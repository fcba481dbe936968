"""The byte tunnels between the API server and a node's agent: an HTTP/1.1 head, an upgrade, then frames or raw bytes.

A frame is a channel (one byte), a length (four bytes, big endian) and that many bytes. It carries exec and attach;
port-forward and dial are raw bytes. Both ends are here, so that they cannot disagree.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum

PROTOCOL = "dabba-stream"
MAX_HEAD = 64 * 1024
MAX_FRAME = 1024 * 1024
_HEADER = struct.Struct(">BI")


class Channel(IntEnum):
    """An empty frame on STDIN is its end. ERROR carries one Status as JSON, and is the last frame. RESIZE carries
    `{"Width": columns, "Height": rows}`."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


class BadTunnel(ConnectionError):
    """The other end does not speak the protocol."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a request or response and its headers, names in lower case."""

    line: str
    headers: dict[str, str]

    @property
    def status(self) -> int:
        """Of a response."""
        words = self.line.split(" ", 2)
        if len(words) < 2 or not words[1].isdecimal():
            raise BadTunnel(f"not an HTTP response: {self.line[:80]!r}")
        return int(words[1])


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Raises BadTunnel for an endless head, EOFError for none."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as endless:
        raise BadTunnel(f"a head longer than {MAX_HEAD} bytes") from endless
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(first, headers)


def frame(channel: int, data: bytes) -> bytes:
    return _HEADER.pack(channel, len(data)) + data


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    """The next frame; None when the connection has ended between frames."""
    try:
        channel, length = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        if length > MAX_FRAME:
            raise BadTunnel(f"a frame of {length} bytes; {MAX_FRAME} are allowed")
        return channel, await reader.readexactly(length)
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise BadTunnel("the connection ended inside a frame") from cut
        return None
