"""Start, resume and stop a cluster, from outside its processes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.supervisor import claim, daemon, options
from dabbawala.cluster.supervisor.options import Options
from dabbawala.cluster.supervisor.paths import Paths

CLAIM_SECONDS_MAX = 90.0
CLAIM_POLL_SECONDS = 0.02


async def up(
    paths: Paths, wanted: dict[str, Any], *, fresh: bool, heard: Callable[[dict[str, Any]], None]
) -> daemon.Record:
    """Start the control plane unless it runs. Raises BadPath, BadOptions, Busy or StartFailed."""
    running = daemon.read(paths)
    if running is not None and not fresh:
        _refuse_other_options(paths, wanted)
        heard({"event": "running", "text": "already running"})
        return running
    asked = chosen(paths, wanted, fresh=fresh)
    paths.make()
    with claim.held(paths):
        if fresh:
            await _end(paths)
            forget(paths)
            paths.make()
        elif (before := daemon.found(paths)) is not None:
            return _met(paths, before)
        with _kept_when_it_starts(paths.options):
            options.write(asked, paths.options)
            command = ["control-plane", "--name", paths.name, "--data-dir", str(paths.data)]
            await _start(paths, command, heard)
    record = daemon.read(paths)
    if record is None:
        raise daemon.StartFailed("the control plane ended right after it was ready; `dabba logs` says why")
    return record


def _refuse_other_options(paths: Paths, wanted: dict[str, Any]) -> None:
    """Nobody shall believe that a running cluster has got what was asked for now."""
    before, asked = options.read(paths.options), chosen(paths, wanted)
    differ = [
        f"{field} is {old!r}, not {new!r}"
        for field in Options.__dataclass_fields__
        if (old := getattr(before, field)) != (new := getattr(asked, field))
        and (field, new) != ("api_port", options.ANY_PORT)
    ]
    if differ:
        raise daemon.StartFailed(
            f"it runs already, with other options ({', '.join(differ)}); to change them,"
            f" stop it first by `dabba down --name {paths.name}`"
        )


def _met(paths: Paths, before: daemon.Record) -> daemon.Record:
    """Another command was faster. Raises Busy when that was killed, and its control plane is still starting."""
    if before.server:
        return before
    raise claim.Busy(
        f"its control plane (process {before.pid}) is starting already, without the command that started it;"
        f" `dabba status --name {paths.name}` says when it is up, and `dabba down --name {paths.name}` stops it"
    )


async def _start(paths: Paths, command: list[str], heard: Callable[[dict[str, Any]], None]) -> None:
    """Start the control plane. When it fails, or somebody loses patience (Ctrl-C), all is as it was before."""
    outlived = HolderClient(paths.run).running()
    launched = daemon.launch(paths, command)
    try:
        await asyncio.to_thread(daemon.follow, launched, paths, heard)
    except (asyncio.CancelledError, daemon.StartFailed):
        record = daemon.found(paths)
        if record is not None:
            await asyncio.to_thread(daemon.stop, record)
        await asyncio.to_thread(launched.process.wait)
        if not outlived:
            await _end(paths)
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
        elif path.read_bytes() != before:
            path.write_bytes(before)
        raise


def chosen(paths: Paths, wanted: dict[str, Any], *, fresh: bool = False) -> Options:
    """What was asked for, over what the cluster was last started with (unless that is forgotten), over the defaults."""
    before = options.read(paths.options) if paths.options.exists() and not fresh else Options()
    merged = {field: wanted.get(field, getattr(before, field)) for field in Options.__dataclass_fields__}
    result = Options(**merged)
    result.check()
    return result


def forget(paths: Paths) -> None:
    """Remove a stopped cluster's state, all but the claim on it; images are shared and stay."""
    for entry in paths.data.iterdir() if paths.data.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != paths.claim:
            entry.unlink()


async def down(paths: Paths, *, delete: bool = False) -> bool:
    """End the control plane, then the holder and all in it; one that is starting is stopped, and waited for.

    False when nothing ran. Returns when nothing is left, and with `delete` not even the state. Raises Busy when another
    command holds on to the cluster for longer than CLAIM_SECONDS_MAX.
    """
    stopped = False
    deadline = time.monotonic() + CLAIM_SECONDS_MAX
    while True:
        try:
            with claim.held(paths):
                ended = await _end(paths)
                if delete and paths.data.exists():
                    shutil.rmtree(paths.data)
                return ended or stopped
        except claim.Busy:
            if time.monotonic() > deadline:
                raise
        starting = daemon.found(paths)
        if starting is not None:
            stopped = True
            await asyncio.to_thread(daemon.stop, starting)
        await asyncio.sleep(CLAIM_POLL_SECONDS)


async def _end(paths: Paths) -> bool:
    """With the claim held: end what runs; False when nothing did."""
    record = daemon.found(paths)
    if record is not None:
        await asyncio.to_thread(daemon.stop, record)
    paths.record.unlink(missing_ok=True)
    holder = HolderClient(paths.run)
    ran = holder.running()
    if paths.run.exists():
        await holder.stop()
        shutil.rmtree(paths.run, ignore_errors=True)
    return record is not None or ran
