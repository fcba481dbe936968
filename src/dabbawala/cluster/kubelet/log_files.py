"""Reading the CRI logs of containers: `2026-01-01T00:00:00.000000000Z stdout F text`, one file a run, rotated by size.

`<attempt>.log` is being written; `.log.1` is the newest of the full ones. A follower holds the file it reads: when the
name has moved on to a new file, it reads the old one to its end and goes over. Source: pkg/kubelet/kuberuntime/logs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.memory import Memory
from dabbawala.cluster.kubelet.pod_files import PodFiles

CHUNK = 256 * 1024
FOLLOW_SECONDS = 0.1
LAST_WORDS_LINES, LAST_WORDS_BYTES = 80, 2048


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted. Source: core/v1 PodLogOptions. `since` is the earliest moment; `stream` is stdout,
    stderr or empty for both."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
    timestamps: bool = False
    stream: str = ""


@dataclass(slots=True)
class _Printer:
    """From CRI records to what a client sees."""

    options: LogOptions
    inside: bool = False

    def show(self, record: bytes) -> bytes:
        stamp, _, rest = record.partition(b" ")
        stream, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if self.options.stream and stream != self.options.stream.encode():
            return b""
        if self.options.since is not None and stamp < _stamp(self.options.since):
            return b""
        prefix = stamp + b" " if self.options.timestamps and not self.inside else b""
        self.inside = tag == b"P"
        return prefix + text + (b"" if self.inside else b"\n")


def _stamp(moment: datetime) -> bytes:
    return (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z").encode()


def attempts(files: PodFiles, uid: str, container: str) -> list[int]:
    """The runs that have a log, oldest first."""
    folder = files.logs(uid, container)
    if not folder.is_dir():
        return []
    return sorted({int(name.name.partition(".")[0]) for name in folder.iterdir() if name.name[:1].isdigit()})


async def read(path: Path, options: LogOptions, running: Callable[[], bool], clock: Clock) -> AsyncIterator[bytes]:
    """The log as the options want it; with `follow` until the run has ended. `running` tells whether it still runs."""
    left = options.limit_bytes
    async for chunk in _shown(path, options, running, clock):
        if left is not None and len(chunk) >= left:
            yield chunk[:left]
            return
        left = None if left is None else left - len(chunk)
        yield chunk


async def _shown(path: Path, options: LogOptions, running: Callable[[], bool], clock: Clock) -> AsyncIterator[bytes]:
    printer = _Printer(options)
    try:
        current = open(path, "rb", buffering=0)  # noqa: SIM115  # handed over from file to file while following
    except FileNotFoundError:
        return
    try:
        end = os.fstat(current.fileno()).st_size
        past = await asyncio.to_thread(_past, path, end, options)
        for start in range(0, len(past), 1000):
            shown = b"".join(printer.show(record) for record in past[start : start + 1000])
            if shown:
                yield shown
        if options.follow:
            current.seek(end)
            async for shown in _follow(path, current, printer, running, clock):
                yield shown
    finally:
        current.close()


def _past(path: Path, end: int, options: LogOptions) -> list[bytes]:
    """Records up to byte `end` of the current file; only the last ones when a tail is wanted."""
    records: list[bytes] = []
    for file, size in [(path, end), *((older, None) for older in _rotated(path))]:
        found = _records(file, size)
        records = found + records
        if options.tail_lines is not None:
            records = _tail(records, options)
            if _lines(records, options) >= options.tail_lines:
                break
    return records


def _rotated(path: Path) -> Iterator[Path]:
    """The full files of the log, newest first."""
    number = 1
    while (older := path.with_name(f"{path.name}.{number}")).exists():
        yield older
        number += 1


def _records(path: Path, size: int | None) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            data = file.read() if size is None else file.read(size)
    except FileNotFoundError:
        return []
    return data.split(b"\n")[:-1]


def _wanted(record: bytes, options: LogOptions) -> bool:
    return not options.stream or record.split(b" ", 2)[1:2] == [options.stream.encode()]


def _is_whole(record: bytes) -> bool:
    """Of a record that was cut short, by a full disk say, nothing is known."""
    return record.split(b" ", 3)[2:3] == [b"F"]


def _lines(records: list[bytes], options: LogOptions) -> int:
    return sum(1 for record in records if _wanted(record, options) and _is_whole(record))


def _tail(records: list[bytes], options: LogOptions) -> list[bytes]:
    """The records of the last lines. A line begins after the end of the one before it."""
    left = options.tail_lines or 0
    for position in range(len(records) - 1, -1, -1):
        record = records[position]
        if not _wanted(record, options) or not (_is_whole(record) or position == len(records) - 1):
            continue
        if left == 0:
            return records[position + 1 :]
        left -= 1
    return records


async def _follow(
    path: Path, current: Any, printer: _Printer, running: Callable[[], bool], clock: Clock
) -> AsyncIterator[bytes]:
    rest = b""
    while True:
        alive = running()
        data = current.read(CHUNK)
        if data:
            *records, rest = (rest + data).split(b"\n")
            shown = b"".join(printer.show(record) for record in records)
            if shown:
                yield shown
        elif _moved_on(path, current):
            current.close()
            current = open(path, "rb", buffering=0)  # noqa: SIM115  # a local file, closed by the caller
        elif not alive:
            current.close()
            return
        else:
            await clock.sleep(FOLLOW_SECONDS)


def _moved_on(path: Path, current: Any) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(current.fileno()).st_ino
    except FileNotFoundError:
        return False


def add_last_words(memory: Memory, pod: Mapping[str, Any], files: PodFiles) -> None:
    """terminationMessagePolicy FallbackToLogsOnError: the end of the log stands in for a message that was not left."""
    for item in pod_spec.all_containers(pod):
        runs = memory.runs.get(item["name"])
        if item.get("terminationMessagePolicy") != "FallbackToLogsOnError" or not runs or runs[-1].is_running:
            continue
        run = runs[-1]
        if run.exit_code != 0 and not run.message and not run.stale:
            path = files.log(meta.uid(pod), item["name"], run.attempt)
            options = LogOptions(tail_lines=LAST_WORDS_LINES)
            printer = _Printer(options)
            text = b"".join(printer.show(one) for one in _tail(_records(path, None), options))
            message = text[-LAST_WORDS_BYTES:].decode(errors="replace")
            memory.add_run(item["name"], replace(run, message=message))
