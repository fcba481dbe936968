"""Failing manifests in many handwritings: fixed they pass, a second fix changes nothing, comments and order stay."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dabbawala.guard import checks, documents
from dabbawala.guard.engine import Engine
from dabbawala.guard.fix import rounds
from dabbawala.guard.fix.changes import shown
from dabbawala.guard.fix.rounds import Outcome
from dabbawala.guard.sources import Source
from tests.guard import cases
from tests.guard.fix.styles import Hand, as_json, comments

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NATIVE = {name: check for name, check in checks.shipped().items() if check.native}
REPAIRED = {name: check for name, check in NATIVE.items() if check.fix.steps}
PLAIN = 110
FAILING_MIN = 200
REPAIRED_MIN = 75

NOT_ALWAYS = {
    "IMG-05": "images of other retired registries have no known new place",
    "NET-11": "TLS needs a certificate that somebody must order",
    "NET-12": "a list of ciphers is the author's",
    "RBAC": "a wildcard stands for rights that nobody has listed",
    "REL-11": "an autoscaled workload without a selector has nothing to select by",
    "REL-13": "a hook that sleeps for too long is the author's",
    "WL-30": "a token is projected on purpose",
}
"""Checks whose repair fits most objects and not all, and what is left to a person then."""

NOT_ALONE = {
    "WL-05": "the API server wants a privileged container to lose that first, which is WL-01",
    "WL-17": "on the network of the node every port is the node's, until WL-04 is repaired",
}


@cache
def workloads(count: int, seed: int) -> list[Any]:
    """The manifests of the benchmark, which is no package."""
    file = Path(__file__).parents[3] / "bench" / "manifests.py"
    spec = importlib.util.spec_from_file_location("manifests", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.manifests(count, seed))


@cache
def engine(names: tuple[str, ...] = tuple(REPAIRED)) -> Engine:
    return Engine([REPAIRED[name] for name in names], now=NOW)


def fix(found: Sequence[Source], *, risky: bool = True) -> Outcome:
    outcome = rounds.run(found, engine(), now=NOW, risky=risky)
    assert not outcome.problems
    return outcome


def written(name: str, objects: Sequence[Any], seed: int, *, anchors: bool = False) -> Source:
    if seed % 11 == 0 and len(objects) == 1:
        return Source(f"{name}.json", as_json(objects[0], seed).encode())
    parts = [Hand(seed + at, anchors=anchors, label=f"{at}-").write(obj) for at, obj in enumerate(objects)]
    text = "---\n".join([part if part.endswith("\n") else f"{part}\n" for part in parts[:-1]] + parts[-1:])
    return Source(f"{name}.yaml", text.encode())


@cache
def failing() -> tuple[Source, ...]:
    """Manifests as teams write them, and the bad cases of every check that can be repaired."""
    found = [written(f"m{at}", [obj], at) for at, obj in enumerate(workloads(PLAIN, 6))]
    for check in REPAIRED:
        bad = [case for case in cases.read(check) if not case.good]
        found += [written(f"{check}-{at}", case.objects, at + len(check)) for at, case in enumerate(bad)]
    outcome = fix(found, risky=False)
    bad = {item.finding.place.file for item in outcome.left} | outcome.texts.keys()
    return tuple(source for source in found if source.file in bad)


@cache
def fixed() -> Outcome:
    return fix(failing())


@cache
def fixed_twice() -> Outcome:
    return fix([Source(source.file, after(source)) for source in failing()])


def after(source: Source) -> bytes:
    return fixed().texts.get(source.file, source.data)


def test_most_native_checks_can_be_repaired_and_each_other_one_says_why_not() -> None:
    assert not [name for name, check in NATIVE.items() if not check.fix.steps and not check.fix.by_hand]
    assert len(REPAIRED) >= REPAIRED_MIN


def test_at_least_two_hundred_manifests_fail_before() -> None:
    assert len(failing()) >= FAILING_MIN


def test_rescanning_passes() -> None:
    left = [(item.finding.check.id, item.finding.place.file, item.reason) for item in fixed_twice().left]
    unexpected = [item for item in left if item[0] not in NOT_ALWAYS and item[0].partition("-")[0] not in NOT_ALWAYS]
    assert not unexpected
    assert all(reason.startswith("the repair does not fit what is written here") for _, _, reason in left)
    assert len(failing()) - len({file for _, file, _ in left}) >= FAILING_MIN


def test_a_second_fix_changes_nothing() -> None:
    assert not fixed_twice().texts


def test_each_file_alone_is_fixed_as_it_is_among_all_others() -> None:
    for source in failing()[:: len(failing()) // 25]:
        assert fix([source]).texts.get(source.file, source.data) == after(source)


def test_a_request_is_written_for_what_has_none_and_not_below_a_limit_that_counts_as_one() -> None:
    source = Source(
        "limited.yaml",
        b"""\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - name: web
    image: registry.example.com/web:1
    resources: {limits: {memory: 1Gi}}
