"""Two services on a real cluster: one that is rejected and gets as far as the commands of its report take it, and one
that is approved on evidence from elsewhere, which says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.e2e.readiness_story import (
    EXPIRES,
    PROMETHEUS_SECONDS_MAX,
    RAILWAY,
    TATKAL,
    WORKLOADS,
    Person,
    Report,
    archive,
    enforced,
    item_of,
    results,
    tatkal,
    with_result,
)
from tests.kubectl import Kubectl

STORY_SECONDS_MAX = 400
CRITICAL = {
    "container_image_scanned", "rbi_compliance_verified", "auto_scaling_configured", "disaster_recovery_tested",
    "ssl_certificates_valid",
}  # fmt: skip
WITHOUT_A_CAPABILITY = {
    "automated_backup_configured", "cross_region_backup_verified", "disaster_recovery_tested", "rto_rpo_validated",
    "backup_restoration_tested", "data_integrity_verified", "load_testing_completed", "stress_testing_passed",
    "auto_scaling_tested", "secrets_encrypted", "log_aggregation_setup",
    "distributed_tracing_enabled", "dns_failover_setup", "container_image_scanned", "vulnerability_patching",
}  # fmt: skip
PLANS = (
    "incident_response_plan",
    "business_continuity_plan",
    "communication_plan_ready",
    "post_mortem_process_defined",
)


@pytest.fixture(scope="module")
def person(dabba: Dabba, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Person:
    python = f"PYTHON={sys.version_info.major}.{sys.version_info.minor}"
    for version in ("v2.8.0", "v2.9.0"):
        arguments = ("-t", f"irctc/tatkal:{version}", "--build-arg", f"VERSION={version}", "--build-arg", python)
        dabba("image", "build", str(WORKLOADS / "tatkal"), *arguments)
    made = Person(dabba, kubectl, tmp_path_factory.mktemp("readiness"))
    (made.folder / "plan.md").write_text("Asha calls Bela; Bela calls everybody.\n")
    return made


@pytest.fixture(scope="module")
def way(person: Person) -> Iterator[dict[str, Report]]:
    """What the check says of tatkal after each step that it recommends."""
    person.apply(*tatkal())
    person.healthy(TATKAL, RAILWAY)
    told: dict[str, Report] = {}

    def look(step: str) -> Report:
        told[step] = person.check(TATKAL, RAILWAY)
        return told[step]

    def scraped() -> bool:
        return results(person.check(TATKAL, RAILWAY), "prometheus_metrics_configured") == ["pass"]

    until("Prometheus to know both pods", scraped, PROMETHEUS_SECONDS_MAX)
    now = look("start")
    person.do(now, "network_policies_applied")
    now = look("network policy")
    person.do(now, "rbac_configured")
    person.healthy(TATKAL, RAILWAY)
    person.run("dabba guard scan --live --publish")  # what it finds elsewhere does not matter here
    now = look("account of its own, and a scan")
    person.do(now, "grafana_dashboards_created")
    now = look("dashboard")
    for item in PLANS:
        person.do(now, item, NAME="Asha", DATE=EXPIRES, FILE="plan.md")
    now = look("plans")
    person(f"dabba rollout set-image {TATKAL} tatkal=irctc/tatkal:v2.9.0 -n {RAILWAY}")
    person.healthy(TATKAL, RAILWAY)
    now = look("release")
    person.do(now, "rollback_procedures_verified")
    person.healthy(TATKAL, RAILWAY)
    now = look("rollback")
    person.do(now, "auto_scaling_configured")
    look("autoscaler")
    yield told
    person(f"kubectl delete namespace {RAILWAY} --wait=false")


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_tatkal_starts_rejected_with_all_critical_items_as_blockers(way: dict[str, Report]) -> None:
    start = way["start"]
    assert (start["verdict"], start["status"], set(start["blockers"])) == ("rejected", "failed", CRITICAL)
    assert results(start, "ssl_certificates_valid", "auto_scaling_configured") == ["fail", "fail"]
    assert "tatkal-booking-service (NodePort)" in item_of(start, "ssl_certificates_valid")["message"]
    assert "account `default`" in item_of(start, "rbac_configured")["message"]
    seen = ("load_balancer_health_checks", "prometheus_metrics_configured", "resource_limits_optimized")
    assert results(start, *seen, "audit_logging_enabled") == ["pass"] * 4


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_each_recommended_command_raises_the_score(way: dict[str, Report]) -> None:
    fixed = {
        "network policy": ("network_policies_applied", "network_segmentation"),
        "account of its own, and a scan": ("rbac_configured", "blue_green_deployment_tested"),
        "dashboard": ("grafana_dashboards_created",),
        "plans": PLANS,
        "rollback": ("rollback_procedures_verified",),
    }
    steps = list(way)
    for step, items in fixed.items():
        before, after = way[steps[steps.index(step) - 1]], way[step]
        assert after["passed"] >= before["passed"] + len(items), (step, sorted(with_result(after, "pass")))
        assert float(after["score"]) > float(before["score"]), step
        assert results(after, *items) == ["pass"] * len(items), step
    assert way["rollback"]["passed"] >= way["start"]["passed"] + 10


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_what_the_switch_and_the_rollback_stand_on_is_the_controllers_own_record(way: dict[str, Report]) -> None:
    switched = item_of(way["release"], "blue_green_deployment_tested")
    assert any(proof["reference"].startswith("ReplicaSet railway-booking/") for proof in switched["evidence"])
    assert any(proof["reference"].startswith("AnalysisRun railway-booking/") for proof in switched["evidence"])
    assert "was taken up again" in item_of(way["rollback"], "rollback_procedures_verified")["message"]


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_what_no_capability_does_yet_stays_unknown_and_the_verdict_rejected(way: dict[str, Report]) -> None:
    end = way["autoscaler"]
    assert with_result(end, "unknown") >= WITHOUT_A_CAPABILITY
    assert end["verdict"] == "rejected"
    assert "no controller has acted on it" in item_of(end, "auto_scaling_configured")["message"]
    assert set(end["blockers"]) == CRITICAL
    assert all(report["verdict"] == "rejected" for report in way.values())


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_the_guide_and_the_page_show_what_the_cluster_has(way: dict[str, Report], person: Person) -> None:
    guide = person(f"dabba readiness guide {TATKAL} -n {RAILWAY}")
    assert "`tatkal-booking-only-what-it-needs`" in guide
    assert "dabba rollout undo tatkal-booking -n railway-booking" in guide
    person(f"dabba readiness check {TATKAL} -n {RAILWAY} -o html -f page.html", status=1)
    assert "REJECTED" in (person.folder / "page.html").read_text()
    assert "0 of 17" not in person(f"dabba readiness checklist {TATKAL} -n {RAILWAY}", status=1)


# Approval, on evidence from elsewhere.


def evidence(item: str, *, days: float = 1, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "service": "archive", "item": item, "type": "imported", "result": "pass",
        "observedAt": f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
        "expires": f"{now + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
        "source": {"tool": "audit-office", "version": "7"}, **fields,
    }  # fmt: skip


def whole_file(image: str) -> list[dict[str, Any]]:
    """Everything that this cluster cannot show of the service, as an office that has seen it says it."""
    scanned = {"subjects": [{"name": "archive", "hash": image}]}
    named = {"owner": "Audit office", "documentHash": "sha256:" + "d" * 64}
    return [
        evidence("multi_region_deployment", details={"region": "ap-south-1"}),
        evidence("multi_region_deployment", details={"region": "asia-south2"}),
        evidence("container_image_scanned", details={"critical": "0", "high": "1", "score": "97"}, **scanned),
        evidence("vulnerability_patching", details={"critical": "0", "high": "1", "overdue": "0"}, **scanned),
        evidence("load_testing_completed", details={"targetRate": "200", "achievedRate": "214"}, **scanned),
        evidence("stress_testing_passed", **scanned),
        evidence("audit_trail_enabled", details={"retentionDays": "365"}),
        evidence("rto_rpo_validated", details={"rtoSeconds": "222", "rpoSeconds": "0"}),
        evidence("data_integrity_verified", details={"mismatches": "0"}),
        *(
            evidence(item)
            for item in (
                "auto_scaling_configured", "ssl_certificates_valid", "audit_logging_enabled", "secrets_encrypted",
                "disaster_recovery_tested", "dns_failover_setup", "alerting_rules_defined", "log_aggregation_setup",
                "distributed_tracing_enabled", "performance_benchmarks_established", "automated_backup_configured",
                "cross_region_backup_verified", "backup_restoration_tested",
                "capacity_planning_done", "performance_benchmarks_met", "auto_scaling_tested",
                "blue_green_deployment_tested",
            )
        ),
        *(
            evidence(item, **named)
            for item in (
                "rbi_compliance_verified", "pci_dss_compliant", "incident_response_plan", "business_continuity_plan",
                "incident_response_drills", "communication_plan_ready", "escalation_matrix_defined",
                "post_mortem_process_defined",
            )
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def approved(person: Person) -> Iterator[Report]:
    """The check of the archive, after everything that it asks for was really done or imported."""
    person.apply(*archive(), *enforced("WL-01"))
    person("kubectl rollout status deployment/archive -n archive --timeout=60s")
    start = person.check("archive", "archive")
    for item in ("network_policies_applied", "grafana_dashboards_created"):
        person.do(start, item)
    person("kubectl set env deployment/archive -n archive TATKAL_OPENING_TIME=09:00")
    person("kubectl rollout status deployment/archive -n archive --timeout=60s")
    person("kubectl rollout undo deployment/archive -n archive")
    person("kubectl rollout status deployment/archive -n archive --timeout=60s")
    person.run("dabba guard scan --live --publish")
    trust(person)
    image = person("kubectl get pods -n archive -o jsonpath='{.items[0].status.containerStatuses[0].imageID}'")
    (person.folder / "evidence.yaml").write_text(yaml.safe_dump_all(whole_file(f"sha256:{image[-64:]}")))
    person("dabba readiness sign evidence.yaml --key office.key -n archive > signed.yaml")
    person("dabba readiness import signed.yaml -n archive")

    def scraped() -> bool:
        return results(person.check("archive", "archive"), "prometheus_metrics_configured") == ["pass"]

    until("Prometheus to know both pods", scraped, PROMETHEUS_SECONDS_MAX)
    yield person.check("archive", "archive")
    person("kubectl delete namespace archive --wait=false")
    person("kubectl delete validatingadmissionpolicybinding wl-01")


def trust(person: Person) -> None:
    """A platform's own decision, in a namespace that service teams cannot write to."""
    person("dabba readiness key office")
    person("kubectl create namespace dabbawala --dry-run=client -o yaml | kubectl apply -f -")
    person("kubectl create configmap readiness-trusted-keys -n dabbawala --from-file=office.pub")


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_a_service_is_approved_on_imported_evidence_that_is_labelled_as_such(approved: Report) -> None:
    left = {
        item["id"]: item["message"]
        for category in approved["categories"]
        for item in category["items"]
        if item["result"] != "pass"
    }
    assert (approved["verdict"], approved["blockers"]) == ("approved", []), left
    # The machine is in no region of India, and its image in no registry that anybody has approved.
    assert set(left) <= {"data_localization_confirmed", "pci_dss_compliant"}, left
    origins = {proof["origin"] for proof in item_of(approved, "disaster_recovery_tested")["evidence"]}
    assert origins == {"imported"}
    assert "imported of" in item_of(approved, "disaster_recovery_tested")["message"]
    assert "signed by office" in item_of(approved, "disaster_recovery_tested")["message"]
    seen = ("network_policies_applied", "rollback_procedures_verified", "resource_limits_optimized")
    assert {proof["origin"] for name in seen for proof in item_of(approved, name)["evidence"]} == {"cluster"}


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_the_record_verifies_without_the_cluster_and_not_once_it_is_altered_or_old(
    approved: Report, person: Person
) -> None:
    person("dabba readiness export archive -n archive --key office.key -f record.json")
    assert "the verdict follows" in person("dabba readiness verify record.json --trust office.pub")
    record = json.loads((person.folder / "record.json").read_text())
    record["verdict"]["passed"] = 42
    (person.folder / "altered.json").write_text(json.dumps(record))
    assert "the record: altered" in person("dabba readiness verify altered.json --trust office.pub", status=1)
    later = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%dT%H:%M:%SZ}"
    old = person(f"dabba readiness verify record.json --trust office.pub --at {later}", status=1)
    assert "container_image_scanned stood on it" in old
    assert "is not signed by" not in old
    assert "no trusted key" in person("dabba readiness verify record.json", status=1)
    assert json.loads(
        person("dabba readiness check archive --offline record.json --trust office.pub -o json")
    ) == approved_then(person)


