"""Reports as scanners write them, to be changed by each test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from dabbawala.guard.images import reading
from dabbawala.guard.images.archive import Archive
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import Record, Scan, Unreadable
from dabbawala.guard.images.state import Reports, State, of
from dabbawala.guard.images.terms import Terms

FOLDER = Path(__file__).parent / "reports"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SWITCH = Name.of(f"registry.example.com/upi-switch:2.3@{DIGEST}")


def report(name: str, **changed: Any) -> dict[str, Any]:
    """A report of the folder, with some fields set otherwise; None leaves one out."""
    found = {**orjson.loads((FOLDER / f"{name}.json").read_bytes()), **changed}
    return {field: value for field, value in found.items() if value is not None}


def records(*reports: object) -> list[Record]:
    return [one for n, each in enumerate(reports) for one in reading.records(orjson.dumps(each), f"{n}.json")]


def scan(found: object) -> Scan:
    (record,) = records(found)
    assert isinstance(record, Scan), record
    return record


def reason(found: object) -> str:
    """Why nothing is told."""
    (record,) = records(found)
    assert isinstance(record, Unreadable), record
    return record.reason


def known(*reports: object, terms: Terms | None = None) -> Reports:
    return Reports(Archive(records(*reports)), terms or Terms())


def state(*reports: object, name: Name = SWITCH, terms: Terms | None = None, now: datetime = NOW) -> State:
    return of(name, *known(*reports, terms=terms), now)
