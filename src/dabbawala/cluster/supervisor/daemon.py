"""The control plane as a process of its own: started, found again, and ended.

It outlives the terminal. Its record in RUN says pid, start time and address; the start time guards against another
process that got the same pid. Who starts it makes the record, so that it can be stopped from the first moment on; once
its API answers it replaces it by one with the address. While it starts it reports progress, one JSON object a line,
through a pipe; the pipe's end without "ready" means that it failed, and the log says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dabbawala.cluster.supervisor.paths import Paths

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
LOG_LINES_SHOWN = 15
PROGRESS_FD = "DABBA_PROGRESS_FD"


class StartFailed(Exception):
    """The control plane did not come up; the message holds its reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """`server` is empty as long as the API does not answer."""

    pid: int
    start_ticks: int
    server: str = ""
    version: str = ""

    def alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot, from /proc/PID/stat; None for none, or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def found(paths: Paths) -> Record | None:
    """The record of the control plane that runs or starts, or None when there is none."""
    try:
        record = Record(**json.loads(paths.record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.alive() else None


def read(paths: Paths) -> Record | None:
    """The record of the control plane whose API answers, or None."""
    record = found(paths)
    return record if record is not None and record.server else None


def write(paths: Paths, server: str, version: str) -> None:
    """Called by the control plane about itself, once its API answers."""
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    _written(paths, Record(os.getpid(), ticks, server, version)).replace(paths.record)


def _announce(paths: Paths, pid: int) -> None:
    """The record of a control plane that was just started, unless it was faster itself."""
    ticks = start_ticks(pid)
    if ticks is None:
        return
    with contextlib.suppress(OSError):  # without room for it the start will fail with a better message than this
        fresh = _written(paths, Record(pid, ticks))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, paths.record)
        fresh.unlink()


def _written(paths: Paths, record: Record) -> Path:
    fresh = paths.record.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(record)))
    return fresh


class Progress:
    """The control plane's end of the pipe; says nothing when nobody listens."""

    def __init__(self, environment: dict[str, str]) -> None:
        text = environment.get(PROGRESS_FD)
        self._fd = int(text) if text else None

    def say(self, event: str, **facts: object) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._fd, json.dumps({"event": event, **facts}).encode() + b"\n")

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A control plane on its way up. `log_offset`: where its part of the log begins."""

    process: subprocess.Popen[bytes]
    progress_fd: int
    log_offset: int


def launch(paths: Paths, command: list[str]) -> Launch:
    """Start the control plane as a process of its own. The caller knows that none runs."""
    paths.record.unlink(missing_ok=True)
    reading, writing = os.pipe()
    with (paths.logs / "control-plane.log").open("ab") as log:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "dabbawala.cli.main", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
                env={**os.environ, PROGRESS_FD: str(writing)},
            )
        finally:
            os.close(writing)
        _announce(paths, process.pid)
        return Launch(process, reading, log.tell())


def follow(launched: Launch, paths: Paths, heard: Callable[[dict[str, Any]], None]) -> None:
    """Wait until it says "ready". Raises StartFailed with its reason."""
    reason = ""
    for event in _events(launched.progress_fd):
        heard(event)
        if event["event"] == "ready":
            return
        if event["event"] == "failed":
            reason = str(event.get("reason", ""))
    status = launched.process.wait()
    if status in (0, -signal.SIGTERM) and not reason:
        reason = "it was stopped while it was starting, as `dabba down` does"
    last = _tail(paths, launched.log_offset)
    raise StartFailed(reason or f"it ended with status {status}; the log's last lines:\n{last}")


def _events(fd: int) -> Iterator[dict[str, Any]]:
    """Lines of the pipe until its end. Raises StartFailed when that takes longer than START_SECONDS_MAX."""
    deadline = time.monotonic() + START_SECONDS_MAX
    begun = b""
    with os.fdopen(fd, "rb", buffering=0):
        while True:
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise StartFailed(f"not ready within {START_SECONDS_MAX:.0f} s; `dabba logs` shows what it is doing")
            part = os.read(fd, 1 << 16)
            if not part:
                return
            *lines, begun = (begun + part).split(b"\n")
            yield from map(json.loads, lines)


def _tail(paths: Paths, offset: int) -> str:
    with (paths.logs / "control-plane.log").open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES_SHOWN:])


def stop(record: Record) -> bool:
    """Ask the control plane to end, and end it if it does not. True when it ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGTERM)
        os.kill(record.pid, signal.SIGCONT)  # one that was held (Ctrl-Z, a debugger) hears nothing else
    if _ended(record, STOP_SECONDS_MAX):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGKILL)
    _ended(record, STOP_SECONDS_MAX)
    return False


def _ended(record: Record, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while record.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
