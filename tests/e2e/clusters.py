"""Clusters of a test's own: for what other tests would suffer from, and for what never gets as far as running."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import Dabba

WAIT_SECONDS_MAX = 30.0


@contextmanager
def private() -> Iterator[Dabba]:
    """The command with a home of its own; whatever it started is taken down at the end."""
    with tempfile.TemporaryDirectory(prefix="dabba", ignore_cleanup_errors=True) as made:
        (Path(made) / "run").mkdir(mode=0o700)
        dabba = Dabba(Path(made))
        try:
            yield dabba
        finally:
            dabba("down")


def until(what: str, happened: Callable[[], object], seconds: float = WAIT_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def run_folder(dabba: Dabba) -> Path:
    return next((dabba.home / "run" / "dabbawala").iterdir())


def control_plane(dabba: Dabba) -> int:
    return int(json.loads((run_folder(dabba) / "controlplane.json").read_text())["pid"])


def processes(dabba: Dabba, word: str = "") -> list[int]:
    """Pids of everything that runs for this cluster; with `word` those of that name, or with it on the command line."""
    held = json.loads((run_folder(dabba) / "holder.json").read_text())
    found = [control_plane(dabba), held["janitor"], *_below(held["janitor"])]
    return [pid for pid in found if word in _name(pid)]


def _below(pid: int) -> list[int]:
    """All descendants of a process."""
    try:
        children = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return [*children, *(each for child in children for each in _below(child))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
