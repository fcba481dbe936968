"""Requests to the API, from the audit log of an API server: JSON lines, read as they are appended.

Only what the server's audit policy has it write can be seen here. A log that was rotated is read on from its
beginning; what was written between the last look and the rotation is read from the file that is still open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson

from dabbawala.guard.runtime import events
from dabbawala.guard.runtime.events import Event

NAME = "audit log"
EVERY_SECONDS = 1.0
LINE_BYTES_MAX = 1024 * 1024
LINES_EACH_TIME = 500
"""Lines read before other work has its turn."""


class AuditLog:
    """`broken` counts lines that are no audit events."""

    def __init__(self, path: Path, take: Callable[[Event], None]) -> None:
        self.broken = 0
        self._path = path
        self._take = take

    async def run(self) -> None:
        """Follow from the end of what there is now, until cancelled. Raises OSError when the log cannot be read."""
        file: IO[bytes] = self._path.open("rb")
        file.seek(0, os.SEEK_END)
        try:
            while True:
                if self._read(file) < LINES_EACH_TIME:
                    await asyncio.sleep(EVERY_SECONDS)
                    file = self._current(file)
                else:
                    await asyncio.sleep(0)
        finally:
            file.close()

    def _read(self, file: IO[bytes]) -> int:
        for count in range(LINES_EACH_TIME):
            at = file.tell()
            line = file.readline(LINE_BYTES_MAX)
            if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
                file.seek(at)  # still being written
                return count
            event = parse(line)
            if event is None:
                self.broken += 1
            else:
                self._take(event)
        return LINES_EACH_TIME

    def _current(self, file: IO[bytes]) -> IO[bytes]:
        """The file of that name now: another one after a rotation, read from its beginning."""
        try:
            now, opened = self._path.stat(), os.fstat(file.fileno())
        except FileNotFoundError:
            return file
        if (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino):
            if now.st_size < file.tell():
                file.seek(0)
            return file
        self._read(file)
        file.close()
        return self._path.open("rb")


def parse(line: bytes) -> Event | None:
    """One line. Pure."""
    try:
        body: Any = orjson.loads(line)
        said = body.get("stageTimestamp") or body["requestReceivedTimestamp"]
        at = datetime.fromisoformat(said).timestamp()
    except (orjson.JSONDecodeError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Event(events.AUDIT, at, audit=body, source=NAME)
