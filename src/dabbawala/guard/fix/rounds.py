"""Repairing what a scan finds, round by round, until nothing changes any more.

One repair may be what the next check looks at, and two repairs of one place wait for each other; so the whole is judged
again after each round, as far as it may have become different. Texts change in memory only: whoever called writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.engine import Engine, PlaceOf
from dabbawala.guard.findings import Finding, Problem, Status
from dabbawala.guard.fix import changes, repairs, rewriting
from dabbawala.guard.fix.changes import Path
from dabbawala.guard.fix.repairs import Repair
from dabbawala.guard.fix.rewriting import Wish
from dabbawala.guard.listing import Part
from dabbawala.guard.sources import Source
from dabbawala.guard.standing import Standing

ROUNDS_MAX = 8
"""Rounds after which the rest is left as it is; three are usual."""

_MARK = b"\xef\xbb\xbf"
_NOT_UTF8 = "the file is not UTF-8; save it so"
_RESTLESS = "repairs undo each other here"


class Made(NamedTuple):
    """A change that was made. The line is that of the new text."""

    file: str
    line: int
    field: str
    value: object
    checks: tuple[str, ...]


class Left(NamedTuple):
    """A finding that stays, and why."""

    finding: Finding
    reason: str


@dataclass(slots=True)
class Outcome:
    """`texts` are the new contents of the files that are different now."""

    made: list[Made] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)


def run(found: Iterable[Source], engine: Engine, *, now: datetime, risky: bool) -> Outcome:
    """Repair what these sources hold. Rendered sources are judged, and left."""
    repair = _Repairing([_File(source) for source in found], engine, now, risky=risky)
    for _ in range(ROUNDS_MAX):
        repair.judge()
        if not repair.change():
            break
    else:
        repair.judge()
    return repair.outcome()


class _File:
    """A source as far as it is repaired."""

    def __init__(self, source: Source) -> None:
        self.name = source.file
        self.data = self.before = source.data
        self.editable = source.render is None and not source.problems
        self._take(source.read())

    def _take(self, reading: Reading) -> None:
        self.reading, self.part = reading, Part.of(reading)

    def write(self, wishes: Sequence[Wish]) -> rewriting.Rewritten:
        """Raises UnicodeDecodeError."""
        mark = _MARK if self.data.startswith(_MARK) else b""
        done = rewriting.rewrite(self.name, self.data.removeprefix(mark).decode(), wishes)
        if done.made:
            self.data = mark + done.text.encode()
            self._take(done.reading)
        return done


class _Key(NamedTuple):
    file: str
    document: int


class _Repairing:
    """One run over all files."""

    def __init__(self, files: list[_File], engine: Engine, now: datetime, *, risky: bool) -> None:
        self._files = files
        self._risky = risky
        self._standing = Standing(engine, now=now)
        self._found: list[tuple[Document | None, Finding]] = []
        self._made: dict[tuple[_Key, Path], Repair] = {}
        self._tried: set[tuple[_Key, str]] = set()
        self._refused: dict[tuple[_Key, str], str] = {}
        self._hopeless: dict[tuple[_Key, str], str] = {}
        self._seen: set[tuple[str, bytes]] = {(file.name, file.data) for file in files}

    def judge(self) -> None:
        for _ in self._standing.steps(file.part for file in self._files):
            pass
        self._found = [
            (document, finding)
            for document, judgement in self._standing.judgements()
            for finding in judgement.findings
            if finding.status in (Status.FAIL, Status.ERROR)
        ]

    def change(self) -> bool:
        """Whether any text is different now that was never so before, or something turned out to be impossible, in
        whose place another check may ask for something else."""
        by_file: dict[str, dict[int, list[Finding]]] = {}
        for document, finding in self._found:
            if document is not None and document.origin is None:
                by_file.setdefault(document.file, {}).setdefault(document.index, []).append(finding)
        changed = [self._repair(file, by_file[file.name]) for file in self._files if file.name in by_file]
        return any(changed)

    def _repair(self, file: _File, findings: dict[int, list[Finding]]) -> bool:
        wished = [
            (_Key(file.name, index), repair)
            for index in sorted(findings)
            for repair in self._accepted(file, index, findings[index])
        ]
        if not wished or not file.editable:
            return False
        by_place = {(key, repair.change.path): repair for key, repair in wished}
        try:
            done = file.write([Wish(key.document, repair.change) for key, repair in wished])
        except UnicodeDecodeError:
            self._refuse(wished, _NOT_UTF8)
            return False
        for (index, change), reason in done.refused:
            self._hopeless[_Key(file.name, index), change.words] = f"{change}: {reason}"
        for index, change in done.made:
            place = (_Key(file.name, index), change.path)
            self._made[place] = by_place[place]
            self._tried |= {(place[0], check) for check in by_place[place].checks}
        is_new = (file.name, file.data) not in self._seen
        self._seen.add((file.name, file.data))
        return is_new or bool(done.refused)

    def _refuse(self, repaired: Iterable[tuple[_Key, Repair]], why: str) -> None:
        self._refused |= {(key, check): why for key, repair in repaired for check in repair.checks}

    def _accepted(self, file: _File, index: int, findings: list[Finding]) -> list[Repair]:
        key = _Key(file.name, index)
        obj = file.reading.documents[index].object
        hopeless = {words for found, words in self._hopeless if found == key}
        asked = repairs.wanted(obj, findings, hopeless, risky=self._risky)
        if not asked:
            return []
        kept, refused = repairs.acceptable(obj, asked, self._standing.preparation)
        self._refused |= {(key, check): why for check, why in refused.items()}
        return kept

    def outcome(self) -> Outcome:
        found = Outcome(problems=[problem for file in self._files for problem in file.part.problems])
        found.texts = {file.name: file.data for file in self._files if file.data != file.before}
        by_name = {file.name: file for file in self._files}
        places: dict[_Key, PlaceOf] = {}
        for (key, path), repair in self._made.items():
            if key not in places:
                places[key] = by_name[key.file].reading.documents[key.document].placing()
            place = places[key](changes.shown(path))
            found.made.append(Made(key.file, place.line, place.field, repair.change.value, repair.checks))
        found.made.sort(key=lambda made: (made.file, made.line, made.field))
        found.left = [Left(finding, self._why(finding, document)) for document, finding in self._found]
        found.left.sort(key=lambda left: left.finding.sort_key())
        return found

    def _why(self, finding: Finding, document: Document | None) -> str:
        check = finding.check
        why = repairs.why_left(finding, document, risky=self._risky)
        if why or document is None:
            return why
        key = _Key(document.file, document.index)
        for change in repairs.changes_of(finding, document.object):
            if (key, change.words) in self._hopeless:
                return self._hopeless[key, change.words]
        if (key, check.id) in self._tried:
            return f"the change was made, and was not enough. {check.remedy}"
        return self._refused.get((key, check.id), _RESTLESS)
