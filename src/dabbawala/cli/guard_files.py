"""`dabba guard scan` of files: in as many processes as pay, with what earlier scans have compiled."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cli import guard_reports
from dabbawala.cli.answer import CouldNotTell
from dabbawala.cli.guard_reports import NOTHING_TOLD, Told

if TYPE_CHECKING:
    from dabbawala.cli.guard import Asked
    from dabbawala.guard.findings import Problem, Report
    from dabbawala.guard.standing import Difference
    from dabbawala.guard.watching import Watched


def _print(step: Difference, watched: Watched) -> None:
    """What a step has changed, if anything, and how things stand."""
    from dabbawala.guard.outputs import as_terminal

    if step:
        style = as_terminal.style_of(sys.stdout)
        lines = [*as_terminal.changes(step.new, step.gone, style), as_terminal.summary(watched.tally(), style)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Files:
    """How files are scanned. `jobs` is the number of processes, 0 for as many as pay; `target` the release of
    Kubernetes that the manifests are for; `told` what is known of their images."""

    jobs: int
    watch: bool
    target: tuple[int, int] | None = None
    told: Told = NOTHING_TOLD

    def scan(self, paths: Sequence[str], asked: Asked, show: Callable[[Report], None]) -> Report:
        gc.disable()  # what a scan makes is needed to its end, and its values refer to nothing in circles
        from dabbawala.guard import processes, readers, scanning, workers
        from dabbawala.guard.cache import Cache, folder_of
        from dabbawala.guard.findings import Report

        kept = Cache(folder_of(os.environ))
        chosen, now = asked.checks(kept.checks), SystemClock().now()
        report = Report(checks=chosen)
        found = readers.read(paths, report, self.jobs)
        world, engine = scanning.begun(found, report, asked.exceptions, now=now, store=kept.store, target=self.target)
        world.images = self.told.beside(report, now, engine.exceptions)
        report.objects += len(world.inventory)
        jobs = self.jobs or processes.count(len(world.inventory))
        scanning.collect(report, workers.judgements(world, engine, chosen, jobs))
        kept.save()
        show(report)
        if not report.files:
            raise CouldNotTell(f"nothing was scanned: no file to scan is in {', '.join(paths)}; check the path")
        if "-" in paths and not (report.objects or report.problems):
            raise CouldNotTell(
                "nothing was scanned: the standard input has no object; what was to write it may have failed"
            )
        return report

    def follow(self, paths: Sequence[str], asked: Asked) -> int:
        """Scan, then say what every change of the files brings and ends, until Ctrl-C; the status of the last state."""
        from dabbawala.guard.cache import Cache, folder_of
        from dabbawala.guard.engine import Engine
        from dabbawala.guard.notices import Notices
        from dabbawala.guard.outputs import as_terminal
        from dabbawala.guard.scanning import exceptions_of
        from dabbawala.guard.watching import Watched

        if "-" in paths:
            raise click.UsageError("--watch follows files, not the standard input")
        kept, now = Cache(folder_of(os.environ)), SystemClock().now()
        problems: list[Problem] = []
        given = list(exceptions_of(asked.exceptions, problems))
        engine = Engine(asked.checks(kept.checks), given, now=now, store=kept.store)
        gc.disable()
        watched = Watched(paths, engine, now=now, target=self.target)
        kept.save()
        with suppress(KeyboardInterrupt), Notices() as notices:
            first = watched.report()
            first.problems += problems
            as_terminal.write(first, sys.stdout)
            sys.stdout.flush()
            notices.follow(watched.folders)
            change: tuple[set[Path] | None, bool] = (None, True)  # what has changed before anybody gave notice
            while True:
                for step in watched.steps(change[0], more=change[1]):
                    _print(step, watched)
                if change[1]:
                    notices.follow(watched.folders)
                gc.collect()
                gc.freeze()  # what stays need not be looked through when the next change comes
                change = notices.wait()
        last = watched.report()
        last.problems += problems
        return asked.status(last)


def _release(_: click.Context, __: click.Parameter, given: str | None) -> tuple[int, int] | None:
    from dabbawala.guard.resources import release

    found = release(given) if given is not None else None
    if given is not None and found is None:
        raise click.BadParameter(f"{given!r} is no release; write it as 1.30")
    return found


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a scan of files; it gets them as `files`."""

    @click.option("-j", "--jobs", type=click.IntRange(0, 64), default=0, metavar="N",
                  help="Read and judge in N processes; otherwise in as many as pay.")  # fmt: skip
    @click.option("--watch", is_flag=True, help="Go on, and say of every change of the files what it brings and ends.")
    @click.option("--kubernetes-version", metavar="X.Y", callback=_release,
                  help="The release that the manifests are for: what it no longer serves is found.")  # fmt: skip
    @guard_reports.options
    @wraps(command)
    def taken(
        *args: Any, jobs: int, watch: bool, kubernetes_version: tuple[int, int] | None, told: Told, **rest: Any
    ) -> Any:
        return command(*args, files=Files(jobs, watch, kubernetes_version, told), **rest)

    return taken
