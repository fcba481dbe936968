"""Results by clause, questions by name, and the log of results, as the command line gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dabbawala.cli.guard import guard
from tests.guard.frameworks.given import HASH
from tests.guard.frameworks.wording import promises

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: pay, namespace: shop}
spec:
  hostPID: true
  containers:
    - name: pay
      image: registry.example.com/pay:1
      env: [{name: DATA_RESIDENCY, value: INDIA}]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(guard, [str(argument) for argument in arguments])


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    path = tmp_path / "manifests" / "pod.yaml"
    path.parent.mkdir()
    path.write_text(POD)
    return path


def clauses(result: Result, framework: str) -> dict[str, str]:
    found = json.loads(result.stdout)
    (rows,) = [each["clauses"] for each in found["frameworks"] if each["name"] == framework]
    return {row["id"]: row["state"] for row in rows}


def test_a_scan_reports_by_clause(pod: Path) -> None:
    result = run("scan", pod, "--framework", "pss-baseline", "-o", "json")
    assert result.exit_code == 1
    states = clauses(result, "pss-baseline")
    assert states["hostNamespaces"] == "failed"
    assert states["privileged"] == "supports"
    assert states["all"] == "unknown"


def test_that_nothing_is_labelled_as_card_data_says_nothing_of_its_walls(pod: Path) -> None:
    asked = ("scan", pod, "--framework", "pci-dss-4.0.1", "-c", "NET-06", "-o", "json")
    assert clauses(run(*asked), "pci-dss-4.0.1")["1.3.1"] == "unknown"
    shop = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    pod.write_text(POD.replace("namespace: shop", "namespace: shop, labels: {pci-scope: 'true'}") + shop)
    assert clauses(run(*asked), "pci-dss-4.0.1")["1.3.1"] == "failed", "there is a zone, and no wall"


@pytest.mark.parametrize("form", ["terminal", "json", "html"])
def test_a_family_gives_all_of_its_frameworks_and_the_five_flags_with_what_is_declared(pod: Path, form: str) -> None:
    result = run("scan", pod, "--framework", "rbi", "-o", form)
    assert result.exit_code == 1
    assert "DATA_RESIDENCY=INDIA" in result.stdout
    for flag in (
        "data_localization",
        "encryption_at_rest",
        "encryption_in_transit",
        "audit_logging",
        "access_controls",
    ):
        assert flag in result.stdout
    assert not promises(result.stdout)


def test_evidence_counts_beside_the_scan_and_bad_evidence_is_told(pod: Path, tmp_path: Path) -> None:
    record = {"clause": "rbi-itg-2023/29(a)", "type": "evidence", "owner": "asha", "date": "2020-01-01",
              "expires": "2999-01-01", "documentHash": HASH}  # fmt: skip
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps([record]))
    asked = ("scan", pod, "--framework", "rbi-itg-2023", "-o", "json", "--evidence", file)
    assert clauses(run(*asked), "rbi-itg-2023")["29(a)"] == "supports"
    file.write_text(json.dumps([{**record, "expires": "2020-06-01"}]))
    assert clauses(run(*asked), "rbi-itg-2023")["29(a)"] == "needs-evidence"
    file.write_text(json.dumps([{**record, "owner": ""}]))
    result = run(*asked)
    assert clauses(result, "rbi-itg-2023")["29(a)"] == "needs-evidence"
    assert result.exit_code == 2


def test_a_question_by_name_asks_its_checks(pod: Path) -> None:
    result = run("scan", pod, "-c", "data_residency_check", "-o", "json")
    asked = {row["id"] for row in json.loads(result.stdout)["checks"]}
    assert {"RES-01", "RES-02", "RES-06"} <= asked
    assert not {name for name in asked if name.startswith("WL-")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--framework", "sox"), "there is no framework 'sox'; there are cert-in"),
        (("--framework", "rbi", "-o", "sarif"), "-o sarif has no clauses; with --framework use terminal, json, html"),
        (("--evidence", "x.yaml"), "--evidence is about clauses: add --framework"),
        (("-c", "no_such_question"), "there is no check 'no_such_question'"),
    ],
)
def test_what_cannot_be_asked_is_refused(pod: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("scan", pod, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_frameworks_are_listed_and_told() -> None:
    assert "rbi-itg-2023" in run("frameworks").stdout
    told = run("frameworks", "cert-in").stdout
    assert "LOG-06 direct" in told
    assert "no lawyer has signed" in told.replace("\n", " ")
    assert run("frameworks", "sox").exit_code == 2


def test_results_are_logged_and_the_log_verified_offline(pod: Path, tmp_path: Path) -> None:
    log = tmp_path / "results.jsonl"
    for number in (1, 2):
        result = run("evidence", pod.parent, "-o", log, "--framework", "pss-baseline")
        assert result.exit_code == 1
        assert result.stdout.startswith(f"entry {number} of {log}: sha256:")
        assert result.stderr.startswith("recorded: 13 clauses: ")
    last = result.stdout.split()[-1]
    assert f"{log} holds: 2 entries, the last of" in run("evidence", "verify", log, "--last", last).stdout
    entry = json.loads(log.read_text().splitlines()[0])
    assert [row["file"] for row in entry["inputs"]] == [str(pod)]
    log.write_text(log.read_text().replace('"state":"failed"', '"state":"supports"', 1))
    refused = run("evidence", "verify", log)
    assert refused.exit_code == 1
    assert "line 1: its hash is not that of what it says" in refused.stdout
    again = run("evidence", pod.parent, "-o", log, "--framework", "pss-baseline")
    assert again.exit_code == 2
    assert "nothing is appended to it" in again.output


def test_a_log_that_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    assert run("evidence", "verify", tmp_path / "none.jsonl").exit_code == 2


def test_the_hash_of_an_input_follows_its_content(pod: Path, tmp_path: Path) -> None:
    log = tmp_path / "results.jsonl"
    run("evidence", pod, "-o", log, "--framework", "pss-baseline")
    pod.write_text(POD.replace("hostPID: true", "hostPID: false"))
    run("evidence", pod, "-o", log, "--framework", "pss-baseline")
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert first["inputs"][0]["file"] == second["inputs"][0]["file"]
    assert first["inputs"][0]["hash"] != second["inputs"][0]["hash"]
    assert first["report"] != second["report"]
