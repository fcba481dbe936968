"""The ends of containers, told by a descriptor of the process that each one stands and falls with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from dabbawala.guard.runtime.containers import Living


class Anchors:
    """`ended` is called once the anchor of a container has ended, in the event loop."""

    def __init__(self, ended: Callable[[Living], None]) -> None:
        self._ended = ended
        self._descriptors: dict[str, int] = {}

    def hold(self, living: Living) -> None:
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(living.anchor)
        except OSError:
            loop.call_soon(self._gone, living)
            return
        self._descriptors[living.container.key] = fd
        loop.add_reader(fd, self._gone, living)

    def _gone(self, living: Living) -> None:
        self.release(living.container.key)
        self._ended(living)

    def release(self, key: str) -> None:
        fd = self._descriptors.pop(key, -1)
        if fd >= 0:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        for key in tuple(self._descriptors):
            self.release(key)
