"""`dabba up`, `down`, `status`, `kubeconfig`, `logs`: the cluster of this machine.

`dabba up` starts another Python that imports the whole control plane; so that nobody waits for that twice, this module
imports the assembly only where it is run.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from dabbawala.cli.answer import CouldNotTell
from dabbawala.cli.command import asynchronous
from dabbawala.cluster.supervisor import claim, daemon, lifecycle, options, paths

NO = 1
FOLLOW_SECONDS = 0.2


def _resolved(name: str, data_dir: Path | None) -> paths.Paths:
    try:
        where = paths.resolve(name, data_dir, dict(os.environ))
        paths.refuse_foreign(where)
        return where
    except paths.BadPath as error:
        raise CouldNotTell(str(error)) from error


def cluster_options(command: Any) -> Any:
    """`--name` and `--data-dir`, the same for every command of a cluster."""
    folder = click.option("--data-dir", type=click.Path(path_type=Path), help="Where the cluster keeps its state.")
    name = click.option("--name", default="default", show_default=True, help="Name of the cluster.")
    return name(folder(command))


@click.command()
@cluster_options
@click.option("--nodes", type=int, help="Nodes whose pods are real processes.  [default: 1]")
@click.option("--simulated-nodes", type=int, help="Further nodes whose pods run no process.  [default: 0]")
@click.option("--cpu", metavar="QUANTITY", help="What each node offers, like 2 or 500m.  [default: all of the machine]")
@click.option(
    "--memory", metavar="QUANTITY", help="What each node offers, like 4Gi or 500Mi.  [default: all of the machine]"
)
@click.option("--api-port", type=int, help="Port of the API server.  [default: a free one, then kept]")
@click.option(
    "--scrape-interval", "scrape_seconds", type=float, metavar="SECONDS", help="Between two scrapes.  [default: 15]"
)
@click.option(
    "--host-port",
    "host_ports",
    type=int,
    multiple=True,
    metavar="PORT",
    help="A port of this machine that pods may reach, at host.dabbawala.internal; 0: none any more.  [default: none]",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(options.CAPABILITIES),
    help="Do not run this capability in the cluster; `dabba controller` may run it instead.",
)
@click.option("--fresh", is_flag=True, help="Forget the state of an earlier cluster of this name.")
@asynchronous
async def up(*, name: str, data_dir: Path | None, fresh: bool, **asked: Any) -> None:
    """Start the cluster, or resume it."""
    where = _resolved(name, data_dir)
    wanted = {field: value for field, value in asked.items() if value not in (None, ())}
    began = time.monotonic()

    def heard(event: dict[str, Any]) -> None:
        if event.get("text"):
            click.echo(f"{time.monotonic() - began:6.2f} s  {event['text']}")

    try:
        record = await lifecycle.up(where, wanted, fresh=fresh, heard=heard)
    except (paths.BadPath, options.BadOptions) as error:
        raise CouldNotTell(f"cluster {name} cannot be started like that: {error}") from error
    except (claim.Busy, daemon.StartFailed) as error:
        raise click.ClickException(f"cluster {name} did not start: {error}") from error
    click.echo(f"cluster {name} is up at {record.server}")
    click.echo(f"  export KUBECONFIG={where.kubeconfig}")


@click.command()
@cluster_options
@click.option("--delete", is_flag=True, help="Remove the cluster's state too.")
@asynchronous
async def down(name: str, data_dir: Path | None, delete: bool) -> None:
    """Stop the cluster and keep its state."""
    where = _resolved(name, data_dir)
    try:
        ran = await lifecycle.down(where, delete=delete)
    except claim.Busy as error:
        raise CouldNotTell(f"cluster {name} could not be stopped: {error}") from error
    done = "is down" if ran else "was not running"
    kept = "its state is removed" if delete else f"its state is kept in {where.data}"
    click.echo(f"cluster {name} {done}; {kept}" if where.data.exists() or delete else f"cluster {name} {done}")


@click.command()
@cluster_options
@asynchronous
async def status(name: str, data_dir: Path | None) -> None:
    """What runs, and where. Exit status 1 when the cluster is down."""
    where = _resolved(name, data_dir)
    record = daemon.read(where)
    if record is None and (starting := daemon.found(where)) is not None:
        click.echo(f"cluster {name} is starting (control plane: process {starting.pid})")
        sys.exit(NO)
    if record is None:
        others = [other for other in paths.clusters(dict(os.environ)) if other != name]
        known = f"; there are also: {', '.join(others)}" if others else ""
        click.echo(f"cluster {name} is down{known}. Start it with `dabba up --name {name}`.")
        sys.exit(NO)
    from rich.console import Console
    from rich.table import Table

    from dabbawala import assembly

    table = Table(box=None, show_header=False)
    for row in await assembly.status(where, record):
        table.add_row(*row)
    Console().print(table)


@click.command()
@cluster_options
@click.option("--merge", is_flag=True, help="Add the cluster to ~/.kube/config and make it current.")
def kubeconfig(name: str, data_dir: Path | None, merge: bool) -> None:
    """Print the kubeconfig, or merge it into the user's own."""
    where = _resolved(name, data_dir)
    if not where.kubeconfig.exists():
        raise CouldNotTell(f"cluster {name} has no kubeconfig yet; start it with `dabba up --name {name}`")
    if not merge:
        click.echo(where.kubeconfig.read_text(), nl=False)
        return
    listed = os.environ.get("KUBECONFIG", "").split(":")[0]
    target = Path(listed) if listed else Path.home() / ".kube" / "config"
    from dabbawala.cluster.supervisor import kubeconfigs

    try:
        context = kubeconfigs.merge(where.kubeconfig, target)
    except kubeconfigs.Unreadable as error:
        raise CouldNotTell(str(error)) from error
    click.echo(f"{target}: context {context} added and made current")


