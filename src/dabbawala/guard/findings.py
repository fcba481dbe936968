"""What a scan found: values that every output is made from.

A large scan makes some ten thousand of them: as tuples with names they are made and compared in a third of the time
that a dataclass takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dabbawala.guard import checks
from dabbawala.guard.checks import SEVERITIES, Check


class Status(StrEnum):
    """What a check says of an object. Only PASS is a pass: what could not be decided is never one."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    """The policy could not be evaluated; its failurePolicy decides what admission would do."""
    UNKNOWN = "unknown"
    """It needs what the scan does not have, such as a live cluster."""
    EXCEPTED = "excepted"
    """It fails, and a dated exception accepts that."""


class Subject(NamedTuple):
    """The object that a finding is about."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


class Place(NamedTuple):
    """Where in the input: lines and columns count from 1; line 0 where there is no file (a live cluster)."""

    file: str = ""
    line: int = 0
    column: int = 0
    end_line: int = 0
    field: str = ""
    rendered: bool = False
    """The line is one of what `file` (a template, a kustomization) renders to: its own line cannot be proven."""

    def __str__(self) -> str:
        if self.rendered:
            return f"{self.file} (rendered line {self.line})"
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def beside(self, file: str) -> str:
        """How it is told where `file` has been named already; empty if nothing is to be added."""
        if self.file != file:
            return str(self)
        line = f"line {self.line}" if self.line else ""
        return f"rendered {line}" if self.rendered else line


class Finding(NamedTuple):
    check: Check
    status: Status
    subject: Subject
    message: str
    place: Place
    also: tuple[Place, ...] = ()
    """Further fields of the object that are at fault for the same reason."""
    reason: str = ""
    """Of an exception: who accepted it and until when."""

    def sort_key(self) -> tuple[object, ...]:
        place = self.place
        return (
            place.file, place.line, place.column, self.subject, checks.order(self.check.id), place.field, self.message,
        )  # fmt: skip


def grouped(findings: Iterable[Finding]) -> dict[tuple[str, Subject], list[Finding]]:
    """Findings by file and object as a person reads them: objects in the order in which they come, the worst of each
    first."""
    found: dict[tuple[str, Subject], list[Finding]] = {}
    for item in findings:
        found.setdefault((item.place.file, item.subject), []).append(item)
    for rows in found.values():
        rows.sort(key=lambda item: (SEVERITIES.index(item.check.severity), item.sort_key()))
    return found


@dataclass(frozen=True, slots=True)
class Problem:
    """Input that could not be read or is no valid object."""

    place: Place
    code: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """What is wrong, and what to do about it, as sentences."""
        ends = "" if self.message.endswith((".", "?", "!")) else "."
        return f"{self.message}{ends} {self.remedy}" if self.remedy else self.message


@dataclass(slots=True)
class Tally:
    """What a summary says of a report. `found` counts findings by status and severity."""

    files: int = 0
    objects: int = 0
    checks: int = 0
    passed: int = 0
    problems: int = 0
    found: Counter[tuple[Status, str]] = field(default_factory=Counter)

    @staticmethod
    def sort_of(finding: Finding) -> tuple[Status, str]:
        return finding.status, finding.check.severity

    def of(self, *statuses: Status, severity: str = "") -> int:
        return sum(
            count for (status, found), count in self.found.items() if status in statuses and severity in ("", found)
        )


@dataclass(slots=True)
class Report:
    """All of a scan. `passed` counts by check id how many objects passed, `passed_in` by namespace how many checks they
    passed; `objects` were looked at."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)
    passed_in: dict[str, int] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    objects: int = 0
    files: int = 0

    def tally(self) -> Tally:
        found = Counter(map(Tally.sort_of, self.findings))
        passed = sum(self.passed.values())
        return Tally(self.files, self.objects, len(self.checks), passed, len(self.problems), found)

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status in (Status.FAIL, Status.ERROR)]
