"""`dabba guard frameworks`, and `dabba guard scan --framework`: what a scan says of the clauses of rules and standards.

Loaded by every scan, so that it imports what it needs only when a framework is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dabbawala.cli.answer import CouldNotTell

if TYPE_CHECKING:
    from dabbawala.cli.guard import Asked, Shown
    from dabbawala.guard.findings import Report
    from dabbawala.guard.frameworks.assessment import Assessment
    from dabbawala.guard.frameworks.catalogue import Framework

FORMS = ("terminal", "json", "html")
"""The forms of a report by clauses."""


@dataclass(frozen=True, slots=True)
class ByClause:
    """Whose clauses a report is made by, and the dated records that count beside the scan."""

    names: tuple[str, ...]
    evidence: tuple[Path, ...]

    def over(self, asked: Asked, shown: Shown, paths: Sequence[str]) -> tuple[Asked, Callable[[Report], None]]:
        """The checks to ask, and what writes the report; both as they were where no framework is asked for. Raises
        UsageError and CouldNotTell."""
        if not self.names:
            if self.evidence:
                raise click.UsageError("--evidence is about clauses: add --framework")
            return asked, shown.write
        if shown.form not in FORMS:
            raise click.UsageError(f"-o {shown.form} has no clauses; with --framework use {', '.join(FORMS)}")
        if shown.also:
            raise click.UsageError("--also writes findings, and --framework clauses: leave one of them out")
        found = self.frameworks()
        return self.narrowed(asked, found), lambda report: _write(self.assess(report, found, paths), shown)

    def frameworks(self) -> tuple[Framework, ...]:
        """All of them where none is named. Raises CouldNotTell."""
        from dabbawala.guard.frameworks import catalogue

        names = self.names or tuple(catalogue.shipped())
        try:
            found = [framework for name in names for framework in catalogue.resolve(name)]
        except catalogue.NoSuchFramework as unknown:
            raise CouldNotTell(f"{unknown}; `dabba guard frameworks` lists them") from unknown
        return tuple(dict.fromkeys(found))

    def narrowed(self, asked: Asked, frameworks: Iterable[Framework]) -> Asked:
        """Only the checks that these frameworks are about, unless others are asked for."""
        from dabbawala.guard.frameworks import catalogue

        if asked.only:
            return asked
        chosen = list(frameworks)
        families = {framework.family for framework in chosen}
        names = [clause.name for framework in chosen for clause in framework.clauses]
        names += [name for each in catalogue.named().values() if each.framework in families for name in each.clauses]
        return replace(asked, only=tuple(_checks_of(names)))

    def assess(self, report: Report, frameworks: Sequence[Framework], paths: Sequence[str]) -> Assessment:
        """Problems of the records go into the report."""
        from dabbawala.apimachinery.clock import SystemClock
        from dabbawala.guard.frameworks import assessment, inputs, records

        given = records.read(self.evidence, report.problems)
        asks = any(framework.family == "rbi" for framework in frameworks)
        declared = inputs.declarations(paths) if asks else []
        return assessment.assess(frameworks, report, given, declared, now=SystemClock().now())


def _write(found: Assessment, shown: Shown) -> None:
    from dabbawala.guard.frameworks.outputs import as_html, as_json, as_terminal
    from dabbawala.guard.outputs.as_terminal import style_of

    if shown.form == "terminal":
        with click.open_file(str(shown.file or "-"), "w") as text:
            as_terminal.write(found, text, style_of(text))
        return
    render = as_json.render if shown.form == "json" else as_html.render
    with click.open_file(str(shown.file or "-"), "wb") as stream:
        stream.write(render(found))


def _checks_of(clauses: Iterable[str]) -> Iterator[str]:
    """The ids of the checks that look at clauses, each once."""
    from dabbawala.guard import checks
    from dabbawala.guard.frameworks import catalogue

    supports = catalogue.supports(checks.shipped().values())
    return iter(dict.fromkeys(support.check for name in clauses for support in supports.get(name, ())))


def expanded(names: tuple[str, ...]) -> tuple[str, ...]:
    """Checks as they are named, and in place of a question's name (`data_residency_check`) those of its clauses."""
    if not any("_" in name for name in names):
        return names
    from dabbawala.guard.frameworks import catalogue

    known = catalogue.named()
    return tuple(check for name in names for check in (_checks_of(known[name].clauses) if name in known else [name]))


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a report by clauses; the command gets them as `clauses`."""

    @click.option("--framework", "names", multiple=True, metavar="NAME",
                  help="Report by the clauses of a rule or standard, such as rbi; may be repeated.")  # fmt: skip
    @click.option("--evidence", multiple=True, type=click.Path(path_type=Path),
                  help="With --framework: dated records that count beside the scan; may be repeated.")  # fmt: skip
    @wraps(command)
    def taken(*args: Any, names: tuple[str, ...], evidence: tuple[Path, ...], **rest: Any) -> Any:
        return command(*args, clauses=ByClause(names, evidence), **rest)

    return taken


@click.command()
@click.argument("names", nargs=-1)
def frameworks(names: Sequence[str]) -> None:
    """List rules and standards; with NAMES, their clauses and the checks that look at each.

    What a scan says of the clauses: `dabba guard scan PATHS --framework NAME`, or with --live of a cluster.
    """
    from dabbawala.cli import guard_view
    from dabbawala.guard import checks
    from dabbawala.guard.frameworks import catalogue

    supports = catalogue.supports(checks.shipped().values())
    if not names:
        guard_view.show(guard_view.frameworks(catalogue.shipped().values(), supports))
    for framework in ByClause(tuple(names), ()).frameworks() if names else ():
        guard_view.show(guard_view.clauses(framework, supports))
