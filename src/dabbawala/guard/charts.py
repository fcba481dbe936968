"""Helm charts: rendered by helm itself, with each line led back to the template that it comes from.

`helm template` says above each document which template made it. A rendered line is a template's line when exactly one
line of the template can have become it, its expressions standing for anything; where several can, or none, the place
is the rendered line and says so. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dabbawala.guard import documents
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.findings import Place, Problem

CHART_FILE = "Chart.yaml"
PACKAGE_SUFFIX = ".tgz"
CONTEXT_LINES_MAX = 4
"""Lines before and behind that may decide between several of the same wording."""

_SOURCE = re.compile(r"^# Source: (?P<chart>[^/\n]+)/(?P<path>[^\n]+)$", re.MULTILINE)
_EXPRESSION = re.compile(r"\{\{.*?\}\}")
_VALUE = re.compile(r"\.Values\.([\w.-]+)")
_BLAMED = re.compile(r"\((?P<file>[^\s():]+):(?P<line>\d+)(?::(?P<column>\d+))?\)")
_EXECUTED = re.compile(r"(?P<file>[^\s():]+/templates/[^\s():]+):(?P<line>\d+)(?::(?P<column>\d+))?:?\s+executing")
"""The same of helm 4, which puts no parentheses around it."""
_NAMED = re.compile(r"(?:error on|in|at) (?P<file>[^\s:]+/templates/[^\s:]+)")
_DEPENDENCIES = re.compile(r"missing in charts|chart dependencies|helm dependency build")
_MISSING = Problem(
    Place(), "helm-missing", "the chart cannot be rendered: helm is not installed",
    "Install helm and put it on PATH, or scan the output of `helm template`.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Values:
    """What a chart is rendered with."""

    release: str = "release-name"
    namespace: str = "default"
    files: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        given = ["--namespace", self.namespace]
        for file in self.files:
            given += ["--values", file]
        for setting in self.settings:
            given += ["--set", setting]
        return given


PLAIN = Values()


@dataclass
class Template:
    """A template as its author wrote it."""

    file: str
    lines: list[str] = field(default_factory=list)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str] | None]:
        """For each line what it can become; None for one that is all expression and may become anything."""
        return [_pattern(line.strip()) for line in self.lines]

    def line_of(self, rendered: Sequence[str], at: int) -> int | None:
        """The one line, from 1, that can have become `rendered[at]`."""
        fits = [line for line in range(len(self.lines)) if self._fits(line, rendered[at])]
        for distance in range(1, CONTEXT_LINES_MAX + 1):
            if len(fits) <= 1:
                break
            for step in (-distance, distance):
                if 0 <= at + step < len(rendered):
                    near = [line for line in fits if self._fits(line + step, rendered[at + step])]
                    fits = near or fits
        return fits[0] + 1 if len(fits) == 1 else None

    def _fits(self, line: int, rendered: str) -> bool:
        if not 0 <= line < len(self.lines):
            return False
        pattern = self._patterns[line]
        return pattern is not None and pattern.fullmatch(rendered.strip()) is not None


def _pattern(line: str) -> re.Pattern[str] | None:
    literal = _EXPRESSION.sub("", line)
    if not literal.strip(" -\"'") or "{{" in literal or "}}" in literal:
        return None
    return re.compile(".*".join(re.escape(part) for part in _EXPRESSION.split(line)))


@dataclass(frozen=True)
class TemplateOrigin:
    """Where a rendered document comes from."""

    template: Template
    rendered: list[str]

    def place(self, document: Document, path: str) -> Place:
        found = document.position(path)
        return self.line(found.line, path)

    def values(self, document: Document, path: str) -> tuple[str, ...]:
        """The chart's values that the field's line is made of: `image.tag` of `{{ .Values.image.tag }}`. Empty where
        the line cannot be proven, or has none."""
        place = self.place(document, path)
        if place.rendered:
            return ()
        expressions = _EXPRESSION.findall(self.template.lines[place.line - 1])
        return tuple(dict.fromkeys(name for text in expressions for name in _VALUE.findall(text)))

    def line(self, number: int, path: str = "") -> Place:
        """Of a line of the output, from 1."""
        at = min(max(number - 1, 0), len(self.rendered) - 1)
        line = self.template.line_of(self.rendered, at)
        if line is None:
            return Place(self.template.file, number, 1, number, path, rendered=True)
        text = self.template.lines[line - 1]
        return Place(self.template.file, line, len(text) - len(text.lstrip()) + 1, line, path)


def read(chart: str, values: Values = PLAIN) -> Reading:
    """The objects that a chart (its folder, or its package) renders to."""
    from dabbawala.guard import rendering  # what it imports costs a scan of plain files a tenth of its start

    helm = rendering.tool("helm")
    if helm is None:
        return Reading([], [_at(_MISSING, chart)])
    # What is scanned may be anybody's, and its folder be called like an option, such as that which runs a program.
    command = [helm, "template", "--include-crds", *values.arguments(), "--", values.release, chart]
    rendered = rendering.run(command)
    if rendered.failure:
        return Reading([], [_failed(chart, rendered.failure)])
    return _led_back(chart, rendered.out)


def _at(problem: Problem, file: str) -> Problem:
    return Problem(Place(file), problem.code, problem.message, problem.remedy)


def _led_back(chart: str, out: bytes) -> Reading:
    reading = documents.read(chart, out)
    rendered = out.decode("utf-8", "replace").splitlines() or [""]
    origins = _Origins(chart, rendered)
    for document in reading.documents:
        origin = origins.of(document.line)
        document.file, document.origin = origin.template.file, origin
    problems = []
    for problem in reading.problems:
        place = origins.of(problem.place.line).line(problem.place.line)
        problems.append(Problem(place, problem.code, problem.message, problem.remedy))
    return Reading(reading.documents, problems)


class _Origins:
    """Which template each line of the output is from."""

    def __init__(self, chart: str, rendered: list[str]) -> None:
        self._chart = chart
        self._rendered = rendered
        self._templates: dict[str, Template] = {}
        self._sources: list[str] = []
        source = ""
        for number, line in enumerate(rendered):
            if line == "---":
                source = self._above(number)
            self._sources.append(source)

    def _above(self, number: int) -> str:
        found = _SOURCE.match(self._rendered[number + 1]) if number + 1 < len(self._rendered) else None
        return found["path"] if found is not None else ""

    def of(self, line: int) -> TemplateOrigin:
        path = self._sources[min(max(line - 1, 0), len(self._sources) - 1)]
        return TemplateOrigin(self._template(path), self._rendered)

    def _template(self, path: str) -> Template:
        if path not in self._templates:
            file = Path(self._chart, path) if path else Path(self._chart)
            try:
                text = file.read_text() if path else ""
            except (OSError, UnicodeDecodeError):
                text = ""
            self._templates[path] = Template(str(file), text.splitlines())
        return self._templates[path]


def _failed(chart: str, failure: str) -> Problem:
    """helm's complaint, at the line of the template where it names one."""
    message = " ".join(failure.replace("Use --debug flag to render out invalid YAML", "").split())
    message = f"helm cannot render the chart: {message.removeprefix('Error: ')}"
    if _DEPENDENCIES.search(failure):
        return Problem(Place(chart), "helm", message, f"Run `helm dependency build {chart}` first.")
    remedy = "Correct the template, or name a values file in which it has what it needs."
    found = _BLAMED.search(failure) or _EXECUTED.search(failure) or _NAMED.search(failure)
    if found is None:
        return Problem(Place(str(Path(chart, CHART_FILE)) if Path(chart).is_dir() else chart), "helm", message, remedy)
    groups = found.groupdict()
    file = Path(chart, groups["file"].partition("/")[2])
    return Problem(
        Place(str(file), int(groups.get("line") or 0), int(groups.get("column") or 1)), "helm", message, remedy
    )
