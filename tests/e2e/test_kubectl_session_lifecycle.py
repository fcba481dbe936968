"""The real kubectl over an object's life: scale, rollout, wait, watch, delete in every way, and nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.session import SHELL, WEB, WEB_V2, Session, config_map, deployment, eventually, pod
from tests.kubectl import Kubectl

NODES = {"node-1", "node-2"}


def applied(k: Session, *documents: dict[str, Any]) -> None:
    k("apply", "-f", k.file("applied.json", *documents))


def rolled_out(k: Session, name: str) -> None:
    assert "successfully rolled out" in k("rollout", "status", f"deployment/{name}", "--timeout=30s")


def images_of(k: Session, name: str) -> set[str]:
    """Of the pods that are there to stay."""
    pods = k.read("pods", "-l", f"app={name}")["items"]
    return {one["spec"]["containers"][0]["image"] for one in pods if "deletionTimestamp" not in one["metadata"]}


# --- scale and rollout -----------------------------------------------------------------------------------------


def test_scale_changes_the_number_of_running_pods_if_it_is_what_was_thought(k: Session) -> None:
    applied(k, deployment("web"))
    k("scale", "deployment/web", "--replicas=3", "--current-replicas=1")
    k("wait", "--for=jsonpath={.status.readyReplicas}=3", "deployment/web", "--timeout=20s")
    assert len(k.names("pods", "-l", "app=web")) == 3
    assert "Expected replicas to be 9, was 3" in k.refused(
        "scale", "deploy/web", "--replicas=1", "--current-replicas=9"
    )
    k("scale", "replicaset", "-l", "app=web", "--replicas=3")
    k("scale", "deployment/web", "--replicas=0")
    eventually(lambda: k.gone("pods", "-l", "app=web"))


def test_rollout_moves_to_a_new_version_keeps_history_and_goes_back(k: Session) -> None:
    applied(k, deployment("web", replicas=2))
    k("annotate", "deployment/web", "kubernetes.io/change-cause=first")
    rolled_out(k, "web")
    k("set", "image", "deployment/web", f"web={WEB_V2}")
    k("annotate", "deployment/web", "kubernetes.io/change-cause=second", "--overwrite")
    rolled_out(k, "web")
    assert images_of(k, "web") == {WEB_V2}
    history = k("rollout", "history", "deployment/web").split("\n")
    assert [line.split() for line in history[2:4]] == [["1", "first"], ["2", "second"]]
    assert WEB in k("rollout", "history", "deployment/web", "--revision=1")
    k("rollout", "undo", "deployment/web")
    rolled_out(k, "web")
    assert images_of(k, "web") == {WEB}
    k("rollout", "undo", "deployment/web", "--to-revision=2")
    rolled_out(k, "web")
    assert images_of(k, "web") == {WEB_V2}
    sets = k.read("replicasets", "-l", "app=web")["items"]
    revisions = {one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in sets}
    assert revisions == {"3", "4"}
    assert "unable to find specified revision" in k.refused("rollout", "undo", "deployment/web", "--to-revision=9")


def test_a_paused_rollout_waits_for_resume_and_a_restart_renews_every_pod(k: Session) -> None:
    applied(k, deployment("web", replicas=2))
    rolled_out(k, "web")
    before = k.names("pods", "-l", "app=web")
    k("rollout", "pause", "deployment/web")
    k("set", "image", "deployment/web", f"web={WEB_V2}")
    k("wait", "--for=jsonpath={.status.observedGeneration}=3", "deployment/web", "--timeout=10s")
    assert "can't restart paused deployment" in k.refused("rollout", "restart", "deployment/web")
    assert (images_of(k, "web"), k.names("pods", "-l", "app=web")) == ({WEB}, before)
    k("rollout", "resume", "deployment/web")
    rolled_out(k, "web")
    assert images_of(k, "web") == {WEB_V2}
    middle = k.names("pods", "-l", "app=web")
    k("rollout", "restart", "deployment/web")
    rolled_out(k, "web")
    eventually(lambda: len(k.names("pods", "-l", "app=web")) == 2)
    assert not k.names("pods", "-l", "app=web") & (before | middle)


def test_a_rollout_that_cannot_succeed_says_so(k: Session) -> None:
    applied(k, deployment("web", "session/absent:v1", progressDeadlineSeconds=1))
    failed = k.run("rollout", "status", "deployment/web", "--timeout=30s")
    assert (failed.status, "exceeded its progress deadline" in failed.err) == (1, True), str(failed)
    eventually(lambda: "ImagePullBackOff" in k("get", "pods") or "ErrImagePull" in k("get", "pods"))
    assert "dabba image build" in k("describe", "pods", "-l", "app=web")


# --- wait and watch --------------------------------------------------------------------------------------------


def test_wait_ends_when_the_condition_comes_the_object_goes_or_time_is_up(k: Session) -> None:
    with k.streaming("wait", "--for=create", "configmap/late", "--timeout=20s") as waiting:
        k("create", "configmap", "late")
        assert "configmap/late condition met" in waiting.until("condition met")
        assert waiting.end() == 0
    with k.streaming("wait", "--for=delete", "configmap/late", "--timeout=20s") as waiting:
        k("delete", "configmap", "late")
        assert waiting.end() == 0
    applied(k, pod("waiting", "sleep", "1000"))
    k("wait", "--for=jsonpath={.status.phase}=Running", "pod", "-l", "app=waiting", "--timeout=20s")
    assert "timed out waiting" in k.refused("wait", "--for=condition=Ready=False", "pod/waiting", "--timeout=100ms")


def test_get_watch_shows_changes_as_they_happen(k: Session) -> None:
    with (
        k.streaming("get", "configmaps", "-w", "-o", "name") as names,
        k.streaming("get", "pods", "--watch", "--output-watch-events") as pods,
    ):
        names.until("configmap/kube-root-ca.crt")
        k("create", "configmap", "seen")
        names.until("configmap/seen")
        applied(k, pod("seen", "sleep", "1000"))
        assert pods.until("Running").splitlines()[0].split()[:4] == ["EVENT", "NAME", "READY", "STATUS"]
        k("delete", "pod", "seen", "--now")
        shown = pods.until("DELETED")
        assert [shown.index(word) for word in ("ADDED", "Running", "DELETED")] == sorted(
            shown.index(word) for word in ("ADDED", "Running", "DELETED")
        )


# --- delete ----------------------------------------------------------------------------------------------------


def test_deleting_in_the_background_takes_the_dependents_along(k: Session) -> None:
    applied(k, deployment("web"))
    rolled_out(k, "web")
    k("delete", "deployment", "web", "--cascade=background")
    assert k.gone("deployment", "web")
    eventually(lambda: k.gone("replicasets,pods", "-l", "app=web"))


def test_deleting_in_the_foreground_ends_when_the_last_dependent_has_gone(k: Session) -> None:
    applied(k, deployment("web"))
    rolled_out(k, "web")
    k("delete", "deployment", "web", "--cascade=foreground")
    assert k.gone("deployments,replicasets,pods", "-l", "app=web")


def test_deleting_with_orphans_leaves_them_and_a_new_owner_adopts_them(k: Session) -> None:
    applied(k, deployment("web"))
    rolled_out(k, "web")
    left = k.names("replicasets,pods", "-l", "app=web")
    k("delete", "deployment", "web", "--cascade=orphan")
    assert k.gone("deployment", "web")
    sets = k.read("replicasets", "-l", "app=web")["items"]
    assert "ownerReferences" not in sets[0]["metadata"]
    assert k.names("replicasets,pods", "-l", "app=web") == left
    applied(k, deployment("web"))
    rolled_out(k, "web")
    assert k.names("replicasets,pods", "-l", "app=web") == left


def test_a_pod_is_deleted_gently_at_once_or_by_force(k: Session) -> None:
    stubborn = {"terminationGracePeriodSeconds": 600}
    for name in ("gentle", "now", "forced"):
        k(
            "apply",
            "-f",
            k.file(f"{name}.json", pod(name, "sh", "-c", "trap '' TERM; while :; do sleep 1; done", **stubborn)),
        )
    k("wait", "--for=condition=Ready", "pods", "--all", "--timeout=20s")
    k("delete", "pod", "gentle", "--wait=false")
    metadata = k.read("pod", "gentle")["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 600
    assert "Terminating" in k("get", "pod", "gentle")
    k("delete", "pod", "now", "--now")
    assert k.gone("pod", "now")
    assert "Immediate deletion does not wait" in k.run("delete", "pod", "forced", "--force", "--grace-period=0").err
    assert k.gone("pod", "forced")
    k("delete", "pod", "gentle", "--grace-period=1")
    assert k.gone("pod", "gentle")


def test_delete_takes_files_selectors_and_everything_and_respects_finalizers(k: Session) -> None:
    path = k.file("two.json", config_map("one", a="1"), config_map("two", a="1"))
    k("apply", "-f", path)
    k("delete", "-f", path)
    assert k.names("configmaps") == {"configmap/kube-root-ca.crt"}
    k("delete", "-f", path, "--ignore-not-found")
    assert 'configmaps "one" not found' in k.refused("delete", "-f", path)
    held = config_map("held")
    held["metadata"].update(finalizers=["example.com/hold"], labels={"app": "held"})
    k("apply", "-f", k.file("held.json", held))
    k("delete", "configmap", "-l", "app=held", "--wait=false")
    assert "deletionTimestamp" in k.read("configmap", "held")["metadata"]
    k("patch", "configmap", "held", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert k.gone("configmap", "held")
    k("create", "secret", "generic", "a")
    k("create", "secret", "generic", "b")
    k("delete", "secrets", "--all")
    assert k.gone("secrets")


def test_deleting_a_namespace_takes_all_that_is_in_it(k: Session, kubectl: Kubectl) -> None:
    name = f"{k.namespace}-inner"
    kubectl("create", "namespace", name)
    inner = Session(kubectl, name, k.folder)
    inner("wait", "--for=create", "serviceaccount/default", "--timeout=10s")
    applied(inner, deployment("web"), config_map("cm", a="1"))
    rolled_out(inner, "web")
    kubectl("delete", "namespace", name)
    assert kubectl.run("get", "namespace", name).status == 1
    assert inner.gone("all,configmaps,serviceaccounts")
    assert "not found" in inner.refused("create", "configmap", "late")


# --- nodes -----------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes_again(kubectl: Kubectl) -> Iterator[None]:
    """Whatever a test did to the nodes is undone."""
    yield
    for node in NODES:
        kubectl("uncordon", node)
        kubectl.run("taint", "nodes", node, "dedicated-")
        kubectl.run("label", "nodes", node, "disk-")


def placed(k: Session, label: str) -> list[str]:
    pods = k.read("pods", "-l", f"app={label}")["items"]
    return sorted(one["spec"].get("nodeName", "") for one in pods if "deletionTimestamp" not in one["metadata"])


def test_a_cordoned_node_takes_no_new_pods_until_it_is_uncordoned(k: Session, nodes_again: None) -> None:
    k("cordon", "node-1")
    assert "SchedulingDisabled" in k("get", "node", "node-1")
    applied(k, deployment("web", replicas=3))
    rolled_out(k, "web")
    assert placed(k, "web") == ["node-2"] * 3
    k("uncordon", "node-1")
    assert "unschedulable" not in k.read("node", "node-1")["spec"]
    k("scale", "deployment/web", "--replicas=6")
    rolled_out(k, "web")
    assert set(placed(k, "web")) == NODES


def test_drain_evicts_what_it_may_and_a_disruption_budget_is_kept(k: Session, nodes_again: None) -> None:
    applied(k, deployment("web", replicas=2), pod("bare", "sleep", "1000", nodeName="node-1"))
    k("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    rolled_out(k, "web")
    k("wait", "--for=condition=Ready", "pod/bare", "--timeout=20s")
    eventually(lambda: k.read("pdb", "web").get("status", {}).get("disruptionsAllowed") == 1)
    mine = "--pod-selector=app in (web,bare)"
    assert "cannot delete Pods that declare no controller" in k.refused("drain", "node-1", mine, "--timeout=20s")
    said = k("drain", "node-1", mine, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=40s")
    assert "node/node-1 drained" in said
    assert (k.gone("pod", "bare"), k.read("node", "node-1")["spec"]["unschedulable"]) == (True, True)
    rolled_out(k, "web")
    assert placed(k, "web") == ["node-2"] * 2


def test_taints_keep_pods_away_or_drive_them_out(k: Session, nodes_again: None) -> None:
    k("taint", "nodes", "node-1", "dedicated=gpu:NoSchedule")
    assert k.read("node", "node-1")["spec"]["taints"] == [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
    tolerating = {
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/hostname": "node-1"},
    }
    applied(k, deployment("web", replicas=2), pod("gpu", "sleep", "1000", **tolerating))
    rolled_out(k, "web")
    k("wait", "--for=condition=Ready", "pod/gpu", "--timeout=20s")
    assert (placed(k, "web"), placed(k, "gpu")) == (["node-2"] * 2, ["node-1"])
    k("taint", "nodes", "node-1", "dedicated:NoSchedule-")
    k("taint", "nodes", "node-2", "dedicated=gpu:NoExecute")
    eventually(lambda: placed(k, "web") == ["node-1"] * 2)
    rolled_out(k, "web")
    assert "untainted" in k("taint", "nodes", "node-2", "dedicated-")


def test_a_pod_that_fits_nowhere_says_why_and_starts_when_it_fits(k: Session, nodes_again: None) -> None:
    applied(k, pod("picky", "sleep", "1000", nodeSelector={"disk": "fast"}))
    expected = "0/2 nodes are available"
    eventually(lambda: expected in k("get", "events", "--field-selector=reason=FailedScheduling", "-o", "json"))
    assert "Pending" in k("get", "pod", "picky")
    k("label", "node", "node-2", "disk=fast")
    k("wait", "--for=condition=Ready", "pod/picky", "--timeout=20s")
    assert placed(k, "picky") == ["node-2"]


def test_a_pod_bound_to_a_node_that_cannot_take_it_fails_with_the_reason(k: Session) -> None:
    applied(k, pod("forced", "sleep", "1000", nodeName="node-1", nodeSelector={"disk": "tape"}))
    k("wait", "--for=jsonpath={.status.phase}=Failed", "pod/forced", "--timeout=20s")
    assert k("get", "pod", "forced", "--no-headers").split()[1:3] == ["0/1", "NodeAffinity"]
    assert "didn't match Pod's node affinity" in k("describe", "pod", "forced")


def test_a_job_runs_to_its_end_or_to_its_limit(k: Session) -> None:
    k("create", "job", "fails", f"--image={SHELL}", "--dry-run=client", "-o", "json")
    made = json.loads(k("create", "job", "fails", f"--image={SHELL}", "--dry-run=client", "-o", "json", "--", "false"))
    made["spec"]["backoffLimit"] = 0
    applied(k, made)
    k("wait", "--for=condition=Failed", "job/fails", "--timeout=20s")
    assert k.read("job", "fails")["status"]["failed"] == 1
    made["metadata"]["name"] = "works"
    made["spec"].update(completions=3, parallelism=3)
    made["spec"]["template"]["spec"]["containers"][0]["command"] = ["true"]
    applied(k, made)
    k("wait", "--for=condition=Complete", "job/works", "--timeout=20s")
    assert k("get", "job", "works", "--no-headers").split()[1:3] == ["Complete", "3/3"]
    k("delete", "job", "works")
    eventually(lambda: k.gone("pods", "-l", "batch.kubernetes.io/job-name=works"))
