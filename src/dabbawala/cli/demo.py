"""`dabba demo`: the main job."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from dabbawala import assembly
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cli import command
from dabbawala.cluster.supervisor import claim, daemon, options, paths
from dabbawala.demo import load, programs, report, run
from dabbawala.demo.view import View

NAME = "demo"
PROMISE_BROKEN = 1
CANNOT_RUN = (
    assembly.BadDockerfile,
    claim.Busy,
    daemon.StartFailed,
    load.LoadEnded,
    options.BadOptions,
    paths.BadPath,
    run.DemoFailed,
)


@click.command()
@click.option(
    "--quick", is_flag=True, help="A shorter run: at least 3,000 requests a release, under 90 seconds in all."
)
@click.option("--keep", is_flag=True, help="Leave the cluster running afterwards.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where the reports go.")
def demo(quick: bool, keep: bool, output: Path) -> None:
    """Release two services three times under live traffic, judged by live metrics, and report.

    Exit status 1 when a promise broke, 2 when the demo could not run.
    """
    _writable(output)
    with _alone() as where:
        result, rows = command.run(_shown(where, run.QUICK if quick else run.FULL, keep))
    machine, person = run.write(result, rows, output)
    _print(result)
    click.echo(f"reports: {machine} and {person}")
    sys.exit(0 if result["passed"] else PROMISE_BROKEN)


@contextmanager
def _alone() -> Iterator[paths.Paths]:
    """The demo's cluster, for nobody else: a second demo would take the first one's down."""
    with ExitStack() as lock:
        try:
            where = paths.resolve(NAME, None, dict(os.environ))
            where.make()
            lock.enter_context(claim.alone(where.data.with_suffix(".lock")))
        except paths.BadPath as error:
            raise assembly.CouldNotRun(str(error)) from error
        except BlockingIOError:
            raise assembly.CouldNotRun("another demo is running; wait until it has ended, or interrupt it") from None
        yield where


def _writable(folder: Path) -> None:
    """Nobody wants to hear after minutes that the reports cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise assembly.CouldNotRun(
            f"the reports cannot be written to {folder} ({reason}); choose another folder with --output"
        ) from error


async def _shown(where: paths.Paths, plan: run.Plan, keep: bool) -> tuple[dict[str, Any], list[list[dict[str, float]]]]:
    """The demo with its view; the cluster goes down whatever happens."""
    with View(Console(), SystemClock()) as view:
        try:
            return await _run(where, plan, view)
        except CANNOT_RUN as error:
            raise assembly.CouldNotRun(str(error)) from error
        finally:
            if not keep:
                await command.unbroken(assembly.down(where))
                view.say("the cluster is down")


async def _run(where: paths.Paths, plan: run.Plan, view: View) -> tuple[dict[str, Any], list[list[dict[str, float]]]]:
    clock = SystemClock()
    folder = programs.folder()
    await programs.build(assembly.build_image, folder, view.say)
    began = clock.monotonic()
    record = await assembly.up(where, {"nodes": 1, "scrape_seconds": 1.0}, fresh=True, heard=lambda event: None)
    ready = clock.monotonic() - began
    view.say(f"{ready:6.1f} s  the cluster is up at {record.server}")
    client = assembly.admin_client(where)
    try:
        started = run.Started(client, "127.0.0.1", ready)
        demo_run = run.Demo(started, folder, plan, clock, view, began)
        return await demo_run.run(), demo_run.rows
    finally:
        await client.close()


def _print(result: dict[str, Any]) -> None:
    console = Console()
    for release in result["releases"]:
        table = Table(title=f"{release['name']}: {release['from']} → {release['to']}", title_justify="left", box=None)
        table.add_column("")
        table.add_column("", justify="right")
        for name, value in report.outcome_rows(release):
            table.add_row(name, value)
        for line in release["wrong"]:
            table.add_row("[red]wrong[/red]", f"[red]{line}[/red]")
        console.print(table)
        console.print()
