"""`dabba guard parity`: whether a real API server says of objects what the scan says of them.

Exit status: 0 they agree, 1 they do not, 2 could not tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from dabbawala.cli import connection
from dabbawala.cli.answer import NO, YES, CouldNotTell
from dabbawala.guard import checks, comparison
from dabbawala.guard import parity as answers_of
from dabbawala.guard.checks import Check

SETTLE_SECONDS = 3.0
"""How long a server may take to notice a policy that was just written."""
PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True))
ONLY = click.option("-c", "--check", "only", multiple=True, metavar="ID", help="Only this check; may be repeated.")


@click.group()
def parity() -> None:
    """Whether an API server says of objects what the scan says of them: a recording, compared offline.

    Exit status: 0 they agree, 1 they do not, 2 could not tell.
    """


@parity.command()
@PATHS
@ONLY
@click.option("-f", "--file", required=True, type=click.Path(path_type=Path), help="Where the answers are written.")
@click.option("--settle", type=float, default=SETTLE_SECONDS, show_default=True,
              help="Seconds to wait for the server to notice a policy.")  # fmt: skip
@connection.options
@connection.asynchronous
async def record(paths: Sequence[str], only: Sequence[str], file: Path, settle: float) -> None:
    """Ask a server about the objects of these files, one policy at a time, and keep its answers.

    Every question is a dry run; the policies are bound to objects with a label of their own and removed at the end.
    Objects that an update or a deletion is asked of are stored for as long as that takes; namespaces that are missing
    are made, and stay. Use a cluster for tests.
    """
    asked = comparison.questions(paths, _chosen(only))

    async def settled() -> None:
        await asyncio.sleep(settle)

    answers: list[answers_of.Answer] = []
    async with connection.looking(click.get_current_context()) as client:
        server = answers_of.Server(client, settled)
        for check, questions in asked:
            try:
                answers += [answer async for answer in server.answers(check, [each.question for each in questions])]
            except answers_of.InTheWay as wrong:
                raise CouldNotTell(str(wrong)) from wrong
            click.echo(f"{check.id}: {len(questions)} questions", err=True)
    file.write_bytes(answers_of.dump(answers))
    could_not = sum(1 for answer in answers if answer.allowed is None)
    click.echo(f"{len(answers)} answers in {file}, of which {could_not} could not be given")


@parity.command()
@click.argument("file", type=click.Path(path_type=Path))
@PATHS
@ONLY
def compare(file: Path, paths: Sequence[str], only: Sequence[str]) -> None:
    """Compare what a server said, as `record` has kept it, with what the scan makes of the same files."""
    try:
        theirs = answers_of.load(file.read_bytes())
    except ValueError as wrong:
        raise CouldNotTell(f"{file}: {wrong}") from wrong
    ours = [
        answers_of.offline(check, each.question, each.request)
        for check, questions in comparison.questions(paths, _chosen(only))
        for each in questions
    ]
    known = {answer.question for answer in theirs if answer.allowed is not None}
    compared = sum(1 for answer in ours if answer.question in known)
    found = list(answers_of.disagreements(ours, theirs))
    for mine, other in found:
        click.echo(f"{mine.check} {mine.operation} {mine.subject}: the scan {_said(mine)}, the server {_said(other)}")
    click.echo(f"{compared} answers compared, {len(found)} disagreements; {len(ours) - compared} were not recorded")
    if not compared:
        raise CouldNotTell(f"{file} has no answer about these files")
    raise click.exceptions.Exit(NO if found else YES)


def _said(answer: answers_of.Answer) -> str:
    return "lets it in" if answer.allowed else f"refuses it: {answer.message}"


def _chosen(only: Sequence[str]) -> list[Check]:
    known = checks.shipped()
    for name in only:
        if name not in known or not known[name].native:
            raise CouldNotTell(f"{name} is no check that a server can enforce; `dabba guard checks` lists them")
    return [check for name, check in known.items() if check.native and (not only or name in only)]
