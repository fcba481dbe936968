"""`dabba guard`: what may not go to production, and why.

Exit status: 0 nothing failed, 1 something did, 2 something could not be read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dabbawala.cli import guard_files, guard_frameworks, guard_live
from dabbawala.cli.answer import NO, UNKNOWN, YES, CouldNotTell
from dabbawala.cli.guard_files import Files
from dabbawala.cli.guard_frameworks import ByClause, expanded
from dabbawala.cli.guard_live import Live
from dabbawala.cli.lazy import Lazy
from dabbawala.guard import checks
from dabbawala.guard.checks import SEVERITIES, Check
from dabbawala.guard.findings import Report

TERMINAL = "terminal"
FORMATS = (TERMINAL, "json", "sarif", "junit", "code-quality", "html", "policy-report", "metrics")
PATH = click.Path(path_type=Path)


COMMANDS: dict[str, tuple[str, str]] = {
    "enforce": ("guard_enforce", "Install the checks as policies of a cluster: audit, then warn, then deny."),
    "evidence": ("guard_evidence", "Results as evidence, in a log that cannot be changed unnoticed."),
    "fix": ("guard_fix", "Repair manifests."),
    "frameworks": ("guard_frameworks", "Rules and standards, clause by clause."),
    "images": ("guard_images", "The images of running pods, and what reports say of them."),
    "generate": ("guard_generate", "Make policies, a namespace's baseline or a role of what is known."),
    "parity": ("guard_parity", "Whether a server says what the scan says."),
    "runtime": ("guard_runtime", "What happens in the pods of this machine."),
    "sites": ("guard_sites", "Whether the cluster for recovery is set up as the primary one."),
}
"""The commands in modules of their own, which are imported when they are run."""


@click.group(cls=Lazy, table=COMMANDS)
def guard() -> None:
    """What may not go to production, and why: in files, in a cluster, and at admission.

    Exit status: 0 nothing failed, 1 something did, 2 something could not be read.
    """


@dataclass(frozen=True, slots=True)
class Asked:
    """Which checks a command asks, what is excepted, and from which severity on a failure counts."""

    only: tuple[str, ...]
    skip: tuple[str, ...]
    exceptions: tuple[Path, ...]
    fail_on: str

    def checks(self, known: Mapping[str, Check] | None = None) -> list[Check]:
        """Of those that are known, by default all. Raises CouldNotTell for an id that no check has."""
        known = checks.shipped() if known is None else known
        for name in (*self.only, *self.skip):
            if name not in known:
                raise CouldNotTell(f"there is no check {name!r}; `dabba guard checks` lists them")
        return [found for name, found in known.items() if self._asks(name)]

    def _asks(self, name: str) -> bool:
        return name not in self.skip and (not self.only or name in self.only)

    def status(self, report: Report) -> int:
        if report.problems:
            return UNKNOWN
        counted = SEVERITIES[: SEVERITIES.index(self.fail_on) + 1]
        return NO if any(finding.check.severity in counted for finding in report.failures) else YES


@dataclass(frozen=True, slots=True)
class Shown:
    """In which form a report is shown, and where. Without a file it goes to the standard output. `also` are further
    forms and their files: one scan, several readers."""

    form: str
    file: Path | None
    also: tuple[tuple[str, Path], ...] = ()

    def write(self, report: Report) -> None:
        """The files first: whoever reads the standard output may go before its end."""
        for form, file in self.also:
            Shown(form, file).write(report)
        if self.form == TERMINAL:
            self._print(report)
            return
        with click.open_file(str(self.file or "-"), "wb") as stream:
            stream.writelines(parts(report, self.form))

    def _print(self, report: Report) -> None:
        from dabbawala.guard.outputs import as_terminal

        with click.open_file(str(self.file or "-"), "w") as stream:
            as_terminal.write(report, stream)


def rendered(report: Report, form: str) -> bytes:
    """The bytes of any form but the terminal's."""
    return b"".join(parts(report, form))


