"""Who starts or stops a cluster claims it first, so that no two commands do so at once.

The claim is a lock on a file beside the state, so it falls with the command that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dabbawala.cluster.supervisor import daemon
from dabbawala.cluster.supervisor.paths import Paths


class Busy(Exception):
    """Another command is starting or stopping the cluster; the message says what to do."""


@contextlib.contextmanager
def held(paths: Paths) -> Iterator[None]:
    """Hold the claim on a cluster. Raises Busy when another command has it; a cluster without a folder needs none."""
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(alone(paths.claim))
        except BlockingIOError:
            raise Busy(_explain(paths)) from None
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock on a file. Raises BlockingIOError when another process has it; in no folder there is no other."""
    descriptor = _locked(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    while path.parent.is_dir():
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None  # a full disk, say, on which a cluster must still be stoppable
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        with contextlib.suppress(OSError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # it belonged to a state that was just removed
    return None


def _explain(paths: Paths) -> str:
    record = daemon.found(paths)
    doing = "starting" if record is not None and not record.server else "starting or stopping"
    return (
        f"another command is {doing} it already; `dabba status --name {paths.name}` says when it is up,"
        f" and `dabba down --name {paths.name}` stops it"
    )
