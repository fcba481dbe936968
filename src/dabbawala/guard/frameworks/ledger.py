"""The result log: one line of JSON for each run, each with the hash of the line before it, so that nothing in it can be
changed or left out unnoticed. It can be verified without a cluster, a network or the product's own checks.

What a file alone cannot show is that its last lines were cut off: keep the hash of the last entry elsewhere, and give
it to `verify`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.checks import Check
from dabbawala.guard.findings import Finding, Status
from dabbawala.guard.frameworks.assessment import Assessment, ClauseResult
from dabbawala.guard.frameworks.outputs import as_json
from dabbawala.guard.outputs import as_json as report_json

SCHEMA = "guard.dabbawala.dev/evidence/v1"
START = "sha256:" + "0" * 64
"""What the first entry has in place of the hash before it."""

LINE_BYTES_MAX = 64 * 1024 * 1024


class Broken(Exception):
    """The log does not hold, and nothing is appended to it; the message names the line."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line; line 0 for the log as a whole."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


def digest(value: Any) -> str:
    """Of a JSON value in one form: keys sorted, no space, UTF-8."""
    return digest_of_bytes(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def digest_of_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def content(found: Assessment, inputs: Sequence[Object], version: str) -> Object:
    """What an entry says of a run. `inputs` are what was scanned, each with its hash."""
    report = found.report
    return {
        "schema": SCHEMA,
        "time": clock.format_time(found.now),
        "version": version,
        "inputs": list(inputs),
        "objects": report.objects,
        "problems": len(report.problems),
        "policies": {check.id: digest(check.document) for check in report.checks},
        "results": {each.name: {row.clause.id: _result(row) for row in rows} for each, rows in found.frameworks},
        "exceptions": [_exception(finding) for finding in report.findings if finding.status is Status.EXCEPTED],
        "report": digest_of_bytes(report_json.render(report)),
    }


def _result(row: ClauseResult) -> Object:
    """The state, what each check counted, and the records that it stands on."""
    checks = {
        each.support.check: [each.passed, each.failed, each.unknown, each.excepted] for each in row.seen if each.asked
    }
    return {"state": row.state.value, "checks": checks, "records": [as_json.record(each) for each in row.records]}


def _exception(finding: Finding) -> Object:
    return {"check": finding.check.id, "subject": str(finding.subject), "accepted": finding.reason}


def append(path: Path, said: Object) -> Object:
    """Add an entry to a log that holds, or begin one. Raises Broken and OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with open(descriptor, "rb+", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        text = stream.read()
        wrong = next(faults(text.splitlines(keepends=True)), None)
        if text and wrong is not None:
            raise Broken(f"{path} does not hold, and nothing is appended to it: {wrong}")
        last: Object = orjson.loads(text.splitlines()[-1]) if text else {"number": 0, "hash": START}
        body = {"number": last["number"] + 1, "previous": last["hash"], **said}
        entry = {**body, "hash": digest(body)}
        _write(descriptor, orjson.dumps(entry) + b"\n", len(text))
    return entry


def _write(descriptor: int, line: bytes, size: int) -> None:
    """The whole line, durably; or the log stays as it was, of `size` bytes. Raises OSError."""
    try:
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def read(path: Path) -> list[bytes]:
    """The lines of a log. Raises OSError."""
    return path.read_bytes().splitlines(keepends=True)


def faults(lines: Iterable[bytes], expected: str = "") -> Iterator[Fault]:
    """Why a log does not hold; nothing when it does. `expected` is the hash that the last entry must have."""
    number, previous = 0, START
    for number, line in enumerate(lines, 1):
        entry, wrong = _entry(line)
        if entry is None:
            yield Fault(number, wrong)
            return
        if entry.get("number") != number:
            yield Fault(number, f"it is entry {entry.get('number')}: one before it is missing or was moved")
        if entry.get("previous") != previous:
            yield Fault(number, "it does not follow the entry before it: that one was changed, removed or put in")
        body = {name: value for name, value in entry.items() if name != "hash"}
        if entry.get("hash") != digest(body):
            yield Fault(number, "its hash is not that of what it says: it was changed")
        previous = str(entry.get("hash"))
    if not number:
        yield Fault(0, "the log is empty")
    elif expected and previous != expected:
        yield Fault(0, f"the last entry has the hash {previous}, not {expected}: entries were cut off or added")


def _entry(line: bytes) -> tuple[Object | None, str]:
    if not line.endswith(b"\n"):
        return None, "it has no end: a write was cut off"
    if len(line) > LINE_BYTES_MAX:
        return None, f"it is longer than {LINE_BYTES_MAX} bytes"
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as wrong:
        return None, f"it is no JSON: {wrong}"
    if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
        return None, f"it is no entry of {SCHEMA}"
    return entry, ""


def changed(entry: Object, known: Iterable[Check]) -> list[str]:
    """The checks whose text is not the one that an entry was made with: its results may not be repeated by them."""
    now = {check.id: digest(check.document) for check in known}
    return sorted(name for name, text in entry.get("policies", {}).items() if now.get(name) != text)
