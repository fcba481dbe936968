"""The frames of SPDY/3.1, in and out: what kubectl speaks for port-forward, and for exec where websockets fail.

Control frames carry a version and a type, data frames a stream. Header blocks of one direction are one zlib stream that
begins with the protocol's dictionary. Unknown control frames are skipped, as the protocol says. No I/O here.
Source: SPDY Protocol, Draft 3.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 3
MAX_FRAME = 1 << 20
"""Bytes of one frame. Kubernetes clients send at most 32 KiB at once."""

MAX_HEADERS = 64 * 1024
_FIN = 0x01

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
INITIAL_WINDOW_SETTING = 7


class SpdyError(ConnectionError):
    """The peer broke the protocol; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class SynStream:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Headers:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    """`status` 1 protocol error, 2 invalid stream, 3 refused, 5 cancel, 6 internal error, 9 already closed."""

    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    values: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Ping:
    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """`stream` 0 is the whole session (new in 3.1)."""

    stream: int
    delta: int


Frame = SynStream | SynReply | Headers | Data | RstStream | Settings | Ping | GoAway | WindowUpdate


_WORDS = """options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since
if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate
proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status"""
_PHRASES = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    """The dictionary of section 2.6.10.1: words with their lengths, then a tail without."""
    words = [word.encode() for word in (*_WORDS.split(), *_PHRASES)]
    return b"".join(struct.pack(">I", len(word)) + word for word in words) + _TAIL.encode()


DICTIONARY = _dictionary()


class Encoder:
    """Frames to bytes; one for each direction of a connection, because header compression has a memory."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(level=1, zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, (_FIN if fin else 0) << 24 | len(data)) + data
            case SynStream(stream, headers, fin):
                return _control(_SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._block(headers), fin)
            case SynReply(stream, headers, fin):
                return _control(_SYN_REPLY, struct.pack(">I", stream) + self._block(headers), fin)
            case Headers(stream, headers, fin):
                return _control(_HEADERS, struct.pack(">I", stream) + self._block(headers), fin)
            case RstStream(stream, status):
                return _control(_RST_STREAM, struct.pack(">II", stream, status))
            case Settings(values):
                pairs = b"".join(struct.pack(">II", key, value) for key, value in values.items())
                return _control(_SETTINGS, struct.pack(">I", len(values)) + pairs)
            case Ping(number):
                return _control(_PING, struct.pack(">I", number))
            case GoAway(last, status):
                return _control(_GOAWAY, struct.pack(">II", last, status))
            case WindowUpdate(stream, delta):
                return _control(_WINDOW_UPDATE, struct.pack(">II", stream, delta))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        plain = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                plain += [struct.pack(">I", len(text)), text]
        return self._deflate.compress(b"".join(plain)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, payload: bytes, fin: bool = False) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, (_FIN if fin else 0) << 24 | len(payload)) + payload


class Decoder:
    """Bytes to frames, however the bytes are cut."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises SpdyError."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            length = second & 0xFFFFFF
            if length > MAX_FRAME:
                raise SpdyError(f"a frame of {length} bytes; {MAX_FRAME} are allowed")
            if len(self._buffer) < 8 + length:
                break
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            fin = bool(second >> 24 & _FIN)
            frame = self._control(first, payload, fin) if first >> 31 else Data(first, payload, fin)
            if frame is not None:
                frames.append(frame)
        return frames

    def _control(self, first: int, payload: bytes, fin: bool) -> Frame | None:
        if first >> 16 & 0x7FFF != VERSION:
            raise SpdyError(f"SPDY version {first >> 16 & 0x7FFF}; {VERSION} is spoken here")
        try:
            return self._parse(first & 0xFFFF, payload, fin)
        except (struct.error, zlib.error, UnicodeDecodeError) as broken:
            raise SpdyError(f"a malformed control frame: {broken}") from broken

    def _parse(self, kind: int, payload: bytes, fin: bool) -> Frame | None:
        if kind == _PING:
            return Ping(*struct.unpack_from(">I", payload))
        if kind == _SETTINGS:
            (count,) = struct.unpack_from(">I", payload)
            pairs = (struct.unpack_from(">II", payload, 4 + 8 * number) for number in range(min(count, 64)))
            return Settings({key & 0xFFFFFF: value for key, value in pairs})
        if kind not in (_SYN_STREAM, _SYN_REPLY, _HEADERS, _RST_STREAM, _GOAWAY, _WINDOW_UPDATE):
            return None
        stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
        if kind == _SYN_STREAM:
            return SynStream(stream, self._headers(payload[10:]), fin)
        if kind in (_SYN_REPLY, _HEADERS):
            headers = self._headers(payload[4:])
            return SynReply(stream, headers, fin) if kind == _SYN_REPLY else Headers(stream, headers, fin)
        (value,) = struct.unpack_from(">I", payload, 4)
        if kind == _RST_STREAM:
            return RstStream(stream, value)
        return GoAway(stream, value) if kind == _GOAWAY else WindowUpdate(stream, value & 0x7FFFFFFF)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers longer than {MAX_HEADERS} bytes")
        (count,) = struct.unpack_from(">I", plain)
        at, texts = 4, []
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, at)
            if at + 4 + length > len(plain):
                raise SpdyError("a header block that ends too soon")
            texts.append(plain[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return dict(zip(texts[::2], texts[1::2], strict=True))
