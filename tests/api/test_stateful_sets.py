"""StatefulSets, revisions, ReplicationControllers and PodTemplates: defaults, refusals, tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dabbawala.api import apps_v1, core_v1
from tests.api.kind_calls import prepared, row, wrong

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
IMMUTABLE = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
    "forbidden"
)


def template(**pods: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "d:1"}], **pods}}


def stateful_set(**spec: Any) -> dict[str, Any]:
    usual = {"serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template()}
    return {"metadata": {"name": "db", "namespace": "shop"}, "spec": {**usual, **spec}}


def controller(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"template": template(), **spec}}


def test_a_stateful_set_is_ordered_and_keeps_its_claims() -> None:
    spec = prepared(apps_v1.STATEFUL_SET, stateful_set(volumeClaimTemplates=[CLAIM]))["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (1, 10)
    assert spec["volumeClaimTemplates"] == [
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", **CLAIM,
            "spec": {**CLAIM["spec"], "volumeMode": "Filesystem"}, "status": {"phase": "Pending"},
        }
    ]  # fmt: skip
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_a_strategy_that_is_named_gets_no_partition() -> None:
    named = prepared(apps_v1.STATEFUL_SET, stateful_set(updateStrategy={"type": "RollingUpdate"}))
    assert named["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    by_hand = prepared(apps_v1.STATEFUL_SET, stateful_set(updateStrategy={"type": "OnDelete"}))
    assert by_hand["spec"]["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"podManagementPolicy": "Random"},
         "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'"),
        ({"updateStrategy": {"type": "Recreate"}},
         "spec.updateStrategy: Invalid value: {\"type\":\"Recreate\"}: must be 'RollingUpdate' or 'OnDelete'"),
        ({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}},
         "spec.updateStrategy.rollingUpdate: Invalid value: {}: only allowed for updateStrategy 'RollingUpdate'"),
        ({"updateStrategy": {"rollingUpdate": {"partition": -1}}},
         "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
         "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"),
        ({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
         'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: '
         '"Retain", "Delete"'),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"),
        ({"selector": {"matchLabels": {"app": "x"}}},
         'spec.template.metadata.labels: Invalid value: {"app":"db"}: `selector` does not match template `labels`'),
        ({"template": template(activeDeadlineSeconds=5)},
         "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"),
        ({"ordinals": {"start": -1}},
         "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"),
        ({"volumeClaimTemplates": [{**CLAIM, "spec": {**CLAIM["spec"], "accessModes": []}}]},
         "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required"),
    ],
)  # fmt: skip
def test_refuses_a_bad_stateful_set(spec: dict[str, Any], expected: str) -> None:
    assert wrong(apps_v1.STATEFUL_SET, stateful_set(**spec)) == [expected]


def test_containers_mount_what_is_claimed_for_their_pod() -> None:
    mounted = template()
    mounted["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    assert wrong(apps_v1.STATEFUL_SET, stateful_set(template=mounted, volumeClaimTemplates=[CLAIM])) == []
    [message] = wrong(apps_v1.STATEFUL_SET, stateful_set(template=mounted))
    assert message == 'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5}, {"ordinals": {"start": 1}}, {"template": template(hostname="x")}, {"minReadySeconds": 5},
        {"updateStrategy": {"type": "OnDelete"}}, {"revisionHistoryLimit": 2},
        {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}},
    ],
)  # fmt: skip
def test_what_may_change_in_a_stateful_set_changes(change: dict[str, Any]) -> None:
    old = prepared(apps_v1.STATEFUL_SET, stateful_set())
    assert wrong(apps_v1.STATEFUL_SET, stateful_set(**change), old) == []


@pytest.mark.parametrize(
    "change", [{"serviceName": "other"}, {"podManagementPolicy": "Parallel"}, {"volumeClaimTemplates": [CLAIM]}]
)
def test_the_rest_of_a_stateful_set_stays_as_it_is(change: dict[str, Any]) -> None:
    old = prepared(apps_v1.STATEFUL_SET, stateful_set())
    assert wrong(apps_v1.STATEFUL_SET, stateful_set(**change), old) == [IMMUTABLE]


def test_a_stateful_set_shows_how_many_of_its_pods_are_ready() -> None:
    obj = {**stateful_set(replicas=3), "status": {"readyReplicas": 2}}
    assert row(apps_v1.STATEFUL_SET, obj, wide=True) == ["db", "2/3", "<unknown>", "db", "d:1"]


def test_the_data_of_a_revision_stays_as_it_is() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": True}
    old = {"metadata": {"name": "db-1", "ownerReferences": [owner]}, "data": {"spec": 1}, "revision": 1}
    new = {**copy.deepcopy(old), "data": {"spec": 2}}
    assert wrong(apps_v1.CONTROLLER_REVISION, new, old) == ['data: Invalid value: {"spec":2}: field is immutable']
    assert wrong(apps_v1.CONTROLLER_REVISION, {**old, "data": None}) == ["data: Required value: data is mandatory"]
    assert row(apps_v1.CONTROLLER_REVISION, old)[:3] == ["db-1", "statefulset.apps/db", 1]


def test_a_replication_controller_takes_selector_and_labels_from_its_template() -> None:
    made = prepared(core_v1.REPLICATION_CONTROLLER, controller())
    assert made["spec"]["selector"] == made["metadata"]["labels"] == {"app": "db"}
    assert made["spec"]["replicas"] == 1
    own = prepared(core_v1.REPLICATION_CONTROLLER, controller(selector={"app": "x"}))
    assert own["spec"]["selector"] == {"app": "x"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"selector": {"app": "x"}},
         'spec.template.metadata.labels: Invalid value: {"app":"db"}: `selector` does not match template `labels`'),
        ({"template": None, "selector": {"app": "x"}}, "spec.template: Required value"),
        ({"template": template(restartPolicy="Never")},
         'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_refuses_a_bad_replication_controller(spec: dict[str, Any], expected: str) -> None:
    assert wrong(core_v1.REPLICATION_CONTROLLER, controller(**spec)) == [expected]


def test_a_replication_controller_is_printed_as_kubectl_users_know_it() -> None:
    obj = {**prepared(core_v1.REPLICATION_CONTROLLER, controller(replicas=3)), "status": {"replicas": 2}}
    assert row(core_v1.REPLICATION_CONTROLLER, obj, wide=True) == ["db", 3, 2, 0, "<unknown>", "db", "d:1", "app=db"]


def test_a_pod_template_is_a_template_of_its_own() -> None:
    obj = prepared(core_v1.POD_TEMPLATE, {"metadata": {"name": "t"}, "template": template()})
    assert obj["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert row(core_v1.POD_TEMPLATE, obj) == ["t", "db", "d:1", "app=db"]
    assert wrong(core_v1.POD_TEMPLATE, {"metadata": {"name": "t"}}) == ["template.spec.containers: Required value"]
