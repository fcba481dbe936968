"""The lock of a data directory: a file held by flock, so that it falls with its process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from dabbawala.cluster.store.errors import Locked


class DirectoryLock:
    """Held from construction until `release`. Raises Locked, naming the holder, when another process has it."""

    def __init__(self, path: Path, cluster: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = _explain(path)
            os.close(self._descriptor)
            raise Locked(message) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "cluster": cluster}).encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _explain(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        who = f'cluster "{holder["cluster"]}" (process {holder["pid"]})'
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"data directory {path.parent} is in use by {who}; stop it with `dabba down`, or choose another --data-dir"
