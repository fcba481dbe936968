"""Bytes that a scan keeps to its end, one behind the other.

Between values that come and go, ten thousand small pieces hold on to twice their size; and a process that is forked
copies every page on which a piece is looked at, because looking counts references. Here they are one object.
"""

from __future__ import annotations

_SIZE_BITS = 40


class Heap:
    """Pieces of bytes by the numbers that they were given. Nothing is taken out again."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def put(self, piece: bytes) -> int:
        at = len(self._data) << _SIZE_BITS | len(piece)
        self._data += piece
        return at

    def get(self, number: int) -> bytes:
        start = number >> _SIZE_BITS
        return bytes(memoryview(self._data)[start : start + (number & (1 << _SIZE_BITS) - 1)])

    def sent(self) -> bytes:
        """All of it, for another process."""
        return bytes(self._data)

    def take(self, data: bytes) -> int:
        """Put all that another heap has behind what is here. What is to be added to its numbers."""
        above = len(self._data) << _SIZE_BITS
        self._data += data
        return above
