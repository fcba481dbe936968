"""Protobuf's wire form, as far as the checked tree of an expression needs it.

The bytes come from the front end in the same process, so they are well-formed; nothing else may be read with this.
"""

from __future__ import annotations

from typing import Any


def fields(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number, in order: whole numbers, or bytes for what has a length."""
    found: dict[int, list[Any]] = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = _number(data, at)
        wire = tag & 7
        value: Any
        if wire == 0:
            value, at = _number(data, at)
        else:
            size, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _number(data, at)
            value, at = data[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7


def entry(data: bytes) -> tuple[int, bytes]:
    """An entry of a map from ids to messages: field 1 is the number, field 2 the message."""
    id, at = _number(data, 1)
    size, at = _number(data, at + 1)
    return id, data[at : at + size]


def signed(value: int) -> int:
    """A 64-bit number that the wire shows without its sign."""
    return value - 2**64 if value >= 2**63 else value
