"""Container logs in the CRI format, one file per run, rotated by size.

A line is `2026-01-01T00:00:00.000000000Z stdout F text`; `P` marks a piece of a line that goes on in the next record
(longer than 16 KiB, or the stream ended in the middle). Readers of Kubernetes logs know this format.
"""

from __future__ import annotations

import contextlib
import os
import time

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_FILES = 5
MAX_LINE_BYTES = 16 * 1024


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def timestamp(nanoseconds: int) -> bytes:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z").encode()


def _cut(line: bytes, stamp: bytes, records: list[bytes]) -> bytes:
    """Move full pieces of a long line to the records; what is left fits one."""
    while len(line) > MAX_LINE_BYTES:
        records.append(stamp + b" P " + line[:MAX_LINE_BYTES])
        line = line[MAX_LINE_BYTES:]
    return line


class LogFile:
    """The log of one run of one container. Owned by the shim, so it outlives whoever reads it."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._fd = _open(path)
        self._size = os.fstat(self._fd).st_size
        self._rest = {b"stdout": b"", b"stderr": b""}

    def write(self, stream: bytes, data: bytes) -> None:
        """Take what the program wrote; only whole lines (or full pieces of long ones) reach the file."""
        stamp = timestamp(time.time_ns()) + b" " + stream
        lines = (self._rest[stream] + data).split(b"\n")
        records: list[bytes] = []
        rest = lines.pop()
        for line in lines:
            last = _cut(line, stamp, records)
            records.append(stamp + b" F " + last)
        self._rest[stream] = _cut(rest, stamp, records)
        self._append(records)

    def end(self, stream: bytes) -> None:
        """The stream is over: what has no newline yet is written as a partial record."""
        if self._rest[stream]:
            self._append([timestamp(time.time_ns()) + b" " + stream + b" P " + self._rest[stream]])
            self._rest[stream] = b""

    def close(self) -> None:
        for stream in self._rest:
            self.end(stream)
        os.close(self._fd)

    def _append(self, records: list[bytes]) -> None:
        if not records:
            return
        block = b"\n".join(records) + b"\n"
        if self._size and self._size + len(block) > MAX_FILE_BYTES:
            self._rotate()
        # A full disk loses log lines; it must not stop the program that writes them.
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, block)

    def _rotate(self) -> None:
        """Where there is no room for a new file, the old one goes on."""
        try:
            fresh = _open(f"{self.path}.new")
        except OSError:
            return
        os.close(self._fd)
        self._fd, self._size = fresh, 0
        for number in range(MAX_FILES - 1, 0, -1):
            older = f"{self.path}.{number}"
            newer = f"{self.path}.{number - 1}" if number > 1 else self.path
            with contextlib.suppress(OSError):
                os.replace(newer, older)
        with contextlib.suppress(OSError):
            os.replace(f"{self.path}.new", self.path)
