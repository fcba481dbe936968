"""`dabba guard runtime` as a user calls it, without a cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dabbawala.cli.guard_runtime import runtime
from dabbawala.guard.runtime import coverage
from dabbawala.guard.runtime.coverage import NO, PARTLY, YES, Sources
from dabbawala.guard.runtime.main import Settings, load
from dabbawala.guard.runtime.sources import connector, files
from tests.guard.runtime import given

EVENT = {
    "rule": "Terminal shell in container",
    "time": "2026-01-01T00:00:00Z",
    "priority": "Notice",
    "output": "a shell",
}
FOREIGN = "- rule: Far\n  desc: d\n  output: o\n  priority: ERROR\n  condition: evt.type = setns\n"


def called(*words: str, given_in: str = "") -> Result:
    return CliRunner().invoke(runtime, [*words], input=given_in)


def test_coverage_names_all_seven_attacks_each_with_a_source_or_a_reason() -> None:
    done = called("--coverage", "--output", "json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert len(rows) == 7
    assert {check for row in rows for check in row["checks"]} == {f"RUN-0{n}" for n in (1, 2, 3, 4, 5, 7)}
    assert all(row["source"] or row["limits"] for row in rows)
    assert called("--coverage").exit_code == 0


@pytest.mark.parametrize(
    ("sources", "verdicts"),
    [
        (Sources({}, whole=True), [YES] * 7),
        (Sources({}, whole=False), [YES] * 7),
        (Sources({connector.NAME: "no"}, whole=True), [PARTLY] * 3 + [YES, YES, PARTLY, YES]),
        (Sources({files.NAME: "too old"}, whole=False), [YES] * 3 + [NO, YES, YES, NO]),
    ],
)
def test_a_source_that_is_missing_takes_its_attacks_with_it(sources: Sources, verdicts: list[str]) -> None:
    rows = coverage.table(sources, load(Settings()))
    assert [row.verdict for row in rows] == verdicts
    assert all(why in "".join(row.limits for row in rows) for why in sources.absent.values())


def test_without_rules_nothing_is_covered() -> None:
    assert [row.verdict for row in coverage.table(Sources({}, whole=True), given.built(FOREIGN))] == [NO] * 7


def test_rules_are_listed_with_what_they_lack(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FOREIGN)
    done = called("--list", "--rules", str(tmp_path / "mine.yaml"))
    assert "not covered  Error         Far: no source sees setns" in done.stdout
    assert "active       Critical      Crypto miner started" in done.stdout
    alone = called("--list", "--no-shipped", "--rules", str(tmp_path / "mine.yaml"), "--output", "json")
    assert [rule["rule"] for rule in json.loads(alone.stdout)] == ["Far"]


def test_a_rule_file_that_is_wrong_or_missing_cannot_be_told_from() -> None:
    done = called("--list", "--rules", "nowhere.yaml")
    assert (done.exit_code, "nowhere.yaml: No such file" in done.stderr) == (2, True)


def test_falcos_events_are_handled_like_our_own(tmp_path: Path) -> None:
    target = tmp_path / "alerts.json"
    lines = f"{json.dumps(EVENT)}\n\n{json.dumps(EVENT)}\n"
    done = called("--falco-events", "-", "--json-file", str(target), given_in=lines)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == ["00:00:00 Notice   RUN-04  Terminal shell in container: a shell"] * 2
    assert [json.loads(line)["tags"] for line in target.read_text().splitlines()] == [["RUN-04"]] * 2


def test_no_event_is_no_alert_and_nonsense_cannot_be_told_from(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    assert called("--falco-events", str(empty)).exit_code == 0
    done = called("--falco-events", "-", given_in="{\n")
    assert (done.exit_code, "-:1: not JSON" in done.stderr) == (2, True)
    assert called("--falco-events", str(tmp_path / "nowhere")).exit_code == 2


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(tmp_path / "none"))
    done = called("--for", "1")
    assert (done.exit_code, "none" in done.stderr) == (2, True)


def test_an_audit_log_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    done = called("--no-api", "--for", "0", "--audit-log", str(tmp_path / "none"))
    assert (done.exit_code, "--audit-log" in done.stderr) == (2, True)


def test_a_watch_that_saw_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FOREIGN)
    done = called("--no-api", "--for", "0.1", "--no-shipped", "--rules", str(tmp_path / "mine.yaml"))
    assert done.exit_code == 0, done.output
    assert "watching " in done.stderr
    assert "0 alerts" in done.stderr
