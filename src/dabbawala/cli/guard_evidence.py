"""`dabba guard evidence`: a log of results that cannot be changed unnoticed, for an auditor.

`dabba guard evidence PATH -o FILE` scans and appends an entry; `dabba guard evidence verify FILE` says whether the log
holds, without a cluster and without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dabbawala.cli import guard, guard_files, guard_frameworks, guard_live
from dabbawala.cli.answer import NO, CouldNotTell
from dabbawala.cli.guard import PATH, Asked
from dabbawala.cli.guard_files import Files
from dabbawala.cli.guard_frameworks import ByClause
from dabbawala.cli.guard_live import Live

RECORD = "record"


class Recording(click.Group):
    """A group whose first command need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or not args else [RECORD, *args])


@click.group(cls=Recording)
def evidence() -> None:
    """Results as evidence: an append-only log of them, hash by hash, and whether it holds.

    `dabba guard evidence PATH -o FILE` is short for `dabba guard evidence record PATH -o FILE`.
    """


@evidence.command(RECORD)
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option("-o", "--output", "log", type=PATH, required=True, help="The log; an entry is appended to it.")
@guard_frameworks.options
@guard.asking
@guard_live.options
@guard_files.options
def record(paths: Sequence[str], log: Path, *, clauses: ByClause, asked: Asked, **scanned: Any) -> None:
    """Scan, and append the results by clause, with the hashes of what was scanned and of the checks, to a log."""
    import importlib.metadata

    from dabbawala.guard.frameworks import ledger
    from dabbawala.guard.frameworks.outputs import as_terminal

    live: Live = scanned["live"]
    files: Files = scanned["files"]
    live.check(paths)
    if live.with_cluster_policies or files.watch:
        raise click.UsageError("results are recorded of the checks that come with guard, once")
    before = _inputs(paths, live)
    chosen = clauses.frameworks()
    narrowed = clauses.narrowed(asked, chosen)
    report = live.scan(paths, narrowed) if live.asks else files.scan(paths, narrowed, lambda _: None)
    found = clauses.assess(report, chosen, paths)
    if _inputs(paths, live) != before:
        raise CouldNotTell("the files changed while they were scanned; try again")
    try:
        entry = ledger.append(log, ledger.content(found, before, importlib.metadata.version("dabbawala")))
    except ledger.Broken as broken:
        raise CouldNotTell(str(broken)) from broken
    except OSError as failed:
        raise CouldNotTell(f"{log} cannot be written: {failed.strerror}") from failed
    for problem in report.problems:
        click.echo(f"not read: {problem.place} {problem.message} {problem.remedy}".replace("  ", " "), err=True)
    click.echo(as_terminal.total("recorded", list(found.results)), err=True)
    click.echo(f"entry {entry['number']} of {log}: {entry['hash']}")
    raise click.exceptions.Exit(asked.status(report))


def _inputs(paths: Sequence[str], live: Live) -> list[dict[str, Any]]:
    if live.asks:
        from dabbawala.cli import connection

        ctx = click.get_current_context()
        ctx.ensure_object(dict).update({connection.KUBECONFIG: live.kubeconfig, connection.CONTEXT: live.context})
        return [{"cluster": connection.chosen(ctx).server, "namespace": live.namespace}]
    from dabbawala.guard.frameworks import inputs

    return inputs.hashed(paths)


@evidence.command()
@click.argument("log", type=PATH)
@click.option("--last", default="", metavar="HASH", help="The hash that the last entry must have, kept elsewhere.")
def verify(log: Path, last: str) -> None:
    """Say whether a log holds: no entry changed, moved, put in or left out.

    Exit status: 0 it holds, 1 it does not, 2 it could not be read.
    """
    import orjson

    from dabbawala.guard import checks
    from dabbawala.guard.frameworks import ledger

    try:
        lines = ledger.read(log)
    except OSError as failed:
        raise CouldNotTell(f"{log} cannot be read: {failed.strerror}") from failed
    found = list(ledger.faults(lines, last))
    for fault in found:
        click.echo(f"{log}: {fault}")
    if found:
        raise click.exceptions.Exit(NO)
    entry = orjson.loads(lines[-1])
    count = f"{len(lines)} entr{'y' if len(lines) == 1 else 'ies'}"
    click.echo(f"{log} holds: {count}, the last of {entry['time']}, {entry['hash']}")
    if changed := ledger.changed(entry, checks.shipped().values()):
        click.echo(f"{len(changed)} of its checks have another text here, so that a scan may say otherwise today")
