"""A report for a person: grouped by file and object, worst first, with the line of the file.

Lines are written as they are made and laid out here: a library of tables takes longer to load than a scan of one file,
and ten times as long as one of thousands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import wrap
from typing import IO

from dabbawala.guard.findings import Finding, Problem, Report, Status, Tally, grouped
from dabbawala.guard.outputs import as_json

COLORS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "bright_black"}
_CODES = {
    "bold red": "1;31", "red": "31", "yellow": "33", "cyan": "36", "green": "32", "bright_black": "90", "bold": "1",
    "bold blue": "1;34",
}  # fmt: skip
_MARKS = {Status.FAIL: "✖", Status.ERROR: "!", Status.UNKNOWN: "?", Status.EXCEPTED: "○"}
UNEVALUATED = "could not be evaluated: correct the shape of the object, or leave out the check with --skip"
"""What a person is told of an error, whose message is that of the API server and speaks of expressions."""

_NARROWEST = 20
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Style:
    """How lines look: `width` in characters, 0 for as long as they are, which suits a file."""

    width: int = 0
    color: bool = False

    def paint(self, text: str, color: str) -> str:
        """Text of an object in a color; what would steer the terminal is shown instead."""
        text = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self.color and color and text else text

    def wrapped(self, text: str, indent: int) -> list[str]:
        """The lines of a text that begins so far to the right."""
        room = max(self.width - indent, _NARROWEST)
        return [text] if not self.width or len(text) <= room else wrap(text, room, break_on_hyphens=False)


PLAIN = Style()


def style_of(stream: IO[str]) -> Style:
    """Colors and lines that fit for a terminal; neither for a file, or where somebody wants none."""
    if not stream.isatty():
        return PLAIN
    dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Style(get_terminal_size().columns, not dumb)


def write(report: Report, stream: IO[str]) -> None:
    stream.writelines(f"{line}\n" for line in render(report, style_of(stream)))


def render(report: Report, style: Style = PLAIN, *, shown: Sequence[Finding] | None = None) -> Iterator[str]:
    """The lines. `shown` are the findings to list, when not all of them are."""
    found = report.findings if shown is None else shown
    for (file, subject), rows in grouped(found).items():
        heading = (style.paint(file, "bold"), style.paint(str(subject), "bold blue"))
        yield "  ".join(part for part in heading if part)
        yield from _rows(rows, style)
        yield ""
    if report.problems:
        yield style.paint("Could not be read", "bold")
        yield from _problems(report.problems, style)
        yield ""
    yield summary(report.tally(), style)


def changes(new: Iterable[Finding], gone: Iterable[Finding], style: Style) -> Iterator[str]:
    """What a change has brought and what it has ended, a line each."""
    for mark, color, findings in (("+", "red", new), ("-", "green", gone)):
        for item in findings:
            severity = style.paint(item.check.severity, COLORS[item.check.severity])
            place, text = style.paint(str(item.place), "bold"), style.paint(f"{item.subject}: {item.message}", "")
            yield f"{style.paint(mark, color)} {place}  {severity}  {item.check.id}  {text}"


def _rows(found: list[Finding], style: Style) -> Iterator[str]:
    lines = [str(item.place.line) if item.place.line and not item.place.rendered else "" for item in found]
    severities = [f"{_MARKS[item.status]} {item.check.severity}" for item in found]
    columns = [max(map(len, column)) for column in (lines, severities, [item.check.id for item in found])]
    indent = 2 + sum(columns) + 3 * 2
    for item, line, severity in zip(found, lines, severities, strict=True):
        color = COLORS[item.check.severity]
        first, *more = _words(item, style, indent)
        number = style.paint(line.rjust(columns[0]), "bright_black")
        mark = style.paint(severity.ljust(columns[1]), color)
        yield f"  {number}  {mark}  {item.check.id.ljust(columns[2])}  {first}"
        yield from (f"{'':{indent}}{line}" for line in more)


def _words(item: Finding, style: Style, indent: int) -> Iterator[str]:
    yield from (style.paint(line, "") for line in style.wrapped(item.message, indent))
    for text in _notes(item):
        yield from (style.paint(line, "bright_black") for line in style.wrapped(text, indent))


def _notes(item: Finding) -> Iterator[str]:
    place = item.place
    if place.field or place.rendered:
        yield f"{place.field} ({place.beside(place.file)})".lstrip() if place.rendered else place.field
    for other in item.also:
        where = other.beside(place.file)
        yield f"{other.field} ({where})" if where else other.field
    if item.status is Status.ERROR:
        yield UNEVALUATED
    if item.reason:
        yield ("accepted: " if item.status is Status.EXCEPTED else "") + item.reason


def _problems(problems: Iterable[Problem], style: Style) -> Iterator[str]:
    for item in problems:
        yield f"  {style.paint(str(item.place), '')}  {style.paint(item.code, 'red')}"
        yield from (f"    {style.paint(line, '')}" for line in style.wrapped(item.text, 4))


def summary(tally: Tally, style: Style = PLAIN) -> str:
    return "".join(_sentences(as_json.counts(tally), style))


def _sentences(counts: dict[str, object], style: Style) -> Iterator[str]:
    yield f"{as_json.inputs(counts)}: "
    by_severity = counts["failedBySeverity"]
    assert isinstance(by_severity, dict)
    worst = [style.paint(f"{count} {name}", COLORS[name]) for name, count in by_severity.items() if count]
    yield ", ".join(worst) if worst else style.paint("nothing failed", "green")
    yield f"{as_json.undecided(counts)}; {counts['passed']} passed"
