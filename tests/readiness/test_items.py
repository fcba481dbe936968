"""Each of the 42 items: good where the world is good, and not where it is not."""

# ruff: noqa: E501  # a table reads best a row a line

from __future__ import annotations

from collections.abc import Callable

import pytest

from dabbawala.readiness import catalogue
from dabbawala.readiness.assessment import assess
from dabbawala.readiness.judgement import Result
from dabbawala.readiness.observed import Measurement
from dabbawala.readiness.signing import Signer
from tests.readiness.given import ago, attested, signed, spec
from tests.readiness.world import ALL, World, certificate, made, ready, replica_set, said

FAIL, WARN, UNKNOWN = Result.FAIL, Result.WARN, Result.UNKNOWN
Break = Callable[[World], object]
RBAC = "rbac.authorization.k8s.io/v1"

RBAC_FAILURE = {
    "policy": "RBAC-02", "severity": "high", "result": "fail", "message": "may do everything",
    "resources": [{"kind": "Role", "name": "all", "namespace": "shop"}],
}  # fmt: skip


def container(world: World) -> dict:  # type: ignore[type-arg]
    found: dict = world["rollouts.argoproj.io"]["spec"]["template"]["spec"]["containers"][0]  # type: ignore[type-arg]
    return found


def scan(world: World) -> dict:  # type: ignore[type-arg]
    return world["policyreports.wgpolicyk8s.io"]


def annotated(world: World, name: str, value: str) -> None:
    world["namespaces"]["metadata"]["annotations"][f"readiness.dabbawala.dev/{name}"] = value


def revisions(world: World, *sets: dict) -> None:  # type: ignore[type-arg]
    world.objects["replicasets.apps"] = list(sets)


