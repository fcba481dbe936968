"""Plans of budgets, endpoints, claims and namespaces, one idea a test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.api import core_v1, rbac_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.clusterrole import plan as cluster_roles
from dabbawala.cluster.controllers.disruption import plan as disruption
from dabbawala.cluster.controllers.endpointslice import plan as slices
from dabbawala.cluster.controllers.namespace import plan as namespaces
from dabbawala.cluster.controllers.volumes import plan as volumes
from dabbawala.reconcile.plan import Create, Delete, Patch, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(
    name: str, *, ready: bool = True, ip: str = "10.0.0.1", ports: list[Object] | None = None, **metadata: Any
) -> Object:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": ports or []}]},
        "status": {
            "phase": "Running", "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "ready", "total", "allowed"),
    [
        ({"minAvailable": 2}, 3, 3, 1),
        ({"minAvailable": 2}, 2, 3, 0),
        ({"minAvailable": "50%"}, 5, 5, 2),
        ({"maxUnavailable": 1}, 3, 3, 1),
        ({"maxUnavailable": 1}, 2, 3, 0),
        ({"maxUnavailable": "30%"}, 10, 10, 3),
        ({"minAvailable": 0}, 0, 0, 0),
    ],
)
def test_a_budget_allows_what_its_rule_leaves(rule: Object, ready: int, total: int, allowed: int) -> None:
    budget = {"metadata": {"name": "b", "namespace": "shop"}, "spec": rule}
    pods = [pod(f"p{number}", ready=number < ready) for number in range(total)]
    (patch,) = disruption.plan(budget, pods, total, NOW).actions
    assert isinstance(patch, Patch)
    assert patch.body["status"]["disruptionsAllowed"] == allowed


def service(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    body = {"selector": {"app": "a"}, "ports": ports, "clusterIP": "10.96.0.7", **spec}
    metadata = {"name": "svc", "namespace": "shop", "uid": "s", "generation": 4}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def endpoints(of: Object, *pods: Object) -> list[Object]:
    found = slices.plan(of, slices.Observed(pods, (), {})).actions
    return [action.object for action in found if isinstance(action, Create)]


WEB = [{"name": "web", "containerPort": 8080}]


def test_a_terminating_pod_still_serves_but_is_not_ready() -> None:
    leaving = pod("a", ports=WEB, deletionTimestamp="2026-01-01T00:00:00Z")
    (made,) = endpoints(service(), leaving)
    assert made["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    (always,) = endpoints(service(publishNotReadyAddresses=True), leaving)
    assert always["endpoints"][0]["conditions"]["ready"]


def test_pods_whose_named_port_differs_get_slices_of_their_own() -> None:
    other = [{"name": "web", "containerPort": 9090}]
    made = endpoints(service(), pod("a", ports=WEB), pod("b", ports=other))
    assert sorted(item["ports"][0]["port"] for item in made) == [8080, 9090]


def test_a_service_without_pods_has_one_empty_slice_that_tells_its_generation() -> None:
    (made,) = endpoints(service())
    assert made["endpoints"] == []
    assert meta.annotations(made)[slices.GENERATION] == "4"


def test_headless_slices_say_so_and_a_service_without_selector_is_left_to_its_user() -> None:
    (made,) = endpoints(service(clusterIP="None"))
    assert slices.HEADLESS in meta.labels(made)
    assert endpoints(service(selector=None)) == []


def test_a_slice_holds_a_hundred_and_one_new_pod_changes_one_slice() -> None:
    pods = [pod(f"p{number:03}", ip=f"10.0.{number // 250}.{number % 250 + 1}", ports=WEB) for number in range(250)]
    made = endpoints(service(), *pods)
    assert [len(item["endpoints"]) for item in made] == [100, 100, 50]
    present = [
        {**item, "metadata": {**item["metadata"], "name": f"svc-{number}", "resourceVersion": "1"}}
        for number, item in enumerate(made)
    ]
    assert slices.plan(service(), slices.Observed(pods, present, {})).actions == (), "at rest nothing is written"
    newcomer = pod("new", ip="10.9.9.9", ports=WEB)
    (patch,) = slices.plan(service(), slices.Observed([*pods, newcomer], present, {})).actions
    assert isinstance(patch, Patch)
    assert patch.key.name == "svc-2"


def claim(**spec: Any) -> Object:
    resources = {"requests": {"storage": "1Gi"}}
    body = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "local", **spec}
    return {"metadata": {"name": "data", "namespace": "shop", "uid": "c1"}, "spec": body}


def volume(name: str, size: str, **spec: Any) -> Object:
    body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local", **spec}
    return {"metadata": {"name": name, "uid": name, "resourceVersion": "1"}, "spec": body}


LOCAL = {"metadata": {"name": "local"}, "provisioner": volumes.PROVISIONER, "volumeBindingMode": "Immediate"}


def plan_claim(item: Object, *found: Object, storage_class: Object | None = LOCAL) -> Any:
    return volumes.plan_claim(item, volumes.Surroundings(storage_class, found, ()), lambda name: f"/v/{name}").actions


def test_a_claim_takes_the_smallest_volume_that_fits() -> None:
    actions = plan_claim(claim(), volume("big", "9Gi"), volume("fit", "2Gi"), volume("small", "1Mi"))
    assert actions[0].key.name == "fit"
    assert actions[1].body["spec"]["volumeName"] == "fit"


def test_a_claim_gets_a_volume_made_and_finds_it_again_after_a_crash() -> None:
    made = plan_claim(claim())[0].object
    assert made["spec"]["hostPath"]["path"] == "/v/pvc-c1"
    actions = plan_claim(claim(), made)
    assert actions[0].body["spec"] == {"volumeName": "pvc-c1"}


def test_a_claim_of_a_class_nobody_knows_says_so() -> None:
    text = plan_claim(claim(storageClassName="gold"), storage_class=None)[-1].message
    assert text == 'storageclass.storage.k8s.io "gold" not found'


def test_a_released_volume_is_deleted_only_when_its_data_is_and_only_if_it_is_ours() -> None:
    body = {"claimRef": {"name": "data", "namespace": "shop", "uid": "c1"}, "persistentVolumeReclaimPolicy": "Delete"}
    ours = volume("v", "1Gi", **body)
    ours["metadata"]["annotations"] = {volumes.PROVISIONED_BY: volumes.PROVISIONER}
    released = {**ours, "status": {"phase": "Released"}}
    assert [type(action) for action in volumes.plan_volume(ours, None, data_removed=False).actions] == [Patch]
    assert volumes.plan_volume(released, None, data_removed=False).actions == ()
    assert [type(action) for action in volumes.plan_volume(released, None, data_removed=True).actions] == [Delete]
    foreign = {**volume("v", "1Gi", **body), "status": {"phase": "Released"}}
    assert volumes.plan_volume(foreign, None, data_removed=True).actions == ()


def test_a_volume_that_only_says_it_is_ours_has_nothing_of_the_host_erased() -> None:
    body = {"claimRef": {"name": "data", "namespace": "shop", "uid": "c1"}, "persistentVolumeReclaimPolicy": "Delete"}
    for path, erased in (("/volumes/v", True), ("/home/asha", False)):
        made = volume("v", "1Gi", **body, hostPath={"path": path})
        made["metadata"]["annotations"] = {volumes.PROVISIONED_BY: volumes.PROVISIONER}
        released = {**made, "status": {"phase": "Released"}}
        assert volumes.is_to_be_erased(released, None, "/volumes/{}".format) is erased


def test_a_namespace_loses_its_pods_before_anything_else_and_itself_last() -> None:
    leaving = {"metadata": {"name": "shop", "deletionTimestamp": "x"}, "spec": {"finalizers": ["kubernetes"]}}
    content = {core_v1.POD: [pod("a")], core_v1.CONFIG_MAP: [pod("settings", finalizers=["x/y"])]}
    report, *deletions = namespaces.plan(leaving, content, NOW).actions
    assert isinstance(report, Patch)
    messages = {item["type"]: item["message"] for item in report.body["status"]["conditions"]}
    assert "pods has 1 resource instances" in messages["NamespaceContentRemaining"]
    assert "x/y in 1 resource instances" in messages["NamespaceFinalizersRemaining"]
    assert [action.kind for action in deletions if isinstance(action, Delete)] == [core_v1.POD]
    (last,) = namespaces.plan(leaving, {core_v1.POD: []}, NOW).actions
    assert isinstance(last, Update)
    assert last.object["spec"]["finalizers"] == []


def role(name: str, *resources: str, **more: Any) -> Object:
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]} for resource in resources]
    return {"metadata": {"name": name, "labels": {"to": "view"}}, "rules": rules, **more}


def test_an_aggregated_role_shows_the_rules_of_the_roles_it_selects_and_then_rests() -> None:
    selecting = {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}
    stranger = {**role("c", "secrets"), "metadata": {"name": "c", "labels": {"to": "edit"}}}
    parts = [role("b", "nodes", "pods"), role("a", "pods"), stranger]
    view = role("view", "events", aggregationRule=selecting)
    gathered = [*role("", "pods")["rules"], *role("", "nodes")["rules"]]
    patch = Patch(rbac_v1.CLUSTER_ROLE, meta.key(view), {"rules": gathered})
    assert cluster_roles.plan(view, [view, *parts]).actions == (patch,)
    assert cluster_roles.plan({**view, "rules": gathered}, [view, *parts]).actions == ()
    assert cluster_roles.plan(role("plain"), parts).actions == ()
