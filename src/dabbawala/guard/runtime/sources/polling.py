"""Programs that run, by looking: once at the start, and again and again where the kernel does not tell of them.

Between two looks a program may come and go unseen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from dabbawala.guard.runtime import processes
from dabbawala.guard.runtime.containers import Containers

NAME = "/proc polling"
EVERY_SECONDS = 0.5
NODE_EVERY = 4
"""Every so many looks at known containers, one at the whole node for new ones."""


class Polling:
    """`began` hears of each program once: a process, or the next program in the same process."""

    def __init__(self, containers: Containers, began: Callable[[int, str], None]) -> None:
        self._containers = containers
        self._began = began
        self._known: dict[int, tuple[int, str]] = {}

    def take_in(self) -> None:
        """Everything that runs in containers of this node now."""
        self._look([int(name) for name in os.listdir("/proc") if name.isdecimal()])

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for _ in range(NODE_EVERY):
                await asyncio.sleep(EVERY_SECONDS)
                self._look(sorted({pid for living in self._containers for pid in living.processes()}))
            self.take_in()

    def _look(self, pids: list[int]) -> None:
        seen: dict[int, tuple[int, str]] = {}
        for pid in pids:
            if self._containers.of(pid) is None:
                continue
            facts = processes.stat(pid)
            if facts is None or facts[0].startswith("dabba-"):
                continue
            seen[pid] = (facts[3], processes.link(f"/proc/{pid}/exe"))
            if self._known.get(pid) != seen[pid]:
                self._began(pid, NAME)
        self._known = seen
