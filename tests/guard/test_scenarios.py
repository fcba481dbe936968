"""The systems that this product must carry, each written twice: as described, which gets exactly the findings that are
listed beside it, and as a good engineer would, which gets none. What looks wrong and is right gets none either."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dabbawala.cel.environment import Store
from dabbawala.guard import checks, scanning
from dabbawala.guard.findings import Report, Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLDER = Path(__file__).parent / "scenarios"
ROWS = ((1, 10), (23, 23), (25, 33), (49, 57), (78, 82), (89, 97), (105, 110), (124, 138), (153, 160))
"""The rows that describe manifests, from and to."""
SCENARIOS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
RIGHT = yaml.safe_load((FOLDER / "not_flagged.yaml").read_text())


class Said(NamedTuple):
    """What a check says of a subject; what a reader of files says of one of them has its code and its line."""

    check: str
    subject: str
    status: str


@cache
def store() -> Store:
    """Compiled once for all scans here."""
    return Store()


def scanned(*paths: Path) -> Report:
    return scanning.of_paths(map(str, paths), list(checks.shipped().values()), now=NOW, store=store())


def said(report: Report) -> list[Said]:
    problems = [
        Said(found.code, f"{Path(found.place.file).name}:{found.place.line}", "problem") for found in report.problems
    ]
    findings = [Said(found.check.id, _named(str(found.subject)), str(found.status)) for found in report.findings]
    return sorted(problems + findings)


def _named(subject: str) -> str:
    """A file is its own subject, by the path of the scan."""
    return subject.replace(f"{FOLDER}/", "")


def expected(name: str) -> Iterator[Said]:
    for entry in yaml.safe_load((FOLDER / name / "findings.yaml").read_text()):
        assert entry["why"], entry
        for status, field in ((Status.FAIL, "flags"), (Status.UNKNOWN, "unknown"), ("problem", "problems")):
            yield from (Said(entry["check"], subject, str(status)) for subject in entry.get(field, ()))


def test_every_row_that_describes_manifests_has_its_folder() -> None:
    assert [f"S{row:03}" for first, last in ROWS for row in range(first, last + 1)] == SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_described_gets_the_findings_that_are_listed_and_no_others(name: str) -> None:
    report = scanned(*(FOLDER / name).glob("faithful*"))
    assert report.objects
    assert said(report) == sorted(expected(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_good_engineer_writes_gets_no_finding(name: str) -> None:
    report = scanned(*(FOLDER / name).glob("good*"))
    assert report.objects
    assert said(report) == []


def test_every_row_that_looks_wrong_and_is_right_is_there() -> None:
    """But for N20, which is about sums in prose."""
    assert sorted({entry["row"] for entry in RIGHT}) == [f"N{row:02}" for row in range(1, 20)]


@pytest.mark.parametrize("entry", RIGHT, ids=lambda entry: f"{entry['row']} {entry['file']}")
def test_what_looks_wrong_and_is_right_is_looked_at_and_not_flagged(entry: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / entry["file"]
    path.write_text(entry["text"])
    report = scanned(path)
    assert not report.problems
    assert not {found.check.id for found in report.findings}.intersection(entry["silent"])
    assert set(entry["silent"]) <= set(report.passed)