CASES: list[tuple[str, str, Result, str, Break]] = [
    ("multi_region_deployment", "one region", FAIL, "runs in mumbai", lambda w: w.forget("multi_region_deployment")),
    ("multi_region_deployment", "a region outside the list", FAIL, "at least 2 of",
     lambda w: w.say(said("multi_region_deployment", details={"region": "ap-southeast-1"}))),
    ("auto_scaling_configured", "none", FAIL, "no HorizontalPodAutoscaler",
     lambda w: w.empty("horizontalpodautoscalers.autoscaling")),
    ("auto_scaling_configured", "of another workload", FAIL, "no HorizontalPodAutoscaler",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["spec"]["scaleTargetRef"].update(name="other")),
    ("auto_scaling_configured", "down to one", FAIL, "may go down to 1",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["spec"].update(minReplicas=1)),
    ("auto_scaling_configured", "nobody acts on it", WARN, "no controller has acted on it",
     lambda w: w["horizontalpodautoscalers.autoscaling"].update(status={})),
    ("auto_scaling_configured", "cannot read its metric", FAIL, "FailedGetResourceMetric",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["status"]["conditions"][0].update(
         status="False", reason="FailedGetResourceMetric")),
    ("auto_scaling_configured", "no requests", FAIL, "scales on cpu of requests", lambda w: container(w).update(resources={})),
    ("auto_scaling_configured", "not listed", UNKNOWN, "may not list",
     lambda w: (w.remove("horizontalpodautoscalers.autoscaling"),
                w.hidden.update({"horizontalpodautoscalers.autoscaling": "you may not list them"}))),
    ("load_balancer_health_checks", "no probe", FAIL, "no readinessProbe", lambda w: container(w).pop("readinessProbe")),
    ("load_balancer_health_checks", "nobody ready", FAIL, "no endpoint",
     lambda w: w["endpointslices.discovery.k8s.io"]["endpoints"][0]["conditions"].update(ready=False)),
    ("load_balancer_health_checks", "one of two Services leads nowhere", FAIL, "no endpoint of Service web-preview",
     lambda w: w.objects["services"].append(made("Service", "web-preview", spec=w["services"]["spec"]))),
    ("load_balancer_health_checks", "only one that selects nothing", UNKNOWN, "no Service leads",
     lambda w: w["services"]["spec"].pop("selector")),
    ("load_balancer_health_checks", "no Service", UNKNOWN, "no Service leads", lambda w: w.empty("services")),
    ("dns_failover_setup", "nothing", UNKNOWN, "no evidence", lambda w: w.forget("dns_failover_setup")),
    ("ssl_certificates_valid", "expired", FAIL, "expired on",
     lambda w: w["secrets"]["data"].update({"tls.crt": certificate(days=-1, ago_days=9)})),
    ("ssl_certificates_valid", "ends soon", WARN, "ends in 5 days",
     lambda w: w["secrets"]["data"].update({"tls.crt": certificate(days=5)})),
    ("ssl_certificates_valid", "another name", FAIL, "is not for web.shop",
     lambda w: w["secrets"]["data"].update({"tls.crt": certificate("other.example.com")})),
    ("ssl_certificates_valid", "chain does not hold", FAIL, "is not signed by",
     lambda w: w["secrets"]["data"].update({"tls.crt": certificate(broken=True)})),
    ("ssl_certificates_valid", "no certificate", FAIL, "holds no certificate",
     lambda w: w["secrets"]["data"].update({"tls.crt": "bm9uZQ=="})),
    ("ssl_certificates_valid", "nobody serves the Ingress", WARN, "no controller serves it",
     lambda w: w["ingresses.networking.k8s.io"].pop("status")),
    ("ssl_certificates_valid", "no Secret", FAIL, "is not there", lambda w: w.empty("secrets")),
    ("ssl_certificates_valid", "an open port", FAIL, "without TLS: Service web (NodePort)",
     lambda w: w["services"]["spec"].update(type="NodePort")),
    ("ssl_certificates_valid", "no TLS at the Ingress", FAIL, "without TLS",
     lambda w: w["ingresses.networking.k8s.io"]["spec"].pop("tls")),
    ("ssl_certificates_valid", "not reached at all", UNKNOWN, "nothing shows with which", lambda w: w.empty("ingresses.networking.k8s.io")),
    ("network_policies_applied", "none", FAIL, "ingress and egress",
     lambda w: w.empty("networkpolicies.networking.k8s.io")),
    ("network_policies_applied", "not for egress", FAIL, "for egress",
     lambda w: w["networkpolicies.networking.k8s.io"]["spec"].update(policyTypes=["Ingress"], egress=[])),
    ("container_image_scanned", "another digest", UNKNOWN, "no scan of",
     lambda w: w.say(said("container_image_scanned", subjects=[{"name": "web", "hash": "sha256:" + "b" * 64}]))),
    ("container_image_scanned", "critical", FAIL, "1 critical",
     lambda w: w.say(said("container_image_scanned", details={"critical": "1", "high": "0", "score": "99"}))),
    ("container_image_scanned", "score 89", FAIL, "score 89",
     lambda w: w.say(said("container_image_scanned", details={"critical": "0", "high": "0", "score": "89"}))),
    ("container_image_scanned", "no score", WARN, "no compliance score",
     lambda w: w.say(said("container_image_scanned", details={"critical": "0", "high": "0"}))),
    ("container_image_scanned", "forged", UNKNOWN, "forged",
     lambda w: w.say(said("container_image_scanned") | {"result": "warn"})),
    ("container_image_scanned", "stale", UNKNOWN, "stale",
     lambda w: w.say(said("container_image_scanned", observedAt=ago(days=8)))),
    ("secrets_encrypted", "nothing", UNKNOWN, "no evidence", lambda w: w.forget("secrets_encrypted")),
    ("secrets_encrypted", "API server without the flag", FAIL, "stored in the clear",
     lambda w: w.objects["pods"].append(api_server())),
    ("rbac_configured", "default account", FAIL, "account `default`",
     lambda w: w["rollouts.argoproj.io"]["spec"]["template"]["spec"].pop("serviceAccountName")),
    ("rbac_configured", "not scanned", UNKNOWN, "no scan", lambda w: w.empty("policyreports.wgpolicyk8s.io")),
    ("rbac_configured", "not asked", UNKNOWN, "did not ask",
     lambda w: scan(w)["metadata"]["annotations"].update({"guard.dabbawala.dev/checks": "WL-01"})),
    ("rbac_configured", "scan too old", UNKNOWN, "older than 7 days",
     lambda w: scan(w)["metadata"]["annotations"].update({"guard.dabbawala.dev/scanned-at": ago(days=9)})),
    ("rbac_configured", "findings", FAIL, "RBAC-02 Role all", lambda w: scan(w)["results"].append(RBAC_FAILURE)),
    ("rbac_configured", "cluster-admin", FAIL, "take over the cluster",
     lambda w: (w.objects["clusterroles.rbac.authorization.k8s.io"].append(everything()),
                w.objects["clusterrolebindings.rbac.authorization.k8s.io"].append(cluster_admin()))),
    ("network_segmentation", "no policies", FAIL, "any pod of any namespace",
     lambda w: w.empty("networkpolicies.networking.k8s.io")),
    ("network_segmentation", "out to everywhere", FAIL, "169.254.169.254",
     lambda w: w["networkpolicies.networking.k8s.io"]["spec"].update(egress=[{}])),
    ("network_segmentation", "a probe got through", FAIL, "by lab",
     lambda w: w.say(signed(spec("network_segmentation", result="fail")))),
    ("audit_logging_enabled", "nothing", UNKNOWN, "no evidence", lambda w: w.measurements.pop("audit_events")),
    ("audit_logging_enabled", "API server without it", FAIL, "--audit-log-path",
     lambda w: w.objects["pods"].append(api_server())),
    ("vulnerability_patching", "overdue", FAIL, "past their deadline",
     lambda w: w.say(said("vulnerability_patching", details={"critical": "0", "high": "2", "overdue": "3"}))),
    ("rbi_compliance_verified", "no word", UNKNOWN, "no evidence", lambda w: w.forget("rbi_compliance_verified")),
    ("rbi_compliance_verified", "critical finding", FAIL, "WL-01",
     lambda w: scan(w)["results"].append(RBAC_FAILURE | {"policy": "WL-01", "severity": "critical"})),
    ("pci_dss_compliant", "not enforced", WARN, "no policy is enforced",
     lambda w: w.empty("validatingadmissionpolicybindings.admissionregistration.k8s.io")),
    ("pci_dss_compliant", "high finding", FAIL, "RBAC-02", lambda w: scan(w)["results"].append(RBAC_FAILURE)),
    ("data_localization_confirmed", "abroad", FAIL, "ap-southeast-1",
     lambda w: w["nodes"]["metadata"]["labels"].update({"topology.kubernetes.io/region": "ap-southeast-1"})),
    ("data_localization_confirmed", "backups abroad", FAIL, "us-east-1",
     lambda w: w["backupstoragelocations.velero.io"]["spec"]["config"].update(region="us-east-1")),
    ("data_localization_confirmed", "no label", UNKNOWN, "does not say its region",
     lambda w: w["nodes"]["metadata"].update(labels={})),
    ("audit_trail_enabled", "a month", FAIL, "kept for 30 days",
     lambda w: w.say(said("audit_trail_enabled", details={"retentionDays": "30"}))),
    ("data_localization_confirmed", "nodes not seen", UNKNOWN, "no evidence", lambda w: w.remove("nodes")),
    ("data_localization_confirmed", "no pod runs", UNKNOWN, "no evidence", lambda w: w.empty("pods")),
    ("audit_trail_enabled", "no number", UNKNOWN, "retentionDays",
     lambda w: w.say(said("audit_trail_enabled", details={"retentionDays": "nan"}))),
    ("audit_trail_enabled", "not said", UNKNOWN, "retentionDays", lambda w: w.say(said("audit_trail_enabled", details={}))),
    ("incident_response_plan", "none", UNKNOWN, "no evidence", lambda w: w.forget("incident_response_plan")),
    ("incident_response_plan", "expired", UNKNOWN, "stale",
     lambda w: w.say(attested("incident_response_plan", observedAt=ago(days=20), expires=ago(days=1)))),
    ("business_continuity_plan", "no document", WARN, "no document",
     lambda w: w.say(signed(spec("business_continuity_plan")))),
    ("prometheus_metrics_configured", "not scraped", FAIL, "no sample",
     lambda w: w.measurements.update(scraped=Measurement("q"))),
    ("prometheus_metrics_configured", "half of them", WARN, "1 of 2", lambda w: w.measurements.update(scraped=Measurement("q", 1.0))),
    ("prometheus_metrics_configured", "no Prometheus", UNKNOWN, "could not be asked",
     lambda w: w.measurements.update(scraped=Measurement("q", problem="no route"))),
    ("grafana_dashboards_created", "of others", FAIL, "none of 1",
     lambda w: w["configmaps"].update(data={"a.json": '{"panels": []}'})),
    ("grafana_dashboards_created", "empty", FAIL, "no panel", lambda w: w["configmaps"].update(data={"a.json": '{"title": "web"}'})),
    ("grafana_dashboards_created", "none", UNKNOWN, "no evidence", lambda w: w.empty("configmaps")),
    ("alerting_rules_defined", "none", FAIL, "evaluates no alert", lambda w: w.rules.clear()),  # type: ignore[union-attr]
    ("alerting_rules_defined", "broken", FAIL, "cannot be evaluated", lambda w: w.rules[0].update(health="err")),  # type: ignore[index]
    ("log_aggregation_setup", "not on all nodes", FAIL, "1 of 2",
     lambda w: w["daemonsets.apps"]["status"].update(numberReady=1)),
    ("log_aggregation_setup", "none", UNKNOWN, "no evidence", lambda w: w.empty("daemonsets.apps")),
    ("distributed_tracing_enabled", "none", UNKNOWN, "no evidence", lambda w: w.measurements.pop("traces")),
    ("distributed_tracing_enabled", "only configured", WARN, "none was seen",
     lambda w: (w.measurements.pop("traces"), container(w).update(env=[{"name": "OTEL_EXPORTER_OTLP_ENDPOINT"}]))),
    ("performance_benchmarks_established", "no latency", WARN, "not judged by latency",
     lambda w: w["analysistemplates.argoproj.io"]["spec"]["metrics"].pop()),
    ("performance_benchmarks_established", "none", UNKNOWN, "no evidence", lambda w: w.empty("analysistemplates.argoproj.io")),
    ("automated_backup_configured", "old", FAIL, "the last backup is of",
     lambda w: [backup["status"].update(completionTimestamp=ago(days=3)) for backup in w.objects["backups.velero.io"]]),
    ("automated_backup_configured", "paused", FAIL, "is paused", lambda w: w["schedules.velero.io"]["spec"].update(paused=True)),
    ("automated_backup_configured", "of others", FAIL, "no Velero Schedule",
     lambda w: w["schedules.velero.io"]["spec"]["template"].update(includedNamespaces=["other"])),
    ("automated_backup_configured", "no Velero", UNKNOWN, "no evidence", lambda w: w.remove("schedules.velero.io")),
    ("cross_region_backup_verified", "one region", FAIL, "in mumbai alone", lambda w: w.objects["backups.velero.io"].pop()),
    ("cross_region_backup_verified", "abroad", FAIL, "stays in India",
     lambda w: w["backupstoragelocations.velero.io"]["spec"]["config"].update(region="ap-southeast-1")),
    ("disaster_recovery_tested", "a word is not enough", UNKNOWN, "attestation is not enough",
     lambda w: w.say(attested("disaster_recovery_tested"))),
    ("disaster_recovery_tested", "too long ago", UNKNOWN, "stale",
     lambda w: w.say(said("disaster_recovery_tested", observedAt=ago(days=190)))),
    ("disaster_recovery_tested", "it failed", FAIL, "by lab", lambda w: w.say(said("disaster_recovery_tested", result="fail"))),
    ("rto_rpo_validated", "too slow", FAIL, "rtoSeconds is 301",
     lambda w: w.say(said("rto_rpo_validated", details={"rtoSeconds": "301", "rpoSeconds": "0"}))),
    ("rto_rpo_validated", "lost data", FAIL, "rpoSeconds is 1",
     lambda w: w.say(said("rto_rpo_validated", details={"rtoSeconds": "1", "rpoSeconds": "1"}))),
    ("rto_rpo_validated", "a target that is no limit", UNKNOWN, "must be numbers", lambda w: annotated(w, "rto-seconds", "nan")),
    ("performance_benchmarks_met", "a target that is no limit", UNKNOWN, "must be numbers", lambda w: annotated(w, "failed-ratio", "inf")),
    ("rto_rpo_validated", "not measured", UNKNOWN, "does not say", lambda w: w.say(said("rto_rpo_validated", details={}))),
    ("backup_restoration_tested", "long ago", UNKNOWN, "older than 90",
     lambda w: w["restores.velero.io"]["status"].update(completionTimestamp=ago(days=100))),
    ("backup_restoration_tested", "never", UNKNOWN, "no evidence", lambda w: w.empty("restores.velero.io")),
    ("data_integrity_verified", "differs", FAIL, "mismatches is 4",
     lambda w: w.say(said("data_integrity_verified", details={"mismatches": "4"}))),
    ("load_testing_completed", "not reached", FAIL, "reached 150 requests/s of 200",
     lambda w: w.say(said("load_testing_completed", details={"targetRate": "200", "achievedRate": "150"}))),
    ("load_testing_completed", "other images", WARN, "was not what was tested",
     lambda w: w.say(said("load_testing_completed", subjects=[{"name": "w", "hash": "sha256:" + "b" * 64}]))),
    ("load_testing_completed", "signed by nobody known", UNKNOWN, "no trusted key",
     lambda w: w.say(signed(spec("load_testing_completed"), Signer.make("mallory")))),
    ("stress_testing_passed", "none", UNKNOWN, "no evidence", lambda w: w.forget("stress_testing_passed")),
    ("capacity_planning_done", "nodes too small", FAIL, "the nodes have",
     lambda w: [node["status"]["allocatable"].update(cpu="1") for node in w.objects["nodes"]]),
    ("capacity_planning_done", "quota too small", FAIL, "ResourceQuota small",
     lambda w: w.objects["resourcequotas"].append(made("ResourceQuota", "small", spec={"hard": {"requests.memory": "1Gi"}}))),
    ("capacity_planning_done", "no autoscaler", UNKNOWN, "no autoscaler says",
     lambda w: w.empty("horizontalpodautoscalers.autoscaling")),
    ("performance_benchmarks_met", "slow", FAIL, "P95 250 ms",
     lambda w: w.measurements.update(p95_milliseconds=Measurement("q", 250.0))),
    ("performance_benchmarks_met", "failing", FAIL, "0.200% failed",
     lambda w: w.measurements.update(failed_ratio=Measurement("q", 0.002))),
    ("performance_benchmarks_met", "no traffic", UNKNOWN, "has seen no request",
     lambda w: w.measurements.update(requests_per_second=Measurement("q", 0.0))),
    ("auto_scaling_tested", "never", UNKNOWN, "no evidence",
     lambda w: w["horizontalpodautoscalers.autoscaling"]["status"].pop("lastScaleTime")),
    ("resource_limits_optimized", "no limit", FAIL, "no limits.memory", lambda w: container(w)["resources"].pop("limits")),
    ("resource_limits_optimized", "at its limit", FAIL, "98% of its memory limit",
     lambda w: w["pods.metrics.k8s.io"]["containers"][0]["usage"].update(memory="1003Mi")),
    ("resource_limits_optimized", "not measured", WARN, "nobody measures", lambda w: w.remove("pods.metrics.k8s.io")),
    ("blue_green_deployment_tested", "the first revision", FAIL, "is its first",
     lambda w: revisions(w, replica_set("aa", "1"))),
    ("blue_green_deployment_tested", "under way", UNKNOWN, "under way",
     lambda w: w["rollouts.argoproj.io"]["status"]["blueGreen"].update(activeSelector="bb")),
    ("blue_green_deployment_tested", "in place", FAIL, "in place", lambda w: w["rollouts.argoproj.io"]["spec"].pop("strategy")),
    ("rollback_procedures_verified", "never", FAIL, "ever taken back",
     lambda w: revisions(w, replica_set("aa", "2"), replica_set("bb", "1"))),
    ("incident_response_drills", "too long ago", UNKNOWN, "182 days",
     lambda w: w.say(attested("incident_response_drills", observedAt=ago(days=200)))),
    ("communication_plan_ready", "none", UNKNOWN, "no evidence", lambda w: w.forget("communication_plan_ready")),
    ("escalation_matrix_defined", "nobody on call", FAIL, "no contact for on-call",
     lambda w: w["namespaces"]["metadata"]["annotations"].pop("readiness.dabbawala.dev/contact-on-call")),
    ("escalation_matrix_defined", "a placeholder", FAIL, "cannot be called",
     lambda w: w["namespaces"]["metadata"]["annotations"].update({"readiness.dabbawala.dev/contact-devops": "+91-XXXXXXXXXX"})),
    ("escalation_matrix_defined", "no order", WARN, "nobody answers for the order", lambda w: w.forget("escalation_matrix_defined")),
    ("post_mortem_process_defined", "none", UNKNOWN, "no evidence", lambda w: w.forget("post_mortem_process_defined")),
]  # fmt: skip