""",
    )
    outcome = rounds.run([source], engine(("REL-01",)), now=NOW, risky=True)
    (document,) = documents.read(source.file, outcome.texts[source.file]).documents
    (container,) = document.object["spec"]["containers"]
    assert container["resources"] == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}}


def test_documents_of_one_file_are_fixed_as_each_would_be_alone() -> None:
    alike = [item for item in failing() if item.file.endswith(".yaml") and b"\r" not in item.data]
    found = [item for item in alike if item.data.endswith(b"\n")]
    groups = [found[at : at + 4] for at in range(0, len(found), 4)]
    files = [Source(f"j{at}.yaml", b"---\n".join(item.data for item in group)) for at, group in enumerate(groups)]
    outcome = fix(files)
    for file, group in zip(files, groups, strict=True):
        assert outcome.texts.get(file.file, file.data) == b"---\n".join(map(after, group)), file.file
    assert len(outcome.texts) == len(groups) >= FAILING_MIN / 4


def test_a_repair_is_wrong_in_the_eyes_of_no_other_check() -> None:
    others = Engine([check for check in NATIVE.values() if not check.fix.steps], now=NOW)
    before, now = (
        {
            (item.finding.place.file, item.finding.check.id)
            for item in rounds.run(files, others, now=NOW, risky=True).left
        }
        for files in (failing(), [Source(source.file, after(source)) for source in failing()])
    )
    assert before
    assert not now - before


def test_comments_stay_in_their_order_and_only_those_about_what_goes_go_with_it() -> None:
    seen = lost = 0
    for source in failing():
        text = source.data.decode()
        before, now = (comments(data.decode()) for data in (source.data, after(source)))
        assert now == [comment for comment in before if comment in now]
        seen += len(now)
        lost += len(before) - len(now)
        (old,), (new,) = (documents.read(source.file, data).documents for data in (source.data, after(source)))
        about = "\n".join(said_about(text.split("\n"), old, path) for path in less(old.object, new.object))
        assert {comment for comment in before if comment not in now} <= set(comments(about)), source.file
    assert seen > FAILING_MIN
    assert lost < seen / 20


def less(before: Any, now: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """What is there no more: fields, and lists that have become shorter."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key, value in before.items():
            if key in now:
                yield from less(value, now[key], (*path, key))
            else:
                yield (*path, key)
    elif isinstance(before, list) and isinstance(now, list):
        if len(now) < len(before) or (before and not isinstance(before[0], dict) and before != now):
            yield path
        else:
            for at, (one, other) in enumerate(zip(before, now, strict=False)):
                yield from less(one, other, (*path, at))


def said_about(lines: list[str], document: documents.Document, path: tuple[str | int, ...]) -> str:
    """The lines of a field, and the comments that stand above it."""
    place = document.position(shown(path))
    first = place.line
    while first > 1 and lines[first - 2].strip()[:1] in ("", "#"):
        first -= 1
    return "\n".join(lines[first - 1 : place.end_line])


def test_fields_stay_in_their_order_and_new_ones_stand_behind_them() -> None:
    for source in failing():
        before = documents.read(source.file, source.data).documents
        now = documents.read(source.file, after(source)).documents
        for one, other in zip(before, now, strict=True):
            check_order(one.object, other.object)


