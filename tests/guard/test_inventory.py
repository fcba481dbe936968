"""The inventory answers what checks of more than one object ask."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.guard.inventory import NAME_LABEL, Inventory


def obj(kind: str, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    version, _, short = kind.rpartition("/")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"apiVersion": version or "v1", "kind": short, "metadata": metadata, **more}


def template(**labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def inventory(*objects: dict[str, Any]) -> Inventory:
    return Inventory((item, None) for item in objects)


SHOP = inventory(
    obj(
        "apps/v1/Deployment", "web", "shop", metadata={"labels": {"app": "web"}}, spec={"template": template(app="web")}
    ),
    obj("batch/v1/CronJob", "night", "shop", spec={"jobTemplate": {"spec": {"template": template(app="night")}}}),
    obj("keda.sh/v1alpha1/ScaledJob", "queue", "bank", spec={"jobTargetRef": {"template": template(app="queue")}}),
    obj("Pod", "alone", "bank", metadata={"labels": {"app": "alone"}}, spec={"containers": []}),
    obj("Service", "web", "shop", spec={"selector": {"app": "web"}}),
    obj("serving.knative.dev/v1/Service", "fn", "shop", spec={"template": template(app="fn")}),
    obj("Namespace", "bank", metadata={"labels": {"zone": "card"}}),
    obj("storage.k8s.io/v1/StorageClass", "fast"),
    obj("Secret", "empty", "shop", spec={"template": {"spec": {}}}),
)


def names(found: list[Any]) -> list[str]:
    return [item.name for item in found]


def test_objects_are_found_by_kind_namespace_and_labels() -> None:
    assert names(SHOP.select("Deployment")) == ["web"]
    assert names(SHOP.select("Deployment", "bank")) == []
    assert names(SHOP.select("Deployment", "shop", {"matchLabels": {"app": "web"}})) == ["web"]
    expression = {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}
    assert names(SHOP.select("Deployment", None, expression)) == []
    item = SHOP.get("Secret", "shop", "empty")
    assert item is not None
    assert item.object["metadata"]["name"] == "empty"
    assert SHOP.get("Secret", "shop", "absent") is None
    assert len(SHOP) == 9


def test_a_kind_without_a_group_is_kubernetes_own_where_there_is_one() -> None:
    assert names(SHOP.select("Service")) == ["web"]
    assert names(SHOP.select("Service", group="serving.knative.dev")) == ["fn"]
    assert names(SHOP.select("ScaledJob")) == ["queue"]


def test_cluster_wide_objects_have_no_namespace_whatever_they_say() -> None:
    odd = inventory(obj("storage.k8s.io/v1/StorageClass", "fast", "shop"))
    found = odd.get("StorageClass", "", "fast")
    assert found is not None
    assert not odd.namespaces


def test_namespaces_are_there_though_only_implied() -> None:
    assert {name: item.implied for name, item in SHOP.namespaces.items()} == {"bank": False, "shop": True}
    assert SHOP.namespaces["bank"].labels == {"zone": "card", NAME_LABEL: "bank"}
    assert names(SHOP.select("Namespace", None, {"matchLabels": {NAME_LABEL: "shop"}})) == ["shop"]
    assert SHOP.get("Namespace", "", "shop") is SHOP.namespaces["shop"]


def test_workloads_show_the_pods_that_they_would_run() -> None:
    found = {pod.labels["app"]: (pod.path, pod.namespace) for pod in SHOP.pods}
    assert found == {
        "web": ("spec.template", "shop"),
        "night": ("spec.jobTemplate.spec.template", "shop"),
        "queue": ("spec.jobTargetRef.template", "bank"),
        "alone": ("", "bank"),
        "fn": ("spec.template", "shop"),
    }
    (pod,) = SHOP.select_pods("shop", {"matchLabels": {"app": "web"}})
    assert pod.spec["containers"][0]["name"] == "c"
    assert pod.object["metadata"] == {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "annotations": {}}
    assert len(SHOP.select_pods("shop", {})) == 3


def owned(kind: str, name: str, uid: str, owner: str) -> dict[str, Any]:
    references = [{"controller": True, "uid": owner, "kind": "X", "name": "x", "apiVersion": "v1"}]
    metadata = {"uid": uid, "ownerReferences": references}
    return obj(kind, name, "shop", metadata=metadata, spec={"containers": [], "template": template(app="web")})


def test_a_live_pod_belongs_to_its_deployment_and_is_not_counted_twice() -> None:
    deployment = obj("apps/v1/Deployment", "web", "shop", metadata={"uid": "1"}, spec={"template": template(app="web")})
    live = inventory(owned("Pod", "web-x", "3", "2"), owned("apps/v1/ReplicaSet", "web-1", "2", "1"), deployment)
    pod = live.get("Pod", "shop", "web-x")
    assert pod is not None
    assert live.root(pod).kind == "Deployment"
    assert [found.owner.kind for found in live.pods] == ["Deployment"]
    orphan = inventory(owned("Pod", "web-x", "3", "2"))
    assert [found.owner.name for found in orphan.pods] == ["web-x"]


def test_owners_in_a_circle_end() -> None:
    circle = inventory(owned("Pod", "a", "1", "2"), owned("Pod", "b", "2", "1"))
    first = circle.get("Pod", "shop", "a")
    assert first is not None
    assert circle.root(first).kind == "Pod"


def test_what_is_added_later_is_found_too() -> None:
    grown = inventory(obj("Pod", "a", "x", spec={}))
    assert len(grown.pods) == 1
    grown.add(obj("Pod", "b", "y", spec={}))
    assert (len(grown.pods), set(grown.namespaces)) == (2, {"x", "y"})


@pytest.mark.parametrize(
    "spec", [None, 1, [], {"template": 1}, {"template": {"spec": []}}, {"jobTemplate": {"spec": 1}}]
)
def test_what_is_no_workload_runs_no_pods(spec: object) -> None:
    assert inventory(obj("apps/v1/Deployment", "a", "x", spec=spec)).pods == ()


def test_what_an_operators_resource_controls_answers_for_itself() -> None:
    def controlled(kind: str, name: str, by: str, **more: Any) -> dict[str, Any]:
        owner = {"apiVersion": "v1", "kind": "Any", "name": "any", "uid": by, "controller": True}
        return obj(kind, name, "bank", metadata={"uid": name, "ownerReferences": [owner]}, **more)

    here = inventory(
        obj("postgresql.cnpg.io/v1/Cluster", "ledger", "bank", metadata={"uid": "cr"}, spec={"instances": 3}),
        controlled("apps/v1/StatefulSet", "set", "cr", spec={"template": template(app="ledger")}),
        controlled("Pod", "set-0", "set", spec={"containers": []}),
        controlled("ConfigMap", "settings", "cr"),
    )
    items = {item.name: item for item in here}
    assert here.owner(items["set"]) is None
    assert here.owner(items["settings"]) is None
    assert here.root(items["set-0"]) is items["set"]
    assert [pod.owner.name for pod in here.pods] == ["set"]