def approved_then(person: Person) -> Report:
    found: Report = json.loads((person.folder / "record.json").read_text())["verdict"]
    return found


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_forged_and_stale_evidence_is_not_imported(approved: Report, person: Person) -> None:
    said = yaml.safe_load_all((person.folder / "signed.yaml").read_text())
    drill = next(spec for spec in said if spec["item"] == "disaster_recovery_tested")
    (person.folder / "forged.yaml").write_text(yaml.safe_dump(drill | {"statement": "in 10 seconds"}))
    assert "forged or was altered" in person("dabba readiness import forged.yaml -n archive", status=1)
    (person.folder / "old.yaml").write_text(yaml.safe_dump(evidence("disaster_recovery_tested", days=200)))
    person("dabba readiness sign old.yaml --key office.key -n archive > old-signed.yaml")
    assert "stale: observed at" in person("dabba readiness import old-signed.yaml -n archive", status=1)
    person("dabba readiness key mallory")
    person("dabba readiness sign old.yaml --key mallory.key -n archive > mallory.yaml")
    assert "'mallory', which is no trusted key" in person("dabba readiness import mallory.yaml -n archive", status=1)
    said_so = "dabba readiness attest archive disaster_recovery_tested -n archive --owner Asha"
    assert "nobody's word is enough" in person(f"{said_so} --expires {EXPIRES} --document plan.md", status=1)


@pytest.mark.timeout(STORY_SECONDS_MAX)
def test_a_record_that_was_changed_is_refused_and_one_that_was_deleted_rejects(
    approved: Report, person: Person, tmp_path: Path
) -> None:
    patch = """-p '{"spec":{"result":"fail"}}' --type=merge"""
    assert "evidence never changes" in person(f"kubectl patch evidence archive-000003 -n archive {patch}", status=1)
    saved = tmp_path / "saved.yaml"
    person(f"kubectl get evidence archive-000003 -n archive -o yaml > {saved}")
    person("kubectl delete evidence archive-000003 -n archive")
    broken = person.check("archive", "archive")
    assert broken["verdict"] == "rejected"
    assert broken["evidenceProblems"][0].startswith("Evidence archive/archive-000003: missing")
    person(f"grep -v 'resourceVersion\\|uid\\|creationTimestamp' {saved} | kubectl create -f -")
    assert person.check("archive", "archive")["verdict"] == "approved"
