"""Which requests a policy is about, rule by rule and selector by selector."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest
from dabbawala.policy.index import Index
from dabbawala.policy.matching import Equivalent, Matcher, Request
from tests.policy.given import NAMESPACE, deployment, request, rule


def matcher(*rules: Object, **resources: Any) -> Matcher:
    return Matcher({"resourceRules": list(rules) or [rule()], **resources})


CRONTABS = Equivalent("stable.example.com", "v2", "crontabs", "CronTab")


@pytest.mark.parametrize(
    ("change", "about", "expected"),
    [
        ({}, {}, True),
        ({"operations": ["CREATE"]}, {"operation": "UPDATE"}, False),
        ({"operations": ["*"]}, {"operation": "DELETE"}, True),
        ({"operations": ["*"]}, {"operation": "CONNECT"}, True),
        ({"operations": ["UPDATE", "DELETE"]}, {"operation": "DELETE"}, True),
        ({"apiGroups": [""]}, {}, False),
        ({"apiGroups": ["*"]}, {}, True),
        ({"apiGroups": ["", "apps"]}, {}, True),
        ({"apiGroups": [""]}, {"group": ""}, True),
        ({"apiVersions": ["v1beta1"]}, {}, False),
        ({"apiVersions": ["*"]}, {"version": "v7"}, True),
        ({"resources": ["pods"]}, {}, False),
        ({"resources": ["*"]}, {}, True),
        ({"resources": ["*"]}, {"subresource": "status"}, False),
        ({"resources": ["*/*"]}, {}, True),
        ({"resources": ["*/*"]}, {"subresource": "status"}, True),
        ({"resources": ["deployments"]}, {"subresource": "scale"}, False),
        ({"resources": ["deployments/scale"]}, {"subresource": "scale"}, True),
        ({"resources": ["deployments/scale"]}, {}, False),
        ({"resources": ["deployments/*"]}, {"subresource": "scale"}, True),
        ({"resources": ["deployments/*"]}, {}, True),
        ({"resources": ["*/scale"]}, {"subresource": "scale"}, True),
        ({"resources": ["*/scale"]}, {"subresource": "status"}, False),
        ({"resources": ["*/scale"]}, {}, False),
        ({"resources": ["pods/exec"], "apiGroups": [""], "operations": ["CONNECT"]},
         {"operation": "CONNECT", "group": "", "resource": "pods", "subresource": "exec"}, True),
        ({"scope": "Namespaced"}, {}, True),
        ({"scope": "Cluster"}, {}, False),
        ({"scope": "Cluster"}, {"namespace": ""}, True),
        ({"scope": "Namespaced"}, {"namespace": ""}, False),
        ({"scope": "*"}, {"namespace": ""}, True),
        ({"scope": "Cluster", "apiGroups": [""], "resources": ["namespaces"]},
         {"group": "", "resource": "namespaces", "namespace": "shop"}, True),
        ({"scope": "Namespaced", "apiGroups": [""], "resources": ["namespaces"]},
         {"group": "", "resource": "namespaces", "namespace": "shop"}, False),
        ({"resourceNames": ["web"]}, {}, True),
        ({"resourceNames": ["api"]}, {}, False),
        ({"resourceNames": ["api", "web"]}, {}, True),
        ({"resourceNames": []}, {"name": ""}, True),
        ({"resourceNames": ["web"]}, {"name": ""}, False),
    ],
)  # fmt: skip
def test_a_rule_covers(change: dict[str, Any], about: dict[str, Any], expected: bool) -> None:
    asked = request(**about)
    assert (matcher(rule(**change)).match(asked) is asked) is expected


def test_one_of_several_rules_is_enough() -> None:
    rules = rule(resources=["pods"], apiGroups=[""]), rule(resourceNames=["api"]), rule(resourceNames=["web"])
    assert matcher(*rules).match(request()) is not None
    assert matcher(*rules[:2]).match(request()) is None


@pytest.mark.parametrize(
    ("exclude", "about", "expected"),
    [
        (rule(), {}, False),
        (rule(operations=["DELETE"]), {}, True),
        (rule(resourceNames=["web"]), {}, False),
        (rule(resourceNames=["api"]), {}, True),
        (rule(scope="Cluster"), {}, True),
        (rule(resources=["deployments/scale"]), {}, True),
    ],
)
def test_an_exclusion_wins_over_the_rules(exclude: Object, about: dict[str, Any], expected: bool) -> None:
    found = matcher(rule(apiGroups=["*"]), excludeResourceRules=[exclude]).match(request(**about))
    assert (found is not None) is expected


@pytest.mark.parametrize(
    ("selector", "namespace", "expected"),
    [
        ({}, NAMESPACE, True),
        ({"matchLabels": {"tier": "prod"}}, NAMESPACE, True),
        ({"matchLabels": {"tier": "dev"}}, NAMESPACE, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, NAMESPACE, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["prod"]}]}, NAMESPACE, False),
        ({"matchExpressions": [{"key": "exempt", "operator": "DoesNotExist"}]}, NAMESPACE, True),
        ({"matchLabels": {"tier": "prod"}}, None, False),
        ({"matchLabels": {"kubernetes.io/metadata.name": "shop"}}, None, True),
    ],
)
def test_namespaces_are_selected_by_their_labels(selector: Object, namespace: Object | None, expected: bool) -> None:
    found = matcher(namespaceSelector=selector).match(request(), namespace)
    assert (found is not None) is expected


def namespace_request(operation: str, labels: dict[str, str], **change: Any) -> Request:
    made = {"metadata": {"name": "shop", "labels": labels}}
    about = {"group": "", "version": "v1", "resource": "namespaces", "kind": "Namespace", "namespace": "shop"}
    return request(operation, **{**about, "object": None if operation == "DELETE" else made, **change})


@pytest.mark.parametrize(
    ("operation", "labels", "change", "expected"),
    [
        ("CREATE", {"tier": "prod"}, {"namespace": ""}, True),
        ("CREATE", {"tier": "dev"}, {"namespace": ""}, False),
        ("UPDATE", {"tier": "prod"}, {}, True),
        ("UPDATE", {"tier": "dev"}, {}, False),
        ("DELETE", {}, {}, True),
        ("UPDATE", {"tier": "dev"}, {"subresource": "finalize"}, True),
    ],
)
def test_a_namespace_is_selected_by_its_new_labels_or_by_those_it_has(
    operation: str, labels: dict[str, str], change: dict[str, Any], expected: bool
) -> None:
    about = rule(operations=["*"], apiGroups=[""], resources=["namespaces", "namespaces/finalize"])
    chosen = matcher(about, namespaceSelector={"matchLabels": {"tier": "prod"}})
    assert (chosen.match(namespace_request(operation, labels, **change), NAMESPACE) is not None) is expected


def test_what_is_cluster_scoped_is_exempt_from_the_selection_of_namespaces() -> None:
    nodes = rule(apiGroups=[""], resources=["nodes"])
    about = request(group="", resource="nodes", kind="Node", namespace="")
    assert matcher(nodes, namespaceSelector={"matchLabels": {"tier": "none"}}).match(about) is not None


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (deployment(), None, True),
        (deployment(labels={}), None, False),
        (deployment(labels={}), deployment(), True),
        (deployment(), deployment(labels={}), True),
        (None, deployment(), True),
        (None, deployment(labels={"app": "api"}), False),
        (None, None, False),
    ],
)
def test_objects_are_selected_by_new_or_old_labels(new: Object | None, old: Object | None, expected: bool) -> None:
    found = matcher(objectSelector={"matchLabels": {"app": "web"}}).match(request(object=new, old=old))
    assert (found is not None) is expected


def crontab(**change: Any) -> Request:
    about = {"group": "stable.example.com", "version": "v1", "resource": "crontabs", "kind": "CronTab"}
    return request(**{**about, "equivalents": (CRONTABS,), **change})


def test_an_equivalent_resource_is_matched_as_what_the_rule_names() -> None:
    seen = matcher(rule(apiGroups=["stable.example.com"], apiVersions=["v2"], resources=["crontabs"])).match(crontab())
    assert seen is not None
    assert (seen.version, seen.original and seen.original.version) == ("v2", "v1")


def test_an_exact_rule_comes_before_an_equivalent_one() -> None:
    both = [rule(apiGroups=["stable.example.com"], apiVersions=[v], resources=["crontabs"]) for v in ("v2", "v1")]
    asked = crontab()
    assert matcher(*both).match(asked) is asked


def test_exact_policies_take_no_equivalents_for_what_they_name() -> None:
    named = rule(apiGroups=["stable.example.com"], apiVersions=["v2"], resources=["crontabs"])
    assert matcher(named, matchPolicy="Exact").match(crontab()) is None
    assert matcher(rule(apiGroups=["*"], resources=["*"]), excludeResourceRules=[named]).match(crontab()) is None


def test_an_equivalent_object_is_converted_once() -> None:
    made: list[Object] = []

    def convert(obj: Object) -> Object:
        made.append(obj)
        return {**obj, "apiVersion": "stable.example.com/v2"}

    other = Equivalent("stable.example.com", "v2", "crontabs", "CronTab", convert)
    asked = crontab(equivalents=(other,))
    chosen = matcher(rule(apiGroups=["stable.example.com"], apiVersions=["v2"], resources=["crontabs"]))
    first, second = chosen.match(asked), chosen.match(asked)
    assert first is second
    assert first is not None
    assert first.object is not None
    assert (first.object["apiVersion"], len(made)) == ("stable.example.com/v2", 1)


def test_a_binding_without_rules_takes_every_resource_and_still_selects() -> None:
    everything = Matcher({"objectSelector": {"matchLabels": {"app": "web"}}})
    assert everything.match(request(group="x", resource="ys")) is not None
    assert everything.match(request(object=deployment(labels={}))) is None
    assert Matcher(None).match(request()) is not None


def test_a_selector_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="'Is' is not a valid label selector operator"):
        matcher(objectSelector={"matchExpressions": [{"key": "a", "operator": "Is"}]})


def test_an_index_looks_only_at_what_may_concern_a_kind_of_request() -> None:
    pods = rule(apiGroups=[""], resources=["pods"])
    items = {"apps": matcher(), "pods": matcher(pods), "named": matcher(rule(resourceNames=["other"]))}
    index = Index(items, lambda name: items[name])
    assert index.about(request()) == ("apps", "named")
    assert index.about(request(group="", resource="pods")) == ("pods",)
    assert index.about(request(resource="statefulsets")) == ()
    assert index.about(request("DELETE")) == ()
