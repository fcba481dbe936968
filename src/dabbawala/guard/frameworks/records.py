"""Dated records: evidence that no scan can see, and attestations, somebody's word. Each has an owner, a date, an end
and the hash of the document behind it; one that lacks any of these, or has ended, counts for nothing, and says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from dabbawala.apimachinery import clock
from dabbawala.guard.findings import Place, Problem
from dabbawala.guard.frameworks import catalogue
from dabbawala.guard.frameworks.catalogue import ATTESTATION, EVIDENCE, Clause

BYTES_MAX = 4 * 1024 * 1024
"""Of a file of records; they name documents and do not hold them."""

REQUIRED = ("clause", "type", "owner", "date", "expires", "documentHash")
FIELDS = frozenset((*REQUIRED, "document", "statement"))
TYPES = (EVIDENCE, ATTESTATION)
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_REMEDY = "See docs/guard-frameworks.md, Evidence."


@dataclass(frozen=True, slots=True)
class Record:
    """`expires` is the first instant at which it counts no more."""

    clause: str
    type: str
    owner: str
    date: datetime
    expires: datetime
    hash: str
    document: str = ""
    statement: str = ""

    def __str__(self) -> str:
        until = clock.format_time(self.expires)
        return f"{self.type} of {self.owner}, {clock.format_time(self.date)}, until {until}, {self.hash}"


def objection(record: Record, clause: Clause, now: datetime) -> str:
    """Why a record does not count for its clause; empty when it does."""
    if record.date > now:
        return f"it is dated in the future, {clock.format_time(record.date)}"
    if record.expires <= now:
        return f"it expired at {clock.format_time(record.expires)}"
    if clause.kind == ATTESTATION and record.type != ATTESTATION:
        return "the clause asks for an attestation, somebody's word"
    if clause.kind != ATTESTATION and record.type != EVIDENCE:
        return "the clause asks for evidence, and nobody's word is enough"
    return ""


def read(paths: Iterable[Path], problems: list[Problem]) -> list[Record]:
    """The records of these files. What is no record is a problem."""
    found = []
    for path in paths:
        for number, (row, node) in enumerate(_rows(path, problems)):
            wrong = dict(_wrong(row))
            problems += [
                Problem(_place(path, number, node, field), "bad-evidence", message, _REMEDY)
                for field, message in wrong.items()
            ]
            if not wrong:
                found.append(_record(row))
    return found


def _place(path: Path, number: int, node: yaml.Node, field: str) -> Place:
    """Where a field is written, or where its record begins."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    mark = next((key.start_mark for key, _ in pairs if key.value == field), node.start_mark)
    return Place(str(path), mark.line + 1, mark.column + 1, mark.line + 1, f"[{number}].{field}")


def _rows(path: Path, problems: list[Problem]) -> Iterator[tuple[Any, yaml.Node]]:
    """The file's documents; of lists, what is in them. Text stays text: a date is checked as it was written."""
    try:
        with path.open("rb") as stream:
            data = stream.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ValueError(f"it is larger than {BYTES_MAX} bytes")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(data)):
            raise ValueError("it has YAML aliases; write records out")
        rows = [(_plain(node), node) for document in _documents(data) for node in _listed(document)]
    except OSError as wrong:
        message = f"these records cannot be read: {wrong.strerror or wrong}"
        problems.append(Problem(Place(str(path)), "unreadable", message, "Check the path."))
    except (ValueError, yaml.YAMLError, RecursionError) as wrong:
        problems.append(Problem(Place(str(path)), "unreadable", f"these records cannot be read: {wrong}", _REMEDY))
    else:
        yield from rows


def _documents(data: bytes) -> list[yaml.Node]:
    return list(yaml.compose_all(data, yaml.BaseLoader))


def _listed(document: yaml.Node) -> list[yaml.Node]:
    if isinstance(document, yaml.SequenceNode):
        return list(document.value)
    return [document] if document.value else []


def _plain(node: yaml.Node) -> Any:
    """The value that a node is written for."""
    return yaml.BaseLoader("").construct_object(node, deep=True)


def _wrong(row: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(row, dict):
        yield "", "a record is a mapping"
        return
    for field in sorted(row.keys() - FIELDS, key=str):
        yield str(field), f"a record has no field {field}"
    for field in REQUIRED:
        if not isinstance(row.get(field), str) or not row[field].strip():
            yield field, f"{field} is missing"
    yield from _unfit(row)


def _unfit(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if row.get("clause"):
        try:
            list(catalogue.clauses([str(row["clause"])]))
        except KeyError:
            yield "clause", f"there is no clause {row['clause']}; `dabba guard frameworks NAME` lists them"
    if row.get("type") and row["type"] not in TYPES:
        yield "type", f"type is {row['type']!r}; use one of {', '.join(TYPES)}"
    if row.get("documentHash") and not _HASH.fullmatch(str(row["documentHash"])):
        yield "documentHash", "documentHash is no sha256: with 64 hexadecimal digits"
    for field in ("date", "expires"):
        if row.get(field) and _instant(str(row[field]), end=False) is None:
            yield field, f"{field} is {row[field]!r}; write a date such as 2026-12-31, or RFC 3339"


def _record(row: dict[str, str]) -> Record:
    date, expires = _instant(row["date"], end=False), _instant(row["expires"], end=True)
    assert date is not None, "it was checked"
    assert expires is not None, "it was checked"
    more = {field: str(row.get(field, "")) for field in ("document", "statement")}
    return Record(row["clause"], row["type"], row["owner"].strip(), date, expires, row["documentHash"], **more)


def _instant(text: str, *, end: bool) -> datetime | None:
    """A day means its beginning in UTC, or its end."""
    try:
        if "T" in text:
            return clock.parse_time(text)
        return clock.parse_time(f"{text}T00:00:00Z") + timedelta(days=int(end))
    except ValueError:
        return None
