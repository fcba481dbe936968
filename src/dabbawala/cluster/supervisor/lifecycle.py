"""Start, resume and stop a cluster, from outside its processes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.supervisor import daemon, options
from dabbawala.cluster.supervisor.options import Options
from dabbawala.cluster.supervisor.paths import Paths


async def up(
    paths: Paths, wanted: dict[str, Any], *, fresh: bool, heard: Callable[[dict[str, Any]], None]
) -> daemon.Record:
    """Start the control plane unless it runs. Raises BadPath, BadOptions or StartFailed."""
    running = daemon.read(paths)
    if running is not None and not fresh:
        heard({"event": "running", "text": "already running"})
        return running
    if fresh:
        await down(paths)
        forget(paths)
    paths.make()
    with _kept_when_it_starts(paths.options):
        options.write(chosen(paths, wanted), paths.options)
        command = ["control-plane", "--name", paths.name, "--data-dir", str(paths.data)]
        await _start(paths, command, heard)
    record = daemon.read(paths)
    if record is None:
        raise daemon.StartFailed("the control plane ended right after it was ready; `dabba logs` says why")
    return record


async def _start(paths: Paths, command: list[str], heard: Callable[[dict[str, Any]], None]) -> None:
    """Start the control plane. Whoever loses patience (Ctrl-C) finds everything as it was before."""
    outlived = HolderClient(paths.run).running()
    launched = daemon.launch(paths, command)
    try:
        await asyncio.to_thread(daemon.follow, launched, paths, heard)
    except asyncio.CancelledError:
        launched.process.terminate()
        await asyncio.to_thread(launched.process.wait)
        if not outlived:
            await down(paths)
        raise
    except daemon.StartFailed:
        with contextlib.suppress(OSError):
            paths.run.rmdir()  # only when nothing is in it: another start of this cluster may be the reason
        raise


@contextlib.contextmanager
def _kept_when_it_starts(path: Path) -> Iterator[None]:
    """Put the file back as it was when the start fails: a port that is taken must not be asked for the next time."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        raise


def chosen(paths: Paths, wanted: dict[str, Any]) -> Options:
    """What was asked for, over what the cluster was last started with, over the defaults."""
    before = options.read(paths.options) if paths.options.exists() else Options()
    merged = {field: wanted.get(field, getattr(before, field)) for field in Options.__dataclass_fields__}
    result = Options(**merged)
    result.check()
    return result


def forget(paths: Paths) -> None:
    """Remove a stopped cluster's state; images are shared and stay."""
    for folder in (paths.data, paths.run):
        if folder.exists():
            shutil.rmtree(folder)


async def down(paths: Paths) -> bool:
    """End the control plane, then the holder and all in it. Returns when nothing is left."""
    record = daemon.read(paths)
    if record is not None:
        await asyncio.to_thread(daemon.stop, record)
    paths.record.unlink(missing_ok=True)
    holder = HolderClient(paths.run)
    ran = holder.running()
    if paths.run.exists():
        await holder.stop()
        shutil.rmtree(paths.run, ignore_errors=True)
    return record is not None or ran
