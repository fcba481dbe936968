"""`dabba guard fix`: what a scan finds and a machine may repair, repaired in the files themselves.

Exit status: 0 nothing is left, 1 something is left for a person, 2 something could not be read or written.
"""

from __future__ import annotations

import difflib
import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import click

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cli.answer import NO, UNKNOWN, YES, CouldNotTell
from dabbawala.cli.guard import Asked
from dabbawala.guard import checks
from dabbawala.guard.checks import SEVERITIES
from dabbawala.guard.findings import Finding, Problem
from dabbawala.guard.fix import files, notation
from dabbawala.guard.fix.changes import REMOVED
from dabbawala.guard.fix.rounds import Left, Made, Outcome
from dabbawala.guard.outputs.as_terminal import PLAIN
from dabbawala.guard.wording import counted

STDIN = "-"


@click.command("fix")
@click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("-c", "--check", "only", multiple=True, metavar="ID", help="Only this check; may be repeated.")
@click.option("--skip", multiple=True, metavar="ID", help="Not this check; may be repeated.")
@click.option("-e", "--exceptions", multiple=True, type=click.Path(path_type=Path),
              help="PolicyExceptions: a file or folder; may be repeated.")  # fmt: skip
@click.option("--risky", is_flag=True, help="Make the changes as well that a program may not stand.")
@click.option("--diff", is_flag=True, help="Print the changes as a unified diff, and write nothing.")
def fix(paths: Sequence[str], exceptions: Sequence[Path], *, risky: bool, diff: bool, **which: tuple[str, ...]) -> None:
    """Repair manifests: files and folders are written, - goes from the standard input to the output.

    Comments, order and all that is not repaired stay as they are. Exit status: 0 nothing is left, 1 something is left
    for a person, 2 something could not be read or written.
    """
    from dabbawala.guard import scanning, sources
    from dabbawala.guard.cache import Cache, folder_of
    from dabbawala.guard.engine import Engine
    from dabbawala.guard.fix import rounds

    if STDIN in paths and len(paths) > 1:
        raise CouldNotTell("the standard input is repaired alone: name no other path beside -")
    gc.disable()  # as for a scan, what is made is needed to the end
    now, kept = SystemClock().now(), Cache(folder_of(os.environ))
    asked = Asked(which["only"], which["skip"], tuple(exceptions), SEVERITIES[-1])
    wrong: list[Problem] = []
    given = scanning.exceptions_of(asked.exceptions, wrong)
    engine = Engine(asked.checks(kept.checks), given, now=now, store=kept.store)
    found = list(sources.find(paths))
    if not found:
        raise CouldNotTell(f"nothing was repaired: no file to repair is in {', '.join(paths)}; check the path")
    outcome = rounds.run(found, engine, now=now, risky=risky)
    kept.save()
    before = {source.file: source.data for source in found}
    quiet = diff or STDIN in paths
    if diff:
        click.echo("".join(_diff(before, outcome.texts)), nl=False)
    elif STDIN in paths:
        sys.stdout.buffer.write(outcome.texts.get(found[0].file, found[0].data))
    unwritten = [] if quiet else list(_write(before, outcome))
    for line in _lines(outcome, [*wrong, *outcome.problems]):
        click.echo(PLAIN.paint(line, ""), err=quiet)  # names of files and objects do not steer the terminal
    for line in unwritten:
        click.echo(line, err=True)
    status = UNKNOWN if wrong or unwritten or outcome.problems else NO if outcome.left else YES
    raise click.exceptions.Exit(status)


def _write(before: Mapping[str, bytes], outcome: Outcome) -> Iterator[str]:
    """Write what is different; of each file that stays as it was, why. Its changes are then not made."""
    for name, data in outcome.texts.items():
        try:
            files.replace(name, before[name], data)
        except files.CannotWrite as wrong:
            outcome.made = [made for made in outcome.made if made.file != name]
            yield str(wrong)


def _lines(outcome: Outcome, problems: Sequence[Problem]) -> Iterator[str]:
    for file, changes in groupby(outcome.made, key=lambda made: made.file):
        yield file
        yield from map(_made, changes)
    if outcome.left:
        yield "left for a person"
        yield from _left(outcome.left)
    for problem in problems:
        yield f"{problem.place}  {problem.code}: {problem.text}"
    count, where = len(outcome.made), len({made.file for made in outcome.made})
    yield f"{counted(count, 'change')} in {counted(where, 'file')}, {counted(len(outcome.left), 'finding')} left"


def _made(made: Made) -> str:
    value = "removed" if made.value is REMOVED else notation.inline(made.value, quoted=False)
    return f"  {made.line:>5}  {made.field}: {value}  ({', '.join(made.checks)})"


def _left(left: Sequence[Left]) -> Iterator[str]:
    """By check, because a check's reason is mostly the same everywhere."""
    by_check: dict[tuple[str, str], list[Finding]] = {}
    for finding, reason in left:
        by_check.setdefault((finding.check.id, reason), []).append(finding)
    for (name, reason), findings in sorted(by_check.items(), key=lambda item: (checks.order(item[0][0]), item[0][1])):
        yield f"  {name} {findings[0].check.title}: {reason}"
        yield from (f"      {finding.place}  {finding.subject}" for finding in findings)


def _diff(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    for name, data in after.items():
        old, new = (text.decode().split("\n") for text in (before[name], data))
        for line in difflib.unified_diff(_ended(old), _ended(new), f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _ended(lines: list[str]) -> list[str]:
    """Lines with their ends; the last is what stands behind the last newline, if anything does."""
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
