"""Workloads and their neighbours: defaults, refusals, tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dabbawala.api import apps_v1, batch_v1, cells, core_v1, policy_v1, rbac_v1, scheduling_v1, storage_v1
from tests.api.kind_calls import prepared, row, wrong


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "w:1"}]}}
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def test_a_deployment_gets_its_strategy_and_limits() -> None:
    spec = prepared(apps_v1.DEPLOYMENT, deployment())["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in spec["template"]["spec"]


def test_a_client_cannot_write_a_deployments_status() -> None:
    forged = {**deployment(), "status": {"readyReplicas": 9}}
    assert prepared(apps_v1.DEPLOYMENT, forged)["status"] == {}
    old = {**deployment(), "status": {"readyReplicas": 1}}
    assert prepared(apps_v1.DEPLOYMENT, forged, old)["status"] == {"readyReplicas": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"selector": None}, "spec.selector: Required value"),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        ({"selector": {"matchLabels": {"app": "other"}}},
         'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}},
         "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"),
        ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"),
        ({"strategy": {"rollingUpdate": {"maxUnavailable": "110%"}}},
         'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "110%": must not be greater than 100%'),
        ({"minReadySeconds": 600},
         "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"),
    ],
)  # fmt: skip
def test_refuses_a_bad_deployment(change: dict[str, Any], expected: str) -> None:
    assert expected in wrong(apps_v1.DEPLOYMENT, deployment(**change))


def test_a_selector_stays_as_it_is() -> None:
    old = prepared(apps_v1.DEPLOYMENT, deployment())
    new = deployment(selector={"matchLabels": {"app": "web", "tier": "a"}})
    new["spec"]["template"]["metadata"]["labels"]["tier"] = "a"
    assert wrong(apps_v1.DEPLOYMENT, new, old) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"a"}}: field is immutable'
    ]


def test_a_deployment_is_printed_as_kubectl_users_know_it() -> None:
    obj = deployment(replicas=3)
    obj["metadata"]["creationTimestamp"] = "2026-01-01T10:00:00Z"
    obj["status"] = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}
    assert row(apps_v1.DEPLOYMENT, obj) == ["web", "2/3", 3, 1, "120m"]


def job(**spec: Any) -> dict[str, Any]:
    pods = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}
    template = {"spec": {**pods, **spec.pop("pods", {})}}
    return {"metadata": {"name": "once", "namespace": "default", "uid": "u1"}, "spec": {"template": template, **spec}}


def test_a_job_finds_its_pods_by_its_uid() -> None:
    made = prepared(batch_v1.JOB, job())["spec"]
    assert made["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}}
    assert made["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": "u1", "controller-uid": "u1",
        "batch.kubernetes.io/job-name": "once", "job-name": "once",
    }  # fmt: skip
    assert (made["completions"], made["parallelism"], made["backoffLimit"]) == (1, 1, 6)


def test_a_jobs_pods_end() -> None:
    expected = 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
    assert expected in wrong(batch_v1.JOB, job(pods={"restartPolicy": "Always"}))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("backoffLimitPerIndex", 1, "spec.backoffLimitPerIndex: Forbidden: this cluster does not count by index"),
        ("successPolicy", {"rules": [{"succeededCount": 1}]}, "spec.successPolicy: Forbidden"),
        (
            "podFailurePolicy",
            {"rules": [{"action": "FailIndex"}]},
            'spec.podFailurePolicy.rules[0].action: Unsupported value: "FailIndex"',
        ),
    ],
)
def test_what_the_job_controller_does_not_do_is_refused(field: str, value: Any, expected: str) -> None:
    assert any(text.startswith(expected) for text in wrong(batch_v1.JOB, job(**{field: value})))


def test_a_jobs_template_stays_as_it_is() -> None:
    old = prepared(batch_v1.JOB, job())
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "b:1"
    [message] = wrong(batch_v1.JOB, new, old)
    assert message.startswith("spec.template: Invalid value:")
    assert message.endswith(": field is immutable")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({}, ["Running", "0/1", ""]),
        ({"startTime": "2026-01-01T11:58:00Z"}, ["Running", "0/1", "2m"]),
        ({"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1, "startTime": "2026-01-01T11:00:00Z",
          "completionTime": "2026-01-01T11:00:07Z"}, ["Complete", "1/1", "7s"]),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, ["Failed", "0/1", ""]),
    ],
)  # fmt: skip
def test_a_jobs_row_says_how_far_it_is(state: dict[str, Any], shown: list[str]) -> None:
    assert row(batch_v1.JOB, {**job(completions=1), "status": state})[1:4] == shown


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"ports": [{"port": 80}], **spec}}


def test_a_service_gets_its_type_ports_and_policies() -> None:
    assert prepared(core_v1.SERVICE, service())["spec"] == {
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}, "spec.ports[0].name: Required value"),
        ({"type": "Magic"}, 'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", '
         '"LoadBalancer", "NodePort"'),
        ({"type": "NodePort", "clusterIP": "None"},
         "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
    ],
)  # fmt: skip
def test_refuses_a_bad_service(change: dict[str, Any], expected: str) -> None:
    assert expected in wrong(core_v1.SERVICE, service(**change))


def test_a_services_name_is_a_dns_label_that_starts_with_a_letter() -> None:
    obj = service()
    obj["metadata"]["name"] = "1web"
    assert wrong(core_v1.SERVICE, obj)[0].startswith('metadata.name: Invalid value: "1web": a DNS-1035 label must')


def test_a_services_address_stays() -> None:
    old = service(clusterIP="10.96.0.5", clusterIPs=["10.96.0.5"], type="ClusterIP")
    new = service(clusterIP="10.96.0.6", clusterIPs=["10.96.0.6"])
    expected = 'spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set'
    assert wrong(core_v1.SERVICE, new, old) == [expected]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"clusterIP": "10.96.0.5"}, ["ClusterIP", "10.96.0.5", "<none>", "80/TCP"]),
        ({"clusterIP": "None"}, ["ClusterIP", "None", "<none>", "80/TCP"]),
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.5", "ports": [{"port": 80, "nodePort": 30080}]},
         ["LoadBalancer", "10.96.0.5", "<pending>", "80:30080/TCP"]),
        ({"type": "ExternalName", "externalName": "a.example", "ports": []},
         ["ExternalName", "<none>", "a.example", "<none>"]),
    ],
)  # fmt: skip
def test_a_services_row_says_where_it_is(change: dict[str, Any], shown: list[str]) -> None:
    assert row(core_v1.SERVICE, prepared(core_v1.SERVICE, service(**change)))[1:5] == shown


def test_string_data_of_a_secret_becomes_data() -> None:
    made = prepared(core_v1.SECRET, {"metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"b": "y"}})
    assert made == {"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "eA==", "b": "eQ=="}}


def test_an_immutable_config_map_stays_as_it_is() -> None:
    old = {"metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True}
    new = {"metadata": {"name": "c"}, "data": {"a": "2"}, "immutable": True}
    expected = "data: Forbidden: field is immutable when `immutable` is set"
    assert wrong(core_v1.CONFIG_MAP, new, old) == [expected]


def test_a_new_namespace_is_active_and_guarded() -> None:
    made = prepared(core_v1.NAMESPACE, {"metadata": {"name": "shop"}, "spec": {"finalizers": []}})
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}


def test_a_budget_says_one_of_the_two() -> None:
    obj = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}
    assert "minAvailable and maxUnavailable cannot be both set" in wrong(policy_v1.POD_DISRUPTION_BUDGET, obj)[0]


def test_a_claim_asks_for_storage_and_a_way_of_access() -> None:
    found = wrong(core_v1.PERSISTENT_VOLUME_CLAIM, {"metadata": {"name": "c"}, "spec": {}})
    assert "spec.accessModes: Required value: at least 1 access mode is required" in found
    assert "spec.resources[storage]: Required value" in found


def test_a_role_names_groups_resources_and_verbs() -> None:
    found = wrong(rbac_v1.ROLE, {"metadata": {"name": "r"}, "rules": [{"resources": ["pods"]}]})
    assert "rules[0].verbs: Required value: verbs must contain at least one value" in found
    assert "rules[0].apiGroups: Required value: resource rules must supply at least one api group" in found


def test_a_binding_keeps_its_role() -> None:
    ref = {"apiGroup": rbac_v1.GROUP, "kind": "ClusterRole", "name": "view"}
    old = {"metadata": {"name": "b"}, "roleRef": ref}
    new = {"metadata": {"name": "b"}, "roleRef": {**ref, "name": "admin"}}
    assert wrong(rbac_v1.ROLE_BINDING, new, old)[0].endswith(": cannot change roleRef")


def test_a_priority_that_is_reserved_is_refused() -> None:
    found = wrong(scheduling_v1.PRIORITY_CLASS, {"metadata": {"name": "system-mine"}, "value": 1})
    expected = "priority class names with 'system-' prefix are reserved for system use only"
    assert found == [f"metadata.name: Forbidden: {expected}"]


def test_the_default_storage_class_is_marked() -> None:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    obj = {"metadata": {"name": "local", "annotations": annotations}, "provisioner": "x.io/y"}
    shown = row(storage_v1.STORAGE_CLASS, prepared(storage_v1.STORAGE_CLASS, obj))
    assert shown[:4] == ["local (default)", "x.io/y", "Delete", "Immediate"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"),
        (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600, "8h"), (50 * 3600, "2d2h"), (8 * 86400, "8d"),
        (800 * 86400, "2y70d"), (3650 * 86400, "10y"),
    ],
)  # fmt: skip
def test_ages_lose_digits_as_they_grow(seconds: int, shown: str) -> None:
    assert cells.human_duration(seconds) == shown


def test_a_node_says_what_it_is_for_and_whether_it_takes_pods() -> None:
    obj = {
        "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.37.0"}},
    }
    assert row(core_v1.NODE, obj)[:3] == ["n1", "Ready,SchedulingDisabled", "worker"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"name": "Web"}, "metadata.name"),
        ({"name": "web", "labels": {"a/b/c": "x"}}, "metadata.labels"),
        ({"name": "web", "labels": {"a": "-"}}, "metadata.labels"),
        ({"name": "web", "finalizers": ["mine"]}, "metadata.finalizers[0]"),
        ({"name": "web", "annotations": {"a": "x" * 300_000}}, "metadata.annotations"),
        ({"name": "web", "ownerReferences": [{"kind": "A", "name": "a", "uid": "u"}]},
         "metadata.ownerReferences[0].apiVersion"),
    ],
)  # fmt: skip
def test_metadata_is_checked_for_every_kind(metadata: dict[str, Any], expected: str) -> None:
    errors = core_v1.CONFIG_MAP.validate({"metadata": metadata}, None)
    assert [error.field for error in errors] == [expected]
