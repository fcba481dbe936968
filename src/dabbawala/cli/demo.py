"""`dabba demo`: the main job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from dabbawala import assembly
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cli.connection import asynchronous
from dabbawala.cluster.supervisor import daemon, options, paths
from dabbawala.demo import programs, report, run
from dabbawala.demo.view import View

NAME = "demo"
PROMISE_BROKEN = 1


@click.command()
@click.option(
    "--quick", is_flag=True, help="A shorter run: at least 3,000 requests a release, under 90 seconds in all."
)
@click.option("--keep", is_flag=True, help="Leave the cluster running afterwards.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where the reports go.")
@asynchronous
async def demo(quick: bool, keep: bool, output: Path) -> None:
    """Release two services three times under live traffic, judged by live metrics, and report.

    Exit status 1 when a promise broke, 2 when the demo could not run.
    """
    where = paths.resolve(NAME, None, dict(os.environ))
    plan = run.QUICK if quick else run.FULL
    with View(Console(), SystemClock()) as view:
        try:
            result, rows = await _run(where, plan, view)
        except (daemon.StartFailed, paths.BadPath, options.BadOptions, run.DemoFailed) as error:
            raise assembly.CouldNotRun(str(error)) from error
        finally:
            if not keep:
                await assembly.down(where)
                view.say("the cluster is down")
    machine, person = run.write(result, rows, output)
    _print(result)
    click.echo(f"reports: {machine} and {person}")
    sys.exit(0 if result["passed"] else PROMISE_BROKEN)


async def _run(
    where: paths.Paths, plan: run.Plan, view: View
) -> tuple[dict[str, object], list[list[dict[str, float]]]]:
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


def _print(result: dict[str, object]) -> None:
    console = Console()
    releases = result["releases"]
    assert isinstance(releases, list)
    for release in releases:
        table = Table(title=f"{release['name']}: {release['from']} → {release['to']}", title_justify="left", box=None)
        table.add_column("")
        table.add_column("", justify="right")
        for name, value in report.outcome_rows(release):
            table.add_row(name, value)
        for line in release["wrong"]:
            table.add_row("[red]wrong[/red]", f"[red]{line}[/red]")
        console.print(table)
        console.print()
