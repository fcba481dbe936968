"""`dabba guard scan` of files: in as many processes as pay, with what earlier scans have compiled."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from dabbawala.apimachinery.clock import SystemClock

if TYPE_CHECKING:
    from dabbawala.cli.guard import Asked
    from dabbawala.guard.checks import Check
    from dabbawala.guard.engine import Engine, Judgement
    from dabbawala.guard.findings import Report
    from dabbawala.guard.world import World


@dataclass(frozen=True, slots=True)
class Files:
    """How files are scanned. `jobs` is the number of processes, 0 for as many as pay."""

    jobs: int

    def scan(self, paths: Sequence[str], asked: Asked, show: Callable[[Report], None]) -> Report:
        from dabbawala.guard import scanning
        from dabbawala.guard.cache import Cache, folder_of

        gc.disable()  # what a scan makes is needed to its end, and its values refer to nothing in circles
        kept = Cache(folder_of(os.environ))
        chosen = asked.checks(kept.checks)
        report = scanning.of_paths(
            paths, chosen, asked.exceptions, now=SystemClock().now(), store=kept.store, split=self._split
        )
        kept.save()
        show(report)
        return report

    def _split(self, world: World, engine: Engine, checks: Sequence[Check]) -> Iterable[Judgement]:
        from dabbawala.guard import workers

        jobs = self.jobs or workers.count(len(world.inventory))
        return workers.judgements(world, engine, checks, jobs)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a scan of files; it gets them as `files`."""

    @click.option("-j", "--jobs", type=click.IntRange(0, 64), default=0, metavar="N",
                  help="Judge in N processes; otherwise in as many as pay.")  # fmt: skip
    @wraps(command)
    def taken(*args: Any, jobs: int, **rest: Any) -> Any:
        return command(*args, files=Files(jobs), **rest)

    return taken
