"""Whatever a file holds, reading it ends, within memory, with its documents or with problems that name a line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dabbawala.guard import checks, documents, scanning, sources
from dabbawala.guard.decoding import FILE_BYTES_MAX
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.findings import Status
from dabbawala.guard.inventory import Inventory
from tests.guard import bad_files
from tests.guard.bad_files import Bad

LARGE_BYTES = 20_000
RANDOM_FILES = 950
RESIDENT_BYTES_MAX = 400 * 1024 * 1024
SECONDS_OF_ONE_MAX = 15.0

CHILD = """
import json, sys
from dabbawala.guard import sources
from dabbawala.guard.defaulting import Preparation
found = {}
for source in sources.find(sys.argv[1:]):
    reading = source.read()
    preparation = Preparation()
    for document in reading.documents:
        if document.is_object:
            preparation.prepare(document)
    found[source.file] = [problem.code for problem in reading.problems]
status = open("/proc/self/status").read()
print(json.dumps([found, int(status.partition("VmHWM:")[2].split()[0]) * 1024]))
"""


def looked_at(bad: Bad) -> list[str]:
    """The codes of the file's problems, all of which have been looked at, as its documents have."""
    reading = documents.read(bad.name, bad.data)
    lines = bad.data.count(b"\n") + bad.data.count(b"\r") + 1
    for problem in reading.problems:
        assert problem.message, bad.name
        assert problem.remedy, bad.name
        assert problem.place.file == bad.name
        assert 1 <= problem.place.line <= lines, (bad.name, problem)
        assert problem.place.column >= 1
    for document in reading.documents[:50]:
        assert document.position("spec.containers[web].image").line <= lines
        assert document.position("a.b[0].c").line >= 1
        if document.is_object:
            prepared = Preparation().prepare(document)
            assert prepared.object is not None or prepared.problems
            if prepared.object is not None:
                Inventory([(prepared.object, document)]).pods  # noqa: B018  # must not raise
    return [problem.code for problem in reading.problems]


def test_every_sort_of_bad_file_has_its_problem_and_breaks_nothing() -> None:
    found = {bad.name: (bad.code, looked_at(bad)) for bad in bad_files.few(LARGE_BYTES)}
    assert not {name: pair for name, pair in found.items() if pair[0] and pair[0] not in pair[1]}


def test_files_that_something_happened_to_break_nothing() -> None:
    read = [looked_at(bad) for bad in bad_files.many(RANDOM_FILES, seed=3)]
    assert len(read) + sum(1 for _ in bad_files.few(LARGE_BYTES)) >= 1000
    assert sum(map(bool, read)) > RANDOM_FILES / 2


@pytest.mark.parametrize("name", ["plain.yaml"])
def test_the_largest_file_that_is_read_stays_within_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bad_files.large(name, FILE_BYTES_MAX - 100).data)
    _, resident = in_a_process(tmp_path)
    assert resident < RESIDENT_BYTES_MAX


def test_a_folder_of_bad_files_is_read_to_its_end(tmp_path: Path) -> None:
    written = [*bad_files.few(5_000), *bad_files.many(100, seed=5)]
    for bad in written:
        (tmp_path / bad.name).write_bytes(bad.data)
    (tmp_path / "huge.yaml").touch()
    with (tmp_path / "huge.yaml").open("r+b") as file:
        file.truncate(100 * 1024 * 1024)
    found, resident = in_a_process(tmp_path)
    assert len(found) == len({bad.name for bad in written}) + 1
    assert found[str(tmp_path / "huge.yaml")] == ["too-large"]
    assert resident < RESIDENT_BYTES_MAX


def test_a_whole_scan_of_bad_files_ends_with_a_report(tmp_path: Path) -> None:
    for bad in [*bad_files.few(2_000), *bad_files.many(60, seed=9)]:
        (tmp_path / bad.name).write_bytes(bad.data)
    found = scanning.of_paths([str(tmp_path)], list(checks.shipped().values()), now=datetime.now(UTC))
    assert found.files > 100
    assert found.findings
    assert all(problem.place.line or problem.place.file for problem in found.problems)


POLICY = """\
# Whoever wrote this never tried it.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: untried.example.com
  annotations:
    guard.dabbawala.dev/id: XX-01
    guard.dabbawala.dev/title: Untried
    guard.dabbawala.dev/severity: high
    guard.dabbawala.dev/remedy: Try it.
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations:
  - expression: size(object.spec.containers) > 0
  - expression: %s
"""
TWENTY = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]"


def costly(levels: int) -> str:
    """An expression that asks twenty to the power of `levels` questions."""
    return "true" if not levels else f"{TWENTY}.all(n{levels}, {costly(levels - 1)})"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("object.spec.containers.all(c", "Syntax error"),
        ("nosuch(object)", "undeclared reference to 'nosuch'"),
        ("variables.absent == 1", "absent"),
        ("1 == 1 ? 5 : 6", "must evaluate to bool"),
        ("'\\q' == ''", "Syntax error"),
        ("(" * 3000 + "true" + ")" * 3000, "nested deeper"),
    ],
)
def test_a_policy_whose_expression_does_not_compile_fails_at_its_line(
    expression: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY % json.dumps(expression))
    found = scanning.of_paths([str(file)], [checks.shipped()["YAML-03"]], now=datetime.now(UTC))
    (finding,) = found.findings
    assert (finding.place.file, finding.place.line) == (str(file), POLICY.count("\n"))
    assert finding.place.field == "spec.validations[1].expression"
    assert said in finding.message
    assert "\n" not in finding.message


def test_a_policy_over_budget_decides_nothing_and_says_so_at_the_object(tmp_path: Path) -> None:
    policy, file = tmp_path / "policy.yaml", tmp_path / "pod.yaml"
    policy.write_text(POLICY % json.dumps(costly(5)))
    file.write_text("# One pod.\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n")
    began = time.monotonic()
    found = scanning.of_paths([str(file)], list(checks.read(policy)), now=datetime.now(UTC))
    assert time.monotonic() - began < SECONDS_OF_ONE_MAX
    (finding,) = found.findings
    assert (finding.status, finding.place.file, finding.place.line) == (Status.ERROR, str(file), 2)
    assert "cost limit exceeded" in finding.message
    assert not found.passed


def in_a_process(folder: Path) -> tuple[dict[str, list[str]], int]:
    """Problems by file, and the most memory that reading them took, in bytes."""
    ran = subprocess.run([sys.executable, "-c", CHILD, str(folder)], capture_output=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    found, resident = json.loads(ran.stdout)
    return found, resident


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_bad_file_at_full_size_ends_in_time_and_within_memory(tmp_path: Path) -> None:
    for bad in bad_files.few(FILE_BYTES_MAX - 100):
        path = tmp_path / bad.name
        path.write_bytes(bad.data)
        began = time.monotonic()
        found, resident = in_a_process(path)
        assert time.monotonic() - began < SECONDS_OF_ONE_MAX * 4, bad.name
        assert resident < RESIDENT_BYTES_MAX, bad.name
        codes = next(iter(found.values()))
        assert not bad.code or {bad.code, "too-large"} & set(codes), bad.name
        path.unlink()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_files_that_something_happened_to_break_nothing() -> None:
    for bad in bad_files.many(100_000, seed=7):
        looked_at(bad)


def test_sources_of_bad_files_are_found_in_the_same_order(tmp_path: Path) -> None:
    for bad in bad_files.many(30, seed=1):
        (tmp_path / bad.name).write_bytes(bad.data)
    first = [source.file for source in sources.find([tmp_path])]
    assert first == sorted(first)
    assert first == [source.file for source in sources.find([tmp_path])]
