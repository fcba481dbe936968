"""What a Job counts and replaces: failures that a policy rules on, indexes, and pods on their way out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.api import batch_v1, core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.job import indexes
from dabbawala.cluster.controllers.job import plan as planning
from dabbawala.cluster.controllers.job.counting import TRACKING, tally
from dabbawala.reconcile.plan import Create, Patch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXIT_CODES = {"operator": "In", "values": [42]}
IGNORE = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
FAIL = {"action": "FailJob", "onExitCodes": EXIT_CODES}


def job(status: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "sum", "namespace": "shop", "uid": "j"}
    template = {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    whole = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec}
    named = {"apiVersion": batch_v1.JOB.api_version, "kind": batch_v1.JOB.kind}
    return {**named, "metadata": metadata, "spec": whole, "status": status or {}}


def pod(name: str, phase: str, *, code: int = 0, disrupted: bool = False, index: int | None = None) -> Object:
    annotations = {} if index is None else {indexes.INDEX: str(index)}
    ended = {"terminated": {"exitCode": code, "finishedAt": "2025-12-31T00:00:00Z"}}
    told = [{"type": "DisruptionTarget", "status": "True"}] if disrupted else []
    return {
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "annotations": annotations, "finalizers": [TRACKING],
        },
        "spec": {"nodeName": "n1"},
        "status": {"phase": phase, "conditions": told, "containerStatuses": [{"name": "c", "state": ended}]},
    }  # fmt: skip


def leaving(name: str, *, node: str = "n1") -> Object:
    found = pod(name, "Running" if node else "Pending")
    found["metadata"]["deletionTimestamp"] = "2025-12-31T00:00:00Z"
    return {**found, "spec": {"nodeName": node} if node else {}}


def test_a_failure_that_a_policy_ignores_is_let_go_and_not_counted() -> None:
    asked = job(podFailurePolicy={"rules": [IGNORE]}, backoffLimit=0)
    counts = tally(asked, [pod("a", "Failed", code=1, disrupted=True)])
    assert (counts.failed, [item["metadata"]["name"] for item in counts.to_release]) == (0, ["a"])
    actions = planning.plan(asked, [pod("a", "Failed", code=1, disrupted=True)], NOW).actions
    assert any(isinstance(action, Create) for action in actions), "and replaced"


@pytest.mark.parametrize(
    ("rules", "ends"),
    [([FAIL], True), ([IGNORE, FAIL], False), ([FAIL, IGNORE], True), ([{**FAIL, "action": "Count"}, FAIL], False)],
)
def test_the_first_rule_that_matches_decides(rules: list[Object], ends: bool) -> None:
    asked = job(podFailurePolicy={"rules": rules})
    actions = planning.plan(asked, [pod("a", "Failed", code=42, disrupted=True)], NOW).actions
    said = [action.body for action in actions if isinstance(action, Patch) and action.kind is batch_v1.JOB]
    announced = [item["type"] for body in said for item in body["status"].get("conditions") or ()]
    assert ("FailureTarget" in announced) is ends


def test_an_index_counts_once_however_many_pods_complete_it() -> None:
    asked = job(completionMode="Indexed", completions=3, parallelism=3)
    found = [pod("a", "Succeeded", index=0), pod("b", "Succeeded", index=0), pod("c", "Succeeded", index=1)]
    counts = tally(asked, found)
    assert (counts.succeeded, len(counts.to_release)) == (2, 3)
    later = tally(job({"completedIndexes": "0-1", "succeeded": 2}, **asked["spec"]), [pod("d", "Succeeded", index=1)])
    assert (later.succeeded, len(later.to_release)) == (2, 1)


@pytest.mark.parametrize(
    ("policy", "node", "made", "failed"),
    [
        pytest.param("TerminatingOrFailed", "n1", 1, 1, id="replaced at once"),
        pytest.param("Failed", "n1", 0, 0, id="keeps its place until it has ended"),
        pytest.param("Failed", "", 0, 1, id="never had a node on which it could end, and is let go"),
    ],
)
def test_a_pod_on_its_way_out_is_replaced_as_the_job_says(policy: str, node: str, made: int, failed: int) -> None:
    asked = job(podReplacementPolicy=policy)
    actions = planning.plan(asked, [leaving("a", node=node)], NOW).actions
    assert sum(isinstance(action, Create) for action in actions) == made
    assert tally(asked, [leaving("a", node=node)]).failed == failed
    assert any(isinstance(action, Patch) and action.kind is core_v1.POD for action in actions) is bool(failed)
