"""Where a look at a service reads from: kinds, and how far around the service each is read.

Kinds of other projects are named here by what a client needs: their REST path. Where a cluster does not serve one,
that is known too, and is a reason to be unknown, never to pass.
"""

from __future__ import annotations

from dabbawala.api import (
    admissionregistration_v1,
    apps_v1,
    argoproj_v1alpha1,
    autoscaling_v2,
    core_v1,
    discovery_v1,
    guard_v1alpha1,
    metrics_v1beta1,
    networking_v1,
    policy_v1,
    rbac_v1,
    readiness_v1alpha1,
    wgpolicyk8s_v1alpha2,
)
from dabbawala.api.kind import Kind

VULNERABILITY_REPORT = Kind(
    group="aquasecurity.github.io", version="v1alpha1", kind="VulnerabilityReport", plural="vulnerabilityreports"
)
PROMETHEUS_RULE = Kind(group="monitoring.coreos.com", version="v1", kind="PrometheusRule", plural="prometheusrules")
SERVICE_MONITOR = Kind(group="monitoring.coreos.com", version="v1", kind="ServiceMonitor", plural="servicemonitors")
POD_MONITOR = Kind(group="monitoring.coreos.com", version="v1", kind="PodMonitor", plural="podmonitors")
DASHBOARD = Kind(
    group="grafana.integreatly.org", version="v1beta1", kind="GrafanaDashboard", plural="grafanadashboards"
)
SCALED_OBJECT = Kind(group="keda.sh", version="v1alpha1", kind="ScaledObject", plural="scaledobjects")
GSLB = Kind(group="k8gb.absa.oss", version="v1beta1", kind="Gslb", plural="gslbs")
DNS_ENDPOINT = Kind(group="externaldns.k8s.io", version="v1alpha1", kind="DNSEndpoint", plural="dnsendpoints")
SCHEDULE = Kind(group="velero.io", version="v1", kind="Schedule", plural="schedules")
BACKUP = Kind(group="velero.io", version="v1", kind="Backup", plural="backups")
RESTORE = Kind(group="velero.io", version="v1", kind="Restore", plural="restores")
BACKUP_LOCATION = Kind(
    group="velero.io", version="v1", kind="BackupStorageLocation", plural="backupstoragelocations"
)  # fmt: skip

OF_NAMESPACE = (
    argoproj_v1alpha1.ROLLOUT,
    argoproj_v1alpha1.ANALYSIS_TEMPLATE,
    argoproj_v1alpha1.ANALYSIS_RUN,
    apps_v1.DEPLOYMENT,
    apps_v1.STATEFUL_SET,
    apps_v1.REPLICA_SET,
    core_v1.POD,
    core_v1.SERVICE,
    core_v1.SECRET,
    core_v1.SERVICE_ACCOUNT,
    core_v1.RESOURCE_QUOTA,
    core_v1.PERSISTENT_VOLUME_CLAIM,
    discovery_v1.ENDPOINT_SLICE,
    autoscaling_v2.HORIZONTAL_POD_AUTOSCALER,
    policy_v1.POD_DISRUPTION_BUDGET,
    networking_v1.INGRESS,
    networking_v1.NETWORK_POLICY,
    metrics_v1beta1.POD_METRICS,
    readiness_v1alpha1.EVIDENCE,
    wgpolicyk8s_v1alpha2.POLICY_REPORT,
    VULNERABILITY_REPORT,
    PROMETHEUS_RULE,
    SERVICE_MONITOR,
    POD_MONITOR,
    SCALED_OBJECT,
    GSLB,
    DNS_ENDPOINT,
)
"""Read in the service's own namespace."""

OF_CLUSTER = (
    core_v1.NODE,
    core_v1.NAMESPACE,
    apps_v1.DAEMON_SET,
    rbac_v1.ROLE,
    rbac_v1.ROLE_BINDING,
    rbac_v1.CLUSTER_ROLE,
    rbac_v1.CLUSTER_ROLE_BINDING,
    admissionregistration_v1.VALIDATING_ADMISSION_POLICY_BINDING,
    guard_v1alpha1.POLICY_EXCEPTION,
    wgpolicyk8s_v1alpha2.CLUSTER_POLICY_REPORT,
    DASHBOARD,
    SCHEDULE,
    BACKUP,
    RESTORE,
    BACKUP_LOCATION,
)
"""Read everywhere: an account may have rights in other namespaces, and backups lie elsewhere."""

DASHBOARD_LABEL = "grafana_dashboard"
"""Of ConfigMaps that hold dashboards, by the convention of Grafana's sidecar; these are read everywhere."""

SYSTEM_NAMESPACE = "kube-system"
API_SERVERS = "component=kube-apiserver"
"""Pods of the system's namespace that are the API server, on clusters that run it themselves."""


def known(resource: str) -> Kind | None:
    return _BY_RESOURCE.get(resource)


_BY_RESOURCE = {kind.resource: kind for kind in (*OF_NAMESPACE, *OF_CLUSTER, core_v1.CONFIG_MAP)}
