"""Twelve weeks to production, and how far a service has come on them. Source: scenario S073."""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.judgement import Result


@dataclass(frozen=True, slots=True)
class Phase:
    weeks: str
    title: str
    items: tuple[str, ...]


PHASES = (
    Phase("1-2", "Foundation", (
        "load_balancer_health_checks", "prometheus_metrics_configured", "resource_limits_optimized",
        "auto_scaling_configured", "capacity_planning_done")),
    Phase("3-4", "Security and compliance", (
        "container_image_scanned", "secrets_encrypted", "rbac_configured", "network_policies_applied",
        "network_segmentation", "audit_logging_enabled", "vulnerability_patching", "rbi_compliance_verified",
        "pci_dss_compliant", "data_localization_confirmed", "ssl_certificates_valid")),
    Phase("5-6", "Pipeline", (
        "blue_green_deployment_tested", "rollback_procedures_verified", "performance_benchmarks_established")),
    Phase("7-8", "Observability", (
        "grafana_dashboards_created", "alerting_rules_defined", "log_aggregation_setup", "distributed_tracing_enabled",
        "audit_trail_enabled", "performance_benchmarks_met")),
    Phase("9-10", "Disaster recovery", (
        "automated_backup_configured", "cross_region_backup_verified", "backup_restoration_tested",
        "data_integrity_verified", "multi_region_deployment", "dns_failover_setup", "disaster_recovery_tested",
        "rto_rpo_validated")),
    Phase("11-12", "Going live", (
        "load_testing_completed", "stress_testing_passed", "auto_scaling_tested", "incident_response_plan",
        "business_continuity_plan", "incident_response_drills", "communication_plan_ready",
        "escalation_matrix_defined", "post_mortem_process_defined")),
)  # fmt: skip


def open_items(found: Assessment, phase: Phase) -> list[str]:
    return [name for name in phase.items if found.results[name].result is not Result.PASS]
