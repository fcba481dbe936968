"""Files that are broken, hostile or huge are repaired where that can be proven, and otherwise left as they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dabbawala.guard import checks, documents
from dabbawala.guard.engine import Engine
from dabbawala.guard.fix import rewriting, rounds
from dabbawala.guard.fix.changes import Change
from dabbawala.guard.fix.rewriting import Wish, rewrite
from dabbawala.guard.sources import Source
from tests.guard import bad_files

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOME = ("WL-01", "WL-05", "WL-10", "WL-12", "WL-20", "WL-27", "WL-29")
RANDOM_FILES, LARGE_BYTES = 200, 5_000
ATTEMPTS = 40


def test_broken_files_break_nothing_and_what_is_written_can_be_read() -> None:
    engine = Engine([checks.shipped()[name] for name in SOME], now=NOW)
    written = 0
    for bad in [*bad_files.few(LARGE_BYTES), *bad_files.many(RANDOM_FILES, seed=9)]:
        outcome = rounds.run([Source(bad.name, bad.data)], engine, now=NOW, risky=True)
        for data in outcome.texts.values():
            before, after = documents.read(bad.name, bad.data), documents.read(bad.name, data)
            assert len(after.documents) == len(before.documents)
            assert [problem.code for problem in after.problems] == [problem.code for problem in before.problems]
            written += 1
    assert written > RANDOM_FILES / 20


def test_many_edits_that_cannot_be_made_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "ATTEMPTS_MAX", ATTEMPTS)
    shared = "".join(f"- <<: *x\n  a{at}: {{b: *y}}\n" for at in range(ATTEMPTS))
    text = f"apiVersion: v1\nkind: K\nx: &x {{c: 1}}\ny: &y {{d: 1}}\nitems:\n{shared}"
    wishes = [Wish(0, Change(("items", at, f"a{at}", "b", "d"), at + 2)) for at in range(ATTEMPTS)]
    done = rewrite("a.yaml", text, [*wishes, Wish(0, Change(("kind",), "L"))])
    assert len(done.refused) + len(done.made) == len(wishes) + 1
    assert done.refused
    assert {refusal.reason for refusal in done.refused} <= {
        "it is written at the anchor &y (line 4), which other places use too",
        f"the file took more than {ATTEMPTS} attempts; fix it again",
    }
