"""Nothing in a log of results can be changed, moved, put in or left out unnoticed."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import orjson
import pytest

from dabbawala.guard.checks import Check
from dabbawala.guard.findings import Report, Status
from dabbawala.guard.frameworks import ledger
from tests.guard.frameworks.given import assessed, check, clause, finding, record

DIRECT = check("A-1", ("1", "direct"))
INPUTS = [{"file": "pod.yaml", "hash": ledger.digest_of_bytes(b"pod")}]


def content(passed: int = 1) -> dict[str, object]:
    about = clause("2", "evidence")
    report = Report([finding(DIRECT, Status.EXCEPTED)], checks=[DIRECT], passed={"A-1": passed})
    return ledger.content(assessed(report, clause(), about, given=(record(about),)), INPUTS, "1.0")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    for passed in range(1, 6):
        ledger.append(path, content(passed))
    return path


def said(lines: list[bytes], last: str = "") -> list[str]:
    return [str(fault) for fault in ledger.faults(lines, last)]


def test_an_entry_has_what_an_auditor_needs(log: Path) -> None:
    entry = orjson.loads(ledger.read(log)[0])
    assert entry["inputs"] == INPUTS
    assert entry["policies"] == {"A-1": ledger.digest(DIRECT.document)}
    assert entry["results"]["test"]["1"] == {"state": "partial", "checks": {"A-1": [1, 0, 0, 1]}, "records": []}
    assert entry["results"]["test"]["2"]["state"] == "supports"
    assert entry["results"]["test"]["2"]["records"][0]["owner"] == "asha@example.com"
    (accepted,) = entry["exceptions"]
    assert accepted["check"] == "A-1"
    assert "asha, SEC-1, until" in accepted["accepted"]


def test_a_log_that_nobody_touched_holds(log: Path) -> None:
    lines = ledger.read(log)
    assert len(lines) == 5
    assert not said(lines, orjson.loads(lines[-1])["hash"])


def test_a_changed_letter_anywhere_is_noticed(log: Path) -> None:
    text, dice = log.read_bytes(), random.Random(1)
    for _ in range(300):
        place = dice.randrange(len(text))
        changed = text[:place] + bytes([(text[place] + dice.randrange(1, 255)) % 256]) + text[place + 1 :]
        assert said(changed.splitlines(keepends=True)), place


def test_a_result_that_was_improved_is_noticed_even_with_a_new_hash(log: Path) -> None:
    lines = ledger.read(log)
    entry = orjson.loads(lines[2].replace(b'"partial"', b'"supports"'))
    del entry["hash"]
    lines[2] = orjson.dumps({**entry, "hash": ledger.digest(entry)}) + b"\n"
    assert said(lines) == ["line 4: it does not follow the entry before it: that one was changed, removed or put in"]


@pytest.mark.parametrize("gone", range(4))
def test_a_missing_entry_is_noticed(log: Path, gone: int) -> None:
    lines = ledger.read(log)
    del lines[gone]
    assert said(lines)


def test_entries_that_changed_places_are_noticed(log: Path) -> None:
    lines = ledger.read(log)
    lines[1], lines[2] = lines[2], lines[1]
    assert said(lines)


def test_a_log_that_was_cut_off_is_noticed_by_who_kept_the_last_hash(log: Path) -> None:
    lines = ledger.read(log)
    last = orjson.loads(lines[-1])["hash"]
    assert not said(lines[:-1])
    assert said(lines[:-1], last)[0].startswith("the last entry has the hash sha256:")


def test_nothing_is_appended_to_a_log_that_does_not_hold(log: Path) -> None:
    text = log.read_bytes().replace(b"pod.yaml", b"pad.yaml", 1)
    log.write_bytes(text)
    with pytest.raises(ledger.Broken, match="line 1: its hash is not that of what it says"):
        ledger.append(log, content())
    assert log.read_bytes() == text


def test_a_disk_that_is_full_half_way_leaves_the_log_as_it_was(log: Path) -> None:
    text = log.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(text) + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            ledger.append(log, content())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.read_bytes() == text


def test_a_write_that_was_cut_off_is_noticed(log: Path) -> None:
    assert said(log.read_bytes()[:-10].splitlines(keepends=True)) == ["line 5: it has no end: a write was cut off"]


@pytest.mark.parametrize("text", [b"", b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"schema": 1}\n'])
def test_what_is_no_log_does_not_hold(text: bytes) -> None:
    assert said(text.splitlines(keepends=True))


def test_checks_with_another_text_are_named(log: Path) -> None:
    entry = orjson.loads(ledger.read(log)[-1])
    other = Check(**{**{name: getattr(DIRECT, name) for name in Check.__dataclass_fields__}, "document": {"kind": "x"}})
    assert ledger.changed(entry, [DIRECT]) == []
    assert ledger.changed(entry, [other]) == ["A-1"]
