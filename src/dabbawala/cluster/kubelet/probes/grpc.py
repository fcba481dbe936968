"""The gRPC health check over as little HTTP/2 as it takes: one stream, literal headers, one message each way.

The answer's headers are not decoded: a health answer that says SERVING comes as a DATA frame, anything else fails.
Sources: RFC 9113, RFC 7541 (literal header fields), grpc.health.v1.Health/Check.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator

from dabbawala.cluster.kubelet.probes.verdict import Answer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 0x1, 0x4, 0x1, 0x8
_MAX_FRAME = 64 * 1024
_SERVING = 1
_STATUS_NAMES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, service: str) -> Answer:
    """Health/Check on an open connection. OSError and EOFError pass through."""
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _request(authority, service))
    await writer.drain()
    message = bytearray()
    while True:
        kind, flags, stream, payload = await _read(reader)
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA and stream == 1:
            message += payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
        elif kind in (_RST_STREAM, _GOAWAY):
            return Answer(False, "service unhealthy: the health check was refused")
        if stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return _verdict(bytes(message))


def _verdict(message: bytes) -> Answer:
    if len(message) < 5:
        return Answer(False, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)")
    (length,) = struct.unpack_from(">I", message, 1)
    status = dict(_varint_fields(message[5 : 5 + length])).get(1, 0)
    if status == _SERVING:
        return Answer(True)
    return Answer(False, f'service unhealthy (responded with "{_STATUS_NAMES.get(status, status)}")')


def _varint_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """The varint fields at the beginning of a protobuf message: HealthCheckResponse has one."""
    at = 0
    while at + 1 < len(data) and data[at] & 7 == 0:
        yield data[at] >> 3, data[at + 1]
        at += 2


def _request(authority: str, service: str) -> bytes:
    name = service.encode()
    body = b"\x0a" + bytes([len(name)]) + name if name else b""
    message = b"\x00" + struct.pack(">I", len(body)) + body
    headers = b"".join(
        _literal(key, value)
        for key, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "kube-probe/1.37"),
        )
    )
    return _frame(_HEADERS, _END_HEADERS, 1, headers) + _frame(_DATA, _END_STREAM, 1, message)


def _literal(name: str, value: str) -> bytes:
    """A literal header field without indexing and without Huffman coding; both parts are under 127 bytes."""
    key, text = name.encode(), value.encode()[:126]
    return b"\x00" + bytes([len(key)]) + key + bytes([len(text)]) + text


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    head = await reader.readexactly(9)
    length = int.from_bytes(head[:3], "big")
    if length > _MAX_FRAME:
        raise EOFError("a frame longer than was agreed")
    return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, await reader.readexactly(length)
