"""From templates to a run: which templates are meant, each once."""

from __future__ import annotations

import pytest

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout.analysis import templates


def template(name: str, *named: Object) -> Object:
    metric = {"name": name, "provider": {"web": {"url": "http://x"}}}
    return {"metadata": {"name": name}, "spec": {"metrics": [metric], "templates": list(named)}}


def ref(name: str, *, cluster: bool = False) -> Object:
    return {"templateName": name} | ({"clusterScope": True} if cluster else {})


def names(references: list[Object], *known: Object, cluster: tuple[Object, ...] = ()) -> list[str]:
    world = {(templates.TEMPLATE, meta.name(item)): item for item in known}
    world |= {(templates.CLUSTER_TEMPLATE, meta.name(item)): item for item in cluster}
    return [meta.name(item) for item in templates.flatten(references, world)]


def test_a_template_reached_twice_is_meant_once() -> None:
    both = [template("a", ref("shared")), template("b", ref("shared")), template("shared")]
    assert names([ref("a"), ref("b"), ref("a")], *both) == ["a", "shared", "b"]
    made = templates.build(
        templates.flatten([ref("a"), ref("b")], {("AnalysisTemplate", meta.name(t)): t for t in both}), [], {}
    )
    assert [metric["name"] for metric in made["metrics"]] == ["a", "shared", "b"]


def test_templates_may_name_one_another_in_a_circle() -> None:
    assert names([ref("a")], template("a", ref("b")), template("b", ref("a"), ref("b"))) == ["a", "b"]


def test_a_cluster_template_of_the_same_name_is_another() -> None:
    assert names([ref("a"), ref("a", cluster=True)], template("a"), cluster=(template("a"),)) == ["a", "a"]


def test_a_template_that_is_not_there_is_named() -> None:
    with pytest.raises(templates.Unusable, match="ClusterAnalysisTemplate 'b' not found"):
        names([ref("a")], template("a", ref("b", cluster=True)))


def test_an_argument_given_without_a_value_leaves_the_one_declared() -> None:
    declared = [{"name": "a", "value": "1"}, {"name": "b"}]
    assert templates.merge(declared, [{"name": "a"}, {"name": "b", "value": "2"}]) == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": "2"},
    ]


def test_an_argument_with_a_value_and_a_source_is_refused() -> None:
    both = {"name": "a", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    with pytest.raises(templates.Unusable, match="arg 'a' has both Value and ValueFrom fields"):
        templates.merge([both], [])
