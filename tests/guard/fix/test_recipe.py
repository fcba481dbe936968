"""What a check's annotation means: where its values belong, and when it says nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dabbawala.guard import checks
from dabbawala.guard.checks import BadCheck
from dabbawala.guard.fix import recipe
from dabbawala.guard.fix.changes import REMOVED, shown
from dabbawala.guard.fix.recipe import BadFix

POD = {
    "kind": "Pod",
    "metadata": {"name": "p", "annotations": {"a.b/c": "x"}},
    "spec": {
        "securityContext": None,
        "containers": [{"name": "web", "add": ["A", "B"], "ports": [{"p": 80}, {"p": 81}], "priv": True}],
        "initContainers": [{"name": "init", "image": "old.example.com/app:1"}],
    },
}  # fmt: skip
DEPLOYMENT = {"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}}
CRONJOB = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}}


def made(text: str, field: str, obj: dict[str, Any] = POD) -> dict[str, Any]:
    return {shown(change.path): change.value for change in recipe.parse(text).changes(field, obj)}


WEB = "spec.containers[0]"
MEANINGS = [
    ("false", "spec.containers[web].priv", {f"{WEB}.priv": False}),
    ("true", "spec.containers[web].priv", {}),
    ("[ALL]", "spec.containers[init].caps.drop", {"spec.initContainers[0].caps.drop": ["ALL"]}),
    ("false", "spec.containers[other].priv", {}),
    ("!remove", "spec.containers[web].priv", {f"{WEB}.priv": REMOVED}),
    ("!remove", "spec.containers[web].absent", {}),
    ("!present 1", "spec.containers[web].priv", {f"{WEB}.priv": 1}),
    ("!present 1", "spec.containers[web].absent", {}),
    ("!absent 1", "spec.containers[web].priv", {}),
    ("!absent {a: [1]}", "spec.x", {"spec.x": {"a": [1]}}),
    ("!only [A]", "spec.containers[web].add", {f"{WEB}.add": ["A"]}),
    ("!only [C]", "spec.containers[web].add", {f"{WEB}.add": REMOVED}),
    ("!only [true]", "spec.containers[web].priv", {}),
    ("!only ['no']", "spec.containers[web].priv", {f"{WEB}.priv": REMOVED}),
    ("!without [A, C]", "spec.containers[web].add", {f"{WEB}.add": ["B"]}),
    ("!without [C]", "spec.containers[web].add", {}),
    ("!without [C]", "spec.containers[web].absent", {}),
    ("!purge [A, B]", "spec.containers[web].add", {WEB: REMOVED}),
    ("!purge [A]", "spec.containers[web].add", {f"{WEB}.add": ["B"]}),
    ("!with [B, C]", "spec.containers[web].add", {f"{WEB}.add": ["A", "B", "C"]}),
    ("!with [B]", "spec.containers[web].add", {}),
    ("!with [B]", "spec.containers[web].absent", {f"{WEB}.absent": ["B"]}),
    ("!replace {old.example.com/: new.example.com/}", "spec.containers[init].image",
     {"spec.initContainers[0].image": "new.example.com/app:1"}),
    ("!replace {other/: x}", "spec.containers[init].image", {}),
    ("!copy metadata.name", "spec.x", {"spec.x": "p"}),
    ("!copy metadata.absent", "spec.x", {}),
    ("!copy ..ports[0].p", "spec.containers[web].x", {f"{WEB}.x": 80}),
    (".: {a: !copy '..ports[5].p'}", "spec.containers[web].x", {}),
    (".x: 1\n.y.z: 2", "spec.containers[web]", {f"{WEB}.x": 1, f"{WEB}.y.z": 2}),
    (".*.p: !remove", "spec.containers[web].ports", {f"{WEB}.ports[0].p": REMOVED, f"{WEB}.ports[1].p": REMOVED}),
    ("pod.securityContext.a: 1\n.: !present 0", "spec.containers[web].absent", {"spec.securityContext.a": 1}),
    ("object.metadata.x: 1", "spec.y", {"metadata.x": 1}),
    ("priv: false\nadd: [C]", "spec.containers[web].add", {f"{WEB}.add": ["C"]}),
    ("annotations.*: y", "metadata.annotations[a.b/c]", {"metadata.annotations['a.b/c']": "y"}),
    ("annotations['a.b/c']: y", "metadata.annotations['a.b/c']", {"metadata.annotations['a.b/c']": "y"}),
    ("annotations['a.b/c']: y", "metadata.annotations.a.b/c", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "expected"), MEANINGS, ids=[f"{m[0]} at {m[1]}" for m in MEANINGS])
def test_an_annotation_means(text: str, field: str, expected: dict[str, Any]) -> None:
    assert made(text, field) == expected


def test_a_key_with_dots_may_be_named_without_quotes() -> None:
    assert made("y", "metadata.annotations.a.b/c") == {"metadata.annotations['a.b/c']": "y"}


@pytest.mark.parametrize(
    ("obj", "path"),
    [(POD, "spec.x"), (DEPLOYMENT, "spec.template.spec.x"), (CRONJOB, "spec.jobTemplate.spec.template.spec.x")],
)
def test_the_pod_is_found_in_every_kind_of_workload(obj: dict[str, Any], path: str) -> None:
    assert made("pod.x: 1", "spec", obj) == {path: 1}


def test_a_copy_may_stand_inside_a_list_that_is_joined() -> None:
    text = "!with [{labels: !copy spec.selector.matchLabels}]"
    assert made(text, "spec.x", DEPLOYMENT) == {"spec.x": [{"labels": {"a": "b"}}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "not YAML"), ("{}", "names no field"), ("!sometimes 1", "there is no !sometimes"),
     ("!only 1", "takes a list"), ("!replace [a]", "takes a mapping"), ("!copy [a]", "takes a path")],
)  # fmt: skip
def test_what_is_no_repair_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadFix, match=said):
        recipe.parse(text)


def test_a_repair_by_hand_has_no_steps() -> None:
    assert recipe.parse("", by_hand="because").by_hand == "because"
    with pytest.raises(BadFix, match="by hand"):
        recipe.parse("false", by_hand="because")


def test_a_check_names_itself_when_its_repair_is_wrong() -> None:
    check = checks.shipped()["WL-01"]
    annotations = {**check.document["metadata"]["annotations"], f"{checks.PREFIX}fix": "!sometimes"}
    document = {**check.document, "metadata": {**check.document["metadata"], "annotations": annotations}}
    with pytest.raises(BadCheck, match="WL-01"):
        _ = checks.of(document, area="workload", where="x").fix


def test_every_tag_is_explained_in_the_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guard-fix.md").read_text()
    assert set(re.findall(r"^\| `(!\w+)", guide, re.M)) == set(recipe.TAGS)


@pytest.mark.parametrize("check", sorted(checks.shipped()))
def test_every_shipped_repair_can_be_read_and_a_risk_belongs_to_steps(check: str) -> None:
    fix = checks.shipped()[check].fix
    assert not (fix.risk and not fix.steps)
    assert not (fix.by_hand and fix.steps)
    for sentence in (fix.risk, fix.by_hand):
        assert not sentence or (sentence[0].isupper() and sentence.endswith("."))
