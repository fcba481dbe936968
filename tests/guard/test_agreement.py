"""What is said in writing about disagreements with Checkov names checks that exist and gives reasons; and the
comparison finds what is not covered, and what covers too much or nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dabbawala.guard import checks

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import agreement
from agreement import Entry, Group, Subject

SETTLED = agreement.read()
PAIRED = agreement.groups(checks.shipped().values())
GROUP = Group(("CKV_K8S_16",), ("WL-01",))


def is_sentence(text: str) -> bool:
    return text[0].isupper() and text.endswith(".") and len(text.split()) > 4


def subject(kind: str, ours: str, theirs: str) -> Subject:
    obj: dict[str, Any] = {"kind": kind, "spec": {"containers": []}}
    return Subject(f"{kind} {ours}", obj, (obj,), {"WL-01": ours}, {"CKV_K8S_16": theirs})


def entry(when: str, **more: str) -> Entry:
    return Entry("CKV_K8S_16", "WL-01", says="failed", when=when, right="ours", reason="It is.", **more)


@pytest.mark.parametrize("entry", SETTLED.entries, ids=lambda entry: f"{entry.checkov} {entry.says}")
def test_an_adjudication_names_a_pair_that_exists_and_gives_its_reason(entry: Entry) -> None:
    group = next(group for group in PAIRED if entry.checkov in group.checkov)
    assert entry.ours in group.ours
    assert entry.says in ("passed", "failed", "unknown", "silent")
    assert entry.right in ("ours", "checkov", "both-arguable")
    assert is_sentence(entry.reason)
    assert not entry.agrees or is_sentence(entry.agrees)
    assert entry.program.result_type in ("bool", "dyn")


def test_where_checkov_was_right_ours_is_mended() -> None:
    assert not [entry for entry in SETTLED.entries if entry.right == "checkov"]
    assert set(SETTLED.mended) <= set(checks.shipped())
    assert all(is_sentence(reason) for reason in SETTLED.mended.values())


def test_a_check_is_paired_or_explained_and_never_both() -> None:
    assert not {name for group in PAIRED for name in group.checkov} & set(SETTLED.unpaired)
    assert all(is_sentence(reason) for reason in SETTLED.unpaired.values())


def test_a_disagreement_that_no_entry_covers_is_a_fault() -> None:
    compared = agreement.compare(GROUP, [subject("Pod", "failed", "passed")], [])
    assert list(agreement.faults([compared], [])) == ["CKV_K8S_16: ours failed, Checkov passed: Pod failed"]


@pytest.mark.parametrize(("ours", "theirs"), [("failed", ""), ("", "failed")])
def test_what_one_finds_and_the_other_says_nothing_of_is_a_disagreement(ours: str, theirs: str) -> None:
    asked = {"WL-01": ours} if ours else {}, {"CKV_K8S_16": theirs} if theirs else {}
    compared = agreement.compare(GROUP, [Subject("Pod", {}, (), *asked)], [])
    assert [words for _, *words in compared.uncovered] == [[ours or "silent", theirs or "silent"]]


def test_what_neither_finds_anything_in_is_not_compared_where_one_is_not_asked() -> None:
    compared = agreement.compare(
        GROUP, [Subject("Pod", {}, (), {"WL-01": "passed"}, {}), Subject("Pod", {}, (), {}, {})], []
    )
    assert not compared.subjects


def test_an_object_of_a_kind_that_the_other_reads_is_compared_though_it_says_nothing_of_it(tmp_path: Path) -> None:
    home = tmp_path / "case"
    home.mkdir()
    pod = "{{apiVersion: v1, kind: {}, metadata: {{name: {}}}, spec: {{}}}}\n"
    (home / "case.yaml").write_text(
        "---\n".join([pod.format("Pod", "a"), pod.format("Pod", "b"), pod.format("Odd", "c")])
    )
    said = {"case/case.yaml": {"Pod.default.a": {"CKV_K8S_16": "passed"}}}
    engine = agreement.Engine([checks.shipped()["WL-01"]], now=agreement.NOW)
    found = list(agreement.subjects(tmp_path, engine, said, graph=False))
    assert [(subject.name, subject.theirs) for subject in found] == [
        ("case/case.yaml Pod.default.a", {"CKV_K8S_16": "passed"}),
        ("case/case.yaml Pod.default.b", {}),
    ]


def test_an_entry_covers_only_what_its_expression_and_verdict_say() -> None:
    found = [subject("Pod", "failed", "passed"), subject("Job", "failed", "passed"), subject("Pod", "passed", "failed")]
    compared = agreement.compare(GROUP, found, [entry("object.kind == 'Pod'")])
    assert compared.covered == {0: 1}
    assert [uncovered.name for uncovered, _, _ in compared.uncovered] == ["Job failed", "Pod passed"]


def test_an_entry_that_covers_nothing_is_a_fault() -> None:
    compared = agreement.compare(GROUP, [subject("Pod", "passed", "passed")], [entry("false")])
    assert list(agreement.faults([compared], [entry("false")])) == ["CKV_K8S_16: covers nothing: false"]


def test_an_entry_that_holds_of_agreeing_objects_must_say_why() -> None:
    found = [subject("Pod", "failed", "passed"), subject("Job", "failed", "failed")]
    swallowing, excused = entry("true"), entry("true", agrees="Both find it.")
    assert len(list(agreement.faults([agreement.compare(GROUP, found, [swallowing])], [swallowing]))) == 1
    assert not list(agreement.faults([agreement.compare(GROUP, found, [excused])], [excused]))