def parts(report: Report, form: str) -> Iterable[bytes]:
    """The same, piece by piece where the form can be written so. Only the one that is asked for is imported."""
    module = importlib.import_module(f"dabbawala.guard.outputs.as_{form.replace('-', '_')}")
    found: Iterable[bytes] = module.parts(report) if hasattr(module, "parts") else [module.render(report)]
    return found


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that asks checks; it gets them as `asked`."""

    @click.option("-c", "--check", "only", multiple=True, metavar="ID", help="Only this check; may be repeated.")
    @click.option("--skip", multiple=True, metavar="ID", help="Not this check; may be repeated.")
    @click.option(
        "-e", "--exceptions", multiple=True, type=PATH, help="PolicyExceptions: a file or folder; may be repeated."
    )
    @click.option("--fail-on", type=click.Choice(SEVERITIES), default="low", show_default=True,
                  help="The least severity that makes the exit status 1.")  # fmt: skip
    @wraps(command)
    def taken(
        *args: Any,
        only: tuple[str, ...],
        skip: tuple[str, ...],
        exceptions: tuple[Path, ...],
        fail_on: str,
        **rest: Any,
    ) -> Any:
        return command(*args, asked=Asked(expanded(only), skip, exceptions, fail_on), **rest)

    return taken


def _also(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    pairs = [text.partition("=") for text in given]
    for text, (form, _sign, file) in zip(given, pairs, strict=True):
        if form not in FORMATS or not file:
            raise click.BadParameter(f"{text!r}: write FORM=FILE, such as junit=guard.xml; forms: {', '.join(FORMATS)}")
    return tuple((form, Path(file)) for form, _sign, file in pairs)


def showing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that shows a report; it gets them as `shown`."""

    @click.option("-o", "--output", "form", type=click.Choice(FORMATS), default=TERMINAL, show_default=True,
                  help="The form of the report.")  # fmt: skip
    @click.option("-f", "--file", type=PATH, help="Write the report there instead of to the standard output.")
    @click.option("--also", multiple=True, metavar="FORM=FILE", callback=_also,
                  help="Write the report in this form there as well; may be repeated.")  # fmt: skip
    @wraps(command)
    def taken(*args: Any, form: str, file: Path | None, also: tuple[tuple[str, Path], ...], **rest: Any) -> Any:
        return command(*args, shown=Shown(form, file, also), **rest)

    return taken


@guard.command()
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True))
@asking
@showing
@guard_live.options
@guard_files.options
@guard_frameworks.options
def scan(paths: Sequence[str], asked: Asked, shown: Shown, *, live: Live, files: Files, clauses: ByClause) -> None:
    """Scan manifests: files, folders, Helm charts, Kustomize folders, or - for the standard input; or a cluster."""
    live.check(paths)
    if live.asks and files.told.sources:
        raise click.UsageError("reports are about images: with a cluster, ask `dabba guard images --live`")
    other = shown.form != TERMINAL or shown.file is not None or shown.also or clauses.names or files.told.sources
    if files.watch and (live.asks or other):
        raise click.UsageError("--watch follows files and prints what changes: leave out what asks for another report")
    if files.watch:
        raise click.exceptions.Exit(files.follow(paths, asked))
    asked, write = clauses.over(asked, shown, paths)
    if live.asks:
        report = live.scan(paths, asked)
        write(report)
    else:
        report = files.scan(paths, asked, write)
    raise click.exceptions.Exit(asked.status(report))


@guard.command("checks")
@click.argument("ids", nargs=-1)
def list_checks(ids: Sequence[str]) -> None:
    """List the checks; with IDS, all that is known of these."""
    from dabbawala.cli import guard_view

    known = checks.shipped()
    if not ids:
        guard_view.show(guard_view.table(known.values()))
    for name in ids:
        if name not in known:
            raise CouldNotTell(f"there is no check {name!r}; `dabba guard checks` lists them")
        guard_view.show(guard_view.page(known[name]))
