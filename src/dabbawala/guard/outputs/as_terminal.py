"""A report for a person: grouped by file and object, worst first, with the line of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dabbawala.guard.checks import SEVERITIES
from dabbawala.guard.findings import Finding, Problem, Report, Status
from dabbawala.guard.outputs import as_json

COLORS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "bright_black"}
_MARKS = {Status.FAIL: "✖", Status.ERROR: "!", Status.UNKNOWN: "?", Status.EXCEPTED: "○"}


def render(report: Report, *, shown: Sequence[Finding] | None = None) -> RenderableType:
    """`shown` are the findings to list, when not all of them are."""
    found = report.findings if shown is None else shown
    parts: list[RenderableType] = []
    for place, group in groupby(found, key=lambda item: (item.place.file, item.subject)):
        parts += [_heading(*place), _rows(list(group))]
    if report.problems:
        parts += [Text("Could not be read", style="bold"), _problems(report.problems)]
    return Group(*parts, summary(report))


def _heading(file: str, subject: object) -> Text:
    return Text.assemble((file, "bold"), ("  " if file else ""), (str(subject), "bold blue"))


def _rows(found: list[Finding]) -> RenderableType:
    found.sort(key=lambda item: (SEVERITIES.index(item.check.severity), item.sort_key()))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bright_black", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for item in found:
        line = str(item.place.line) if item.place.line else ""
        severity = Text(f"{_MARKS[item.status]} {item.check.severity}", style=COLORS[item.check.severity])
        grid.add_row(line, severity, item.check.id, _words(item))
    return Padding(grid, (0, 0, 1, 2))


def _words(item: Finding) -> Text:
    text = Text(item.message)
    if item.place.field:
        text.append(f"\n{item.place.field}", style="bright_black")
    for place in item.also:
        text.append(f"\n{place.field}" + (f" (line {place.line})" if place.line else ""), style="bright_black")
    if item.reason:
        words = "accepted: " if item.status is Status.EXCEPTED else ""
        text.append(f"\n{words}{item.reason}", style="bright_black")
    return text


def _problems(problems: Iterable[Problem]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for item in problems:
        grid.add_row(str(item.place), Text(item.code, style="red"), f"{item.message} {item.remedy}".strip())
    return Padding(grid, (0, 0, 1, 2))


def summary(report: Report) -> Text:
    return Text("").join(_sentences(as_json.summary(report)))


def _sentences(counts: dict[str, object]) -> Iterator[Text]:
    yield Text(f"{counts['files']} files, {counts['objects']} objects, {counts['checks']} checks: ")
    by_severity = counts["failedBySeverity"]
    assert isinstance(by_severity, dict)
    worst = [Text(f"{count} {name}", style=COLORS[name]) for name, count in by_severity.items() if count]
    yield Text(", ").join(worst) if worst else Text("nothing failed", style="green")
    for name, words in (("excepted", "accepted by exceptions"), ("unknown", "unknown"), ("problems", "unreadable")):
        if counts[name]:
            yield Text(f", {counts[name]} {words}")
    yield Text(f"; {counts['passed']} passed")
