"""`dabba guard`: what may not go to production, and why.

Exit status: 0 nothing failed, 1 something did, 2 something could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from dabbawala.cli.command import CouldNotTell
from dabbawala.guard import checks
from dabbawala.guard.checks import SEVERITIES, Check
from dabbawala.guard.findings import Report

YES, NO, UNKNOWN = 0, 1, 2
TERMINAL = "terminal"
FORMATS = (TERMINAL, "json", "sarif", "junit", "html", "policy-report", "metrics")


@click.group()
def guard() -> None:
    """What may not go to production, and why: in files, in a cluster, and at admission.

    Exit status: 0 nothing failed, 1 something did, 2 something could not be read.
    """


def selecting(command: Callable[..., object]) -> Callable[..., object]:
    """The options that say which checks are asked."""
    options = (
        click.option("-c", "--check", "only", multiple=True, metavar="ID", help="Only this check; may be repeated."),
        click.option("--skip", multiple=True, metavar="ID", help="Not this check; may be repeated."),
        click.option(
            "--fail-on", type=click.Choice(SEVERITIES), default="low", show_default=True,
            help="The least severity that makes the exit status 1.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@guard.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@selecting
@click.option("-e", "--exceptions", "excepted", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Files of PolicyExceptions; may be repeated.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(FORMATS), default=TERMINAL, show_default=True, help="The form.")
@click.option("-f", "--file", "target", type=click.Path(path_type=Path), help="Write there instead of to the terminal.")
def scan(
    paths: Sequence[Path],
    only: Sequence[str],
    skip: Sequence[str],
    fail_on: str,
    excepted: Sequence[Path],
    output: str,
    target: Path | None,
) -> None:
    """Scan manifests: files, folders, Helm charts, Kustomize folders, or - for the standard input."""
    from dabbawala.guard import scanning

    chosen = chosen_checks(only, skip)
    report = scanning.of_paths([str(path) for path in paths], chosen, excepted, now=datetime.now(UTC))
    show(report, output, target)
    raise click.exceptions.Exit(status(report, fail_on))


def chosen_checks(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    """The shipped checks that the options leave. Raises CouldNotTell for an id that no check has."""
    known = checks.shipped()
    for name in (*only, *skip):
        if name not in known:
            raise CouldNotTell(f"there is no check {name!r}; `dabba guard checks` lists them")
    return [check for name, check in known.items() if (not only or name in only) and name not in skip]


def show(report: Report, output: str, target: Path | None) -> None:
    """Write the report. Only the form that is asked for is imported."""
    if output == TERMINAL:
        from rich.console import Console

        from dabbawala.guard.outputs import as_terminal

        with click.open_file(str(target or "-"), "w") as text:
            Console(file=text).print(as_terminal.render(report))
        return
    with click.open_file(str(target or "-"), "wb") as binary:
        binary.write(rendered(report, output))


def rendered(report: Report, output: str) -> bytes:
    """The bytes of any form but the terminal's."""
    import importlib

    module = importlib.import_module(f"dabbawala.guard.outputs.as_{output.replace('-', '_')}")
    data: bytes = module.render(report)
    return data


def status(report: Report, fail_on: str) -> int:
    if report.problems:
        return UNKNOWN
    counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return NO if any(finding.check.severity in counted for finding in report.failures) else YES


@guard.command("checks")
@click.argument("ids", nargs=-1)
def list_checks(ids: Sequence[str]) -> None:
    """List the checks; with IDS, all that is known of these."""
    from rich.console import Console

    from dabbawala.cli import guard_view

    known = checks.shipped()
    console = Console()
    if not ids:
        console.print(guard_view.table(known.values()))
    for name in ids:
        if name not in known:
            raise CouldNotTell(f"there is no check {name!r}; `dabba guard checks` lists them")
        console.print(guard_view.page(known[name]))