@click.command()
@cluster_options
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written.")
@click.option(
    "--tail", type=click.IntRange(min=0), default=100, show_default=True, help="Lines from the end of each log."
)
@click.argument("part", required=False)
def logs(name: str, data_dir: Path | None, follow: bool, tail: int, part: str | None) -> None:
    """Logs of the cluster's own parts (of all, or of PART)."""
    where = _resolved(name, data_dir)
    found = sorted(where.logs.glob("*.log"))
    chosen = [log for log in found if part is None or log.stem == part]
    if not found:
        raise CouldNotTell(f"cluster {name} has no logs yet; start it with `dabba up --name {name}`")
    if not chosen:
        raise CouldNotTell(f"cluster {name} has no log of {part}; there are: {', '.join(log.stem for log in found)}")
    ends = {log: _show(log, tail, label=len(chosen) > 1) for log in chosen}
    while follow:
        time.sleep(FOLLOW_SECONDS)
        ends = {log: _more(log, end, label=len(chosen) > 1) for log, end in ends.items()}


def _show(log: Path, tail: int, *, label: bool) -> int:
    text = log.read_text(errors="replace")
    lines = text.splitlines()
    for line in lines[max(0, len(lines) - tail) :]:
        click.echo(f"{log.stem}: {line}" if label else line)
    return log.stat().st_size


def _more(log: Path, end: int, *, label: bool) -> int:
    """What was written since; from the beginning when the log was started anew."""
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(end if size >= end else 0)
        for line in file.read().decode(errors="replace").splitlines():
            click.echo(f"{log.stem}: {line}" if label else line)
        return file.tell()


@click.command("control-plane", hidden=True)
@cluster_options
def control_plane(name: str, data_dir: Path | None) -> None:
    """The control plane itself; `dabba up` starts it."""
    gc.disable()  # what is made while starting is no garbage; the control plane collects again once it serves
    from dabbawala import assembly

    assembly.control_plane(_resolved(name, data_dir))


@click.command("monitoring", hidden=True)
@cluster_options
@click.option("--run-dir", type=click.Path(path_type=Path), required=True)
@click.option("--address", required=True)
def monitoring(name: str, data_dir: Path | None, run_dir: Path, address: str) -> None:
    """The monitoring of a cluster; its control plane starts it."""
    from dabbawala import assembly

    where = paths.resolve(name, data_dir, dict(os.environ))
    assembly.monitoring(dataclasses.replace(where, run=run_dir), address)
