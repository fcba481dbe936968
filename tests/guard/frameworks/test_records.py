"""Records without an owner, a date, an end or a document's hash are no records, and say what they lack."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dabbawala.guard.findings import Problem
from dabbawala.guard.frameworks import records
from tests.guard.frameworks.given import HASH

GOOD = {
    "clause": "rbi-itg-2023/29(a)",
    "type": "evidence",
    "owner": "asha@example.com",
    "date": "2026-06-30",
    "expires": "2026-12-31",
    "documentHash": HASH,
}


def read(path: Path, text: str) -> tuple[list[records.Record], list[Problem]]:
    file = path / "evidence.yaml"
    file.write_text(text)
    problems: list[Problem] = []
    return records.read([file], problems), problems


def written(**changes: str | None) -> str:
    return "".join(f"{name}: '{value}'\n" for name, value in {**GOOD, **changes}.items() if value is not None)


def test_a_record_is_read_and_lasts_to_the_end_of_its_last_day(tmp_path: Path) -> None:
    (found,), problems = read(tmp_path, written(document="drill.pdf"))
    assert not problems
    assert (found.clause, found.owner, found.document) == ("rbi-itg-2023/29(a)", "asha@example.com", "drill.pdf")
    assert found.date == datetime(2026, 6, 30, tzinfo=UTC)
    assert found.expires == datetime(2027, 1, 1, tzinfo=UTC)


def test_records_may_be_documents_or_a_list(tmp_path: Path) -> None:
    row = "{" + ", ".join(f"{name}: '{value}'" for name, value in GOOD.items()) + "}"
    assert len(read(tmp_path, f"- {row}\n- {row}\n---\n{row}\n---\n")[0]) == 3


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"owner": None}, "[0].owner", "owner is missing"),
        ({"owner": " "}, "[0].owner", "owner is missing"),
        ({"expires": None}, "[0].expires", "expires is missing"),
        ({"documentHash": None}, "[0].documentHash", "documentHash is missing"),
        ({"documentHash": "sha256:beef"}, "[0].documentHash", "documentHash is no sha256: with 64 hexadecimal digits"),
        ({"date": "soon"}, "[0].date", "date is 'soon'; write a date such as 2026-12-31, or RFC 3339"),
        ({"type": "rumour"}, "[0].type", "type is 'rumour'; use one of evidence, attestation"),
        ({"clause": "rbi-itg-2023/99"}, "[0].clause",
         "there is no clause rbi-itg-2023/99; `dabba guard frameworks NAME` lists them"),
        ({"result": "pass"}, "[0].result", "a record has no field result"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_a_problem(tmp_path: Path, changes: dict[str, str], field: str, message: str) -> None:
    found, problems = read(tmp_path, written(**changes))
    assert not found
    assert [(problem.place.field, problem.message) for problem in problems] == [(field, message)]


def test_a_wrong_field_is_told_with_its_line_and_a_missing_one_with_that_of_its_record(tmp_path: Path) -> None:
    rows = (GOOD | {"date": "soon"}, {name: value for name, value in GOOD.items() if name != "owner"})
    text = "\n".join("-\n" + "\n".join(f"  {name}: '{value}'" for name, value in row.items()) for row in rows)
    _, problems = read(tmp_path, text)
    lines = text.splitlines()
    told = [(problem.message.split()[0], lines[problem.place.line - 1].split()[0]) for problem in problems]
    assert told == [("date", "date:"), ("owner", f"{next(iter(GOOD))}:")]


@pytest.mark.parametrize("text", ["a: [", "- &a {x: 1}\n- *a\n", "\x00", "just words\n"])
def test_unreadable_files_are_problems(tmp_path: Path, text: str) -> None:
    found, problems = read(tmp_path, text)
    assert not found
    assert len(problems) == 1


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert not records.read([tmp_path / "none.yaml"], problems)
    assert [problem.text for problem in problems] == [
        "these records cannot be read: No such file or directory. Check the path."
    ]