def api_server() -> dict:  # type: ignore[type-arg]
    found = made(
        "Pod", "kube-apiserver-n1", namespace="kube-system", metadata={"labels": {"component": "kube-apiserver"}}
    )
    return found | {"spec": {"containers": [{"command": ["kube-apiserver", "--secure-port=6443"]}]}}


def everything() -> dict:  # type: ignore[type-arg]
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    return made("ClusterRole", "cluster-admin", namespace="", apiVersion=RBAC, rules=[rule])


def cluster_admin() -> dict:  # type: ignore[type-arg]
    return made(
        "ClusterRoleBinding", "too-much", namespace="", apiVersion=RBAC,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    )  # fmt: skip


@pytest.mark.parametrize("item", ALL)
def test_every_item_passes_on_proof_in_a_good_world(item: str) -> None:
    found = ready().judge(item)
    assert found.result is Result.PASS, found.message
    assert all(proof.digest.startswith("sha256:") and proof.at for proof in found.proofs)
    assert found.proofs


@pytest.mark.parametrize(("item", "case", "result", "words", "damage"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_an_item_does_not_pass_where_something_is_missing(
    item: str, case: str, result: Result, words: str, damage: Break
) -> None:
    world = ready()
    damage(world)
    found = world.judge(item)
    assert (found.result, words in found.message) == (result, True), found


def test_every_item_has_a_bad_case() -> None:
    assert {case[0] for case in CASES} == set(ALL)


def test_nothing_passes_in_an_empty_cluster() -> None:
    world = ready()
    world.objects, world.records, world.measurements, world.rules = {}, [], {}, None
    results = world.assess().results
    assert {found.result for found in results.values()} <= {FAIL, UNKNOWN, WARN}
    assert results["audit_logging_enabled"].result is UNKNOWN


def test_a_form_that_nobody_foresaw_makes_one_item_unknown_and_breaks_nothing() -> None:
    world = ready()
    world["horizontalpodautoscalers.autoscaling"]["spec"]["maxReplicas"] = "many"
    found = world.assess()
    assert found.results["auto_scaling_configured"].result is UNKNOWN
    assert "could not be understood" in found.results["auto_scaling_configured"].message


def test_a_broken_chain_takes_all_evidence_away() -> None:
    world = ready()
    observed = world.observed()
    del observed.objects["evidences.readiness.dabbawala.dev"][1]  # type: ignore[attr-defined]
    found = assess(observed)
    assert found.problems
    assert found.results["load_testing_completed"].result is UNKNOWN
    assert "its chain is broken" in found.results["load_testing_completed"].message


def test_every_remedy_names_the_service_and_is_a_command() -> None:
    world = ready()
    world.objects = {name: world.objects[name] for name in ("rollouts.argoproj.io", "namespaces")}
    found = world.assess()
    for item in catalogue.ITEMS:
        command = found.remedy(item)
        assert command.startswith(("dabba ", "kubectl ")), command
        assert "{" not in command
