"""Scans by the clock, and the folders that they leave: one for each time, the oldest removed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.images.schedule import Schedule

KEPT_MAX = 30
"""Scans that are kept of each image, unless --keep says otherwise."""
NAP_SECONDS_MAX = 60.0
"""Of one sleep: a laptop that was suspended finds out that the time has come."""
_OURS = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class Rounds:
    """Does something at its times, until it is cancelled or `rounds_max` are done. A round that takes longer than to
    the next time lets that pass."""

    schedule: Schedule
    clock: Clock
    at_once: bool
    rounds_max: int | None = None

    async def run(self, work: Callable[[], Awaitable[int]]) -> int:
        """What the last round gave."""
        done, gave = 0, 0
        due = self.clock.now() if self.at_once else self.schedule.next(self.clock.now())
        while self.rounds_max is None or done < self.rounds_max:
            while (left := (due - self.clock.now()).total_seconds()) > 0:
                await self.clock.sleep(min(left, NAP_SECONDS_MAX))
            gave = await work()
            done += 1
            now = self.clock.now()
            while due <= now:
                due = self.schedule.next(due)
        return gave


def folder(root: Path, now: datetime) -> Path:
    """Where the scans of this time go."""
    return root / now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def prune(root: Path, keep: int) -> None:
    """Remove our own folders but for the newest; what else lies there stays."""
    ours = sorted(path for path in root.iterdir() if path.is_dir() and _OURS.fullmatch(path.name))
    for path in ours[:-keep]:
        shutil.rmtree(path)
