"""What looks like proof and is none makes no item pass: of others, of tomorrow, or where nothing was looked at."""

# ruff: noqa: E501  # a table reads best a row a line

from __future__ import annotations

from collections.abc import Callable

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.readiness.judgement import Result
from tests.readiness.given import ago
from tests.readiness.world import EVIDENCES, HOST, World, made, ready, said

FAIL, WARN, UNKNOWN = Result.FAIL, Result.WARN, Result.UNKNOWN
Break = Callable[[World], object]
FLAGS = ("--encryption-provider-config=e", "--audit-log-path=a", "--audit-policy-file=p")
OTHER = [{"name": "web", "hash": "sha256:" + "b" * 64}]

FORGED: list[tuple[str, str, Result, str, Break]] = [
    ("multi_region_deployment", "the other region failed since", FAIL, "runs in mumbai",
     lambda w: w.records.append(said("multi_region_deployment", result="fail", observedAt=ago(minutes=5)))),
    ("auto_scaling_configured", "its controller does not know", WARN, "does not say that it can scale",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["status"]["conditions"][0].update(status="Unknown")),
    ("dns_failover_setup", "a Gslb that nobody acts on", WARN, "no controller has acted on it", lambda w: gslb(w)),
    ("container_image_scanned", "says itself that it failed", FAIL, "says itself",
     lambda w: w.say(said("container_image_scanned", result="fail"))),
    ("vulnerability_patching", "says itself that it failed", FAIL, "says itself",
     lambda w: w.say(said("vulnerability_patching", result="fail"))),
    ("vulnerability_patching", "of another image", UNKNOWN, "no scan of registry.example.com/web:2",
     lambda w: w.say(said("vulnerability_patching", subjects=OTHER))),
    ("vulnerability_patching", "of no image", UNKNOWN, "no scan of", lambda w: w.say(said("vulnerability_patching", subjects=[]))),
    ("vulnerability_patching", "nobody sees what runs", UNKNOWN, "nobody knows which images", lambda w: hide(w, "pods")),
    ("secrets_encrypted", "a pod of its own that is called an API server", UNKNOWN, "no evidence",
     lambda w: (w.forget("secrets_encrypted"), w.objects["pods"].append(api_server("shop", *FLAGS)))),
    ("audit_logging_enabled", "a pod of its own that is called an API server", UNKNOWN, "no evidence",
     lambda w: (w.measurements.pop("audit_events"), w.objects["pods"].append(api_server("shop", *FLAGS)))),
    ("rbac_configured", "a scan of tomorrow", UNKNOWN, "in the future",
     lambda w: scan(w)["metadata"]["annotations"].update({"guard.dabbawala.dev/scanned-at": ago(days=-1)})),
    ("rbac_configured", "Secrets not seen", UNKNOWN, "may not list secrets", lambda w: hide(w, "secrets")),
    ("rbac_configured", "nodes not seen", UNKNOWN, "may not list nodes", lambda w: hide(w, "nodes")),
    ("data_localization_confirmed", "backup locations not seen", UNKNOWN, "may not list backup",
     lambda w: hide(w, "backupstoragelocations.velero.io")),
    ("alerting_rules_defined", "of a service with a longer name", FAIL, "evaluates no alert",
     lambda w: w.rules[0].update(query='up{pod=~"webhook-.*"} == 0 or up{pod=~"web-admin-.*"} == 0')),  # type: ignore[index]
    ("alerting_rules_defined", "of another namespace", FAIL, "evaluates no alert",
     lambda w: w.rules[0].update(query='up{namespace="other",pod=~"web-.*"} == 0')),  # type: ignore[index]
    ("performance_benchmarks_established", "only a condition for success", WARN, "not judged by success",
     lambda w: w["analysistemplates.argoproj.io"]["spec"].update(
         metrics=[{"query": "histogram_quantile(0.95, x)", "successCondition": "result[0] < 1"}])),
    ("automated_backup_configured", "a backup of tomorrow", WARN, "no backup of the namespace has been completed",
     lambda w: [backup["status"].update(completionTimestamp=ago(days=-1)) for backup in w.objects["backups.velero.io"]]),
    ("cross_region_backup_verified", "a backup of tomorrow", FAIL, "in mumbai alone",
     lambda w: w.objects["backups.velero.io"][1]["status"].update(completionTimestamp=ago(days=-1))),
    ("backup_restoration_tested", "a restore of tomorrow", UNKNOWN, "no evidence",
     lambda w: w["restores.velero.io"]["status"].update(completionTimestamp=ago(days=-1))),
    ("disaster_recovery_tested", "evidence not seen", UNKNOWN, "may not list evidences", lambda w: hide(w, EVIDENCES)),
    ("load_testing_completed", "of no image", UNKNOWN, "does not say which images", lambda w: w.say(said("load_testing_completed", subjects=[]))),
    ("load_testing_completed", "nothing runs", UNKNOWN, "no pod runs", lambda w: w.empty("pods")),
    ("stress_testing_passed", "of no image", UNKNOWN, "does not say which images", lambda w: w.say(said("stress_testing_passed", subjects=[]))),
    ("stress_testing_passed", "other images", WARN, "was not what was tested", lambda w: w.say(said("stress_testing_passed", subjects=OTHER))),
    ("capacity_planning_done", "quotas not seen", UNKNOWN, "may not list resourcequotas", lambda w: hide(w, "resourcequotas")),
    ("capacity_planning_done", "pods not seen", UNKNOWN, "may not list pods", lambda w: hide(w, "pods")),
    ("capacity_planning_done", "nodes not seen", UNKNOWN, "may not list nodes", lambda w: hide(w, "nodes")),
    ("auto_scaling_tested", "tomorrow", UNKNOWN, "no evidence",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["status"].update(lastScaleTime=ago(days=-1))),
    ("blue_green_deployment_tested", "tomorrow", UNKNOWN, "the last switch is of",
     lambda w: w["rollouts.argoproj.io"]["status"].update(
         conditions=[{"type": "Completed", "status": "True", "lastTransitionTime": ago(days=-1)}])),
]  # fmt: skip


@pytest.mark.parametrize(("item", "case", "result", "words", "forge"), FORGED, ids=[f"{c[0]}: {c[1]}" for c in FORGED])
def test_an_item_does_not_pass_on_what_only_looks_like_proof(
    item: str, case: str, result: Result, words: str, forge: Break
) -> None:
    world = ready()
    forge(world)
    found = world.judge(item)
    assert (found.result, words in found.message) == (result, True), found


def hide(world: World, resource: str) -> None:
    world.remove(resource)
    world.hidden[resource] = f"you may not list {resource}"


def gslb(world: World) -> None:
    world.forget("dns_failover_setup")
    spec = {"strategy": {"type": "failover"}, "ingress": {"rules": [{"host": HOST}]}}
    world.objects["gslbs.k8gb.absa.oss"] = [made("Gslb", "web", spec=spec)]


def scan(world: World) -> Object:
    return world["policyreports.wgpolicyk8s.io"]


def api_server(namespace: str, *flags: str) -> Object:
    labels = {"component": "kube-apiserver"}
    found = made("Pod", "kube-apiserver-n1", namespace=namespace, metadata={"labels": labels})
    return found | {"spec": {"containers": [{"command": ["kube-apiserver", *flags]}]}}


def test_the_flags_of_an_api_server_count_where_the_system_runs_it() -> None:
    world = ready()
    world.records, world.measurements = [], {}
    world.objects["pods"].append(api_server("kube-system", *FLAGS))
    assert [world.judge(item).result for item in ("secrets_encrypted", "audit_logging_enabled")] == [Result.PASS] * 2
