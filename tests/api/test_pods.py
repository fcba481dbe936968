"""Pods: what is filled in, what is refused and in which words, what the table says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.api import core_v1, pod_columns

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pod(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "web", "image": "nginx:1.25"}]
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": containers, **spec}}


def prepared(obj: dict[str, Any]) -> dict[str, Any]:
    core_v1.POD.default(obj)
    core_v1.POD.prepare(obj, None)
    return obj


def wrong(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [f"{error.field}: {error.message}" for error in core_v1.POD.validate(obj, old)]


def test_fills_in_what_kubernetes_fills_in() -> None:
    spec = prepared(pod())["spec"]
    assert spec == {
        "containers": [
            {
                "name": "web", "image": "nginx:1.25", "imagePullPolicy": "IfNotPresent", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler", "securityContext": {}, "enableServiceLinks": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:aa", "IfNotPresent"),
    ],
)
def test_pulls_always_only_what_has_no_fixed_tag(image: str, policy: str) -> None:
    made = prepared(pod(containers=[{"name": "a", "image": image}]))
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_sysctl_has_a_well_formed_name_of_its_own() -> None:
    names = ("net.ipv4.tcp_syncookies", "net/ipv4/ip_local_port_range", "kernel.shm_rmid_forced")
    assert not wrong(prepared(pod(securityContext={"sysctls": [{"name": name, "value": "1"} for name in names]})))
    for name in ("net/../kernel/panic", "net..ipv4", "/net/ipv4", "net.ipv4.", "A.b", "a" * 254):
        (found,) = wrong(prepared(pod(securityContext={"sysctls": [{"name": name, "value": "1"}]})))
        assert found.startswith("spec.securityContext.sysctls[0].name: Invalid value: ")
        assert "must have at most 253 characters and match regex ^" in found
    twice = [{"name": "kernel.sem", "value": "1"}, {"name": "kernel.sem", "value": "2"}, {"value": "3"}]
    assert wrong(prepared(pod(securityContext={"sysctls": twice}))) == [
        'spec.securityContext.sysctls[1].name: Duplicate value: "kernel.sem"',
        "spec.securityContext.sysctls[2].name: Required value",
    ]


def test_probes_get_their_defaults_and_requests_follow_limits() -> None:
    container = {
        "name": "a", "image": "a:1", "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1000m"}},
    }  # fmt: skip
    made = prepared(pod(containers=[container]))["spec"]["containers"][0]
    assert made["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    }  # fmt: skip
    assert made["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}


def test_defaulting_twice_changes_nothing() -> None:
    once = prepared(pod(volumes=[{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}]))
    before = repr(once)
    core_v1.POD.default(once)
    assert repr(once) == before
    assert once["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "c", "defaultMode": 0o644}},
    ]


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Mi"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_from_requests_and_limits(resources: dict[str, Any], quality: str) -> None:
    made = prepared(pod(containers=[{"name": "a", "image": "a:1", "resources": resources}]))
    assert made["status"] == {"phase": "Pending", "qosClass": quality}


CONTAINER = "spec.containers[0]"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        ({"containers": [{"name": "a"}]}, f"{CONTAINER}.image: Required value"),
        ({"containers": [{"image": "a:1"}]}, f"{CONTAINER}.name: Required value"),
        ({"containers": [{"name": "a", "image": "a:1"}] * 2}, 'spec.containers[1].name: Duplicate value: "a"'),
        (
            {"restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        ({"volumes": [{"name": "a"}, {"name": "a"}]}, 'spec.volumes[1].name: Duplicate value: "a"'),
        (
            {"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "s"}}]},
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        ({"terminationGracePeriodSeconds": -1}, "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater"
         " than or equal to 0"),
        (
            {"tolerations": [{"operator": "Equal"}]},
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, '
            'which means "match all values and all keys"',
        ),
    ],
)  # fmt: skip
def test_refuses_a_bad_pod_in_kubernetes_words(change: dict[str, Any], expected: str) -> None:
    assert expected in wrong(prepared(pod(**change)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ports": [{"containerPort": 70000}]}, "ports[0].containerPort: Invalid value: 70000: must be between 1 and "
         "65535, inclusive"),
        ({"ports": [{"containerPort": 1, "name": "UPPER"}]}, 'ports[0].name: Invalid value: "UPPER": must contain only '
         "alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        ({"volumeMounts": [{"name": "gone", "mountPath": "/x"}]}, 'volumeMounts[0].name: Not found: "gone"'),
        ({"env": [{"name": "A", "valueFrom": {}}]}, 'env[0].valueFrom: Invalid value: "": must specify one of: '
         "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"),
        ({"env": [{"name": "A=B"}]}, 'env[0].name: Invalid value: "A=B": a valid environment variable name must '
         "consist only of printable ASCII characters other than '='"),
        ({"readinessProbe": {}}, "readinessProbe: Required value: must specify a handler type"),
        ({"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}},
         "livenessProbe.successThreshold: Invalid value: 2: must be 1"),
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
         'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
        ({"resources": {"requests": {"cores": "2"}}},
         'resources.requests: Invalid value: "cores": must be a standard resource type or fully qualified'),
    ],
)  # fmt: skip
def test_refuses_a_bad_container_in_kubernetes_words(change: dict[str, Any], expected: str) -> None:
    made = prepared(pod(containers=[{"name": "a", "image": "a:1", **change}]))
    assert f"{CONTAINER}.{expected}" in wrong(made)


def test_a_running_pod_may_change_its_images_and_nothing_else_of_its_spec() -> None:
    old, new, moved = (prepared(pod()) for _ in range(3))
    new["spec"]["containers"][0]["image"] = "nginx:1.26"
    assert wrong(new, old) == []
    moved["spec"]["nodeName"] = "elsewhere"
    [message] = wrong(moved, old)
    assert message.startswith("spec: Forbidden: pod updates may not change fields other than")
    assert message.endswith("changed: spec.nodeName")


def container(name: str = "web", **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "restartCount": 0, **state}


WAITING = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3,
           "lastState": {"terminated": {"finishedAt": "2026-01-01T11:55:00Z"}}}  # fmt: skip
RUNNING = {"ready": True, "state": {"running": {}}}
DONE = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, ["0/1", "Pending", "0"]),
        ({"phase": "Running", "containerStatuses": [container(**RUNNING)]}, ["1/1", "Running", "0"]),
        ({"phase": "Running", "containerStatuses": [container(**WAITING)]},
         ["0/1", "CrashLoopBackOff", "3 (5m ago)"]),
        ({"phase": "Succeeded", "containerStatuses": [container(**DONE)]}, ["0/1", "Completed", "0"]),
        ({"phase": "Failed", "reason": "Evicted"}, ["0/1", "Evicted", "0"]),
        ({"phase": "Failed", "containerStatuses": [container(state={"terminated": {"exitCode": 3}})]},
         ["0/1", "ExitCode:3", "0"]),
        ({"phase": "Failed", "containerStatuses": [container(state={"terminated": {"signal": 9}})]},
         ["0/1", "Signal:9", "0"]),
        ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
         ["0/1", "SchedulingGated", "0"]),
    ],
)  # fmt: skip
def test_the_table_says_how_a_pod_is(status: dict[str, Any], shown: list[str]) -> None:
    obj = {**pod(), "status": status}
    cells = [column.read(obj, NOW) for column in pod_columns.COLUMNS if column.read]
    assert cells[1:4] == shown


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ([], "Init:0/2"),
        ([container("a", state={"running": {}})], "Init:0/2"),
        ([container("a", **DONE), container("b", state={"waiting": {"reason": "ErrImagePull"}})], "Init:ErrImagePull"),
        ([container("a", state={"terminated": {"exitCode": 1, "reason": "Error"}})], "Init:Error"),
        ([container("a", **DONE), container("b", state={"waiting": {"reason": "PodInitializing"}})], "Init:1/2"),
    ],
)
def test_the_table_says_how_far_initialisation_is(statuses: list[dict[str, Any]], reason: str) -> None:
    obj = pod(initContainers=[{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}])
    obj["status"] = {"phase": "Pending", "initContainerStatuses": statuses or [container("a", state={})]}
    assert pod_columns.summarise(obj).reason == reason


def test_the_table_says_terminating_while_a_pod_is_deleted() -> None:
    obj = pod()
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    obj["status"] = {"phase": "Running", "containerStatuses": [container(**RUNNING)]}
    assert pod_columns.summarise(obj).reason == "Terminating"


def test_a_sidecar_counts_as_a_container() -> None:
    obj = pod(initContainers=[{"name": "proxy", "image": "p:1", "restartPolicy": "Always"}])
    sidecar = container("proxy", ready=True, started=True, state={"running": {}}, restartCount=2)
    obj["status"] = {
        "phase": "Running", "initContainerStatuses": [sidecar], "containerStatuses": [container(**RUNNING)],
    }  # fmt: skip
    summary = pod_columns.summarise(obj)
    assert (summary.ready, summary.total, summary.restarts, summary.reason) == (2, 2, 2, "Running")