def check_order(before: Any, now: Any) -> None:
    if isinstance(before, dict) and isinstance(now, dict):
        stayed = [key for key in before if key in now]
        assert list(now)[: len(stayed)] == stayed
        for key in stayed:
            check_order(before[key], now[key])
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for one, other in zip(before, now, strict=True):
            check_order(one, other)


def test_line_ends_and_the_end_of_the_file_stay_as_they_were() -> None:
    for source in failing():
        now = after(source)
        assert (b"\r\n" in now) == (b"\r\n" in source.data), source.file
        assert now.replace(b"\r\n", b"").count(b"\n") == 0 or b"\r\n" not in now
        assert now.endswith(b"\n") == source.data.endswith(b"\n")


def test_without_risk_only_what_ordinary_programs_never_use_is_taken_from_them() -> None:
    outcome = fix(failing()[::3], risky=False)
    assert outcome.texts
    for made in outcome.made:
        assert not any(REPAIRED[name].fix.risk for name in made.checks)
    for item in outcome.left:
        if not REPAIRED[item.finding.check.id].fix.risk:
            assert item.finding.check.id in NOT_ALWAYS
        else:
            assert item.reason.startswith("risky, --risky makes the change. ")


def test_manifests_with_anchors_pass_or_say_which_anchor_is_shared() -> None:
    found = [written(f"a{at}", [obj], 1 + at, anchors=True) for at, obj in enumerate(workloads(60, 7))]
    outcome = fix(found)
    assert any(b"*a" in data for data in outcome.texts.values())
    for item in outcome.left:
        assert "anchor" in item.reason or item.finding.check.id in NOT_ALWAYS
    assert len({item.finding.place.file for item in outcome.left}) < len(found) / 2
    assert not fix([Source(source.file, outcome.texts.get(source.file, source.data)) for source in found]).texts


SHARED = b"""\
# of everybody
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  unknownField: &own
    allowPrivilegeEscalation: true  # for something else
  initContainers:
  - {name: i, image: "registry.example.com/i:1", securityContext: *own}
  containers:
  - name: web
    image: registry.example.com/web:1
    securityContext:
      <<: *own  # what we have always had
  - name: log
    image: registry.example.com/log:1
    securityContext: {runAsNonRoot: true}
"""


def test_what_an_anchor_keeps_from_being_repaired_is_told_of_it_and_the_rest_is_written_beside_it() -> None:
    source = Source("shared.yaml", SHARED)
    outcome = fix([source])
    (document,) = documents.read("shared.yaml", outcome.texts["shared.yaml"]).documents
    init, web, log = (
        container["securityContext"]
        for field in ("initContainers", "containers")
        for container in document.object["spec"][field]
    )
    assert init == {"allowPrivilegeEscalation": True}
    assert web["allowPrivilegeEscalation"] is log["allowPrivilegeEscalation"] is False
    assert web["capabilities"] == log["capabilities"] == {"drop": ["ALL"]}
    assert b"<<: *own  # what we have always had\n" in outcome.texts["shared.yaml"]
    reasons = {item.finding.check.id: item.reason for item in outcome.left}
    assert {"WL-05", "WL-10", "WL-12", "WL-27"} <= reasons.keys()
    for name, reason in reasons.items():
        assert "the anchor &own (line 6), which other places use too" in reason, (name, reason)
    again = fix([Source("shared.yaml", outcome.texts["shared.yaml"])])
    assert not again.texts
    assert {item.finding.check.id: item.reason for item in again.left} == reasons


@pytest.mark.parametrize("check", sorted(REPAIRED))
def test_asked_for_alone_a_check_is_repaired_where_its_case_is_bad(check: str) -> None:
    alone = engine((check,))
    found = [source for source in failing() if source.file.startswith(f"{check}-")]
    outcome = rounds.run(found, alone, now=NOW, risky=True)
    assert outcome.texts
    asked = {name for made in outcome.made for name in made.checks}
    assert asked == {check}
    for item in outcome.left:
        assert {check, check.partition("-")[0]} & {*NOT_ALWAYS, *NOT_ALONE}, item.reason


def test_the_order_of_files_makes_no_difference() -> None:
    few = list(failing()[::9])
    forward, backward = fix(few), fix(few[::-1])
    assert forward.texts == backward.texts
    assert forward.made == backward.made
