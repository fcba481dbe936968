"""Who it probably was, when the kernel does not name the process of an act.

Guesses are marked as such (`dabba.attribution`), and none is made that would accuse a bystander: without a better one,
an act is that of the container's own program.
"""

from __future__ import annotations

from collections import deque

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.runtime.containers import Living
from dabbawala.guard.runtime.events import Process
from dabbawala.guard.runtime.processes import Processes

FILE_SECONDS = 1.0
"""An act on a file may be that of a program that started so lately."""

CONNECTION_SECONDS = 5.0
"""A connection that has ended may be that of a program that started so lately."""

RECENT_MAX = 8
"""Programs remembered of one container."""


class Suspects:
    """Programs that started lately, by container."""

    def __init__(self, processes: Processes, clock: Clock) -> None:
        self._processes = processes
        self._clock = clock
        self._recent: dict[str, deque[tuple[float, Process]]] = {}

    def started(self, living: Living, process: Process) -> None:
        recent = self._recent.setdefault(living.container.key, deque(maxlen=RECENT_MAX))
        recent.append((self._clock.monotonic(), process))

    def forget(self, living: Living) -> None:
        self._recent.pop(living.container.key, None)

    def last(self, living: Living) -> int:
        """The pid of the program that started there last and lately; 0 when none did."""
        return next((one.pid for one in self._lately(living, CONNECTION_SECONDS)), 0)

    def of_connection(self, living: Living) -> Process | None:
        """The program that started last, if lately."""
        return next(iter(self._lately(living, CONNECTION_SECONDS)), None) or self._processes.get(living.pid)

    def of_file(self, living: Living, path: str) -> Process | None:
        """None when it may as well have been the kubelet, which looks at the volumes that it keeps current every few
        seconds: there, only a program that has to do with the file did it."""
        lately, own = self._lately(living, FILE_SECONDS), self._processes.get(living.pid)
        told = next((one for one in (*lately, *filter(None, (own,))) if one.speaks_of(path)), None)
        if told is not None or _is_kept_by_the_kubelet(path):
            return told
        return next(iter(lately), None) or own

    def _lately(self, living: Living, seconds: float) -> list[Process]:
        """The last first."""
        now = self._clock.monotonic()
        return [one for at, one in reversed(self._recent.get(living.container.key, ())) if now - at < seconds]


def _is_kept_by_the_kubelet(path: str) -> bool:
    """Of a ConfigMap, Secret, projected or downwardAPI volume, whose files lie in directories such as `..2026_01_01`,
    so that they are replaced all at once. Source: pkg/volume/util AtomicWriter."""
    return any(part.startswith("..") for part in path.split("/"))
