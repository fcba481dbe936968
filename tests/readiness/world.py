"""A cluster in which every item passes, as objects that a test may take away from or break."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import measuring, sources
from dabbawala.readiness.assessment import Assessment, assess
from dabbawala.readiness.catalogue import ITEMS
from dabbawala.readiness.items.security import AUDIT_EVENTS
from dabbawala.readiness.judgement import Judgement
from dabbawala.readiness.observed import Measurement, Observed
from tests.readiness.given import DIGEST, NAMESPACE, NOW, SERVICE, TRUST, ago, attested, chained, signed, spec

EVIDENCES = "evidences.readiness.dabbawala.dev"
HOST = "web.shop.example.com"
LABELS = {"app": SERVICE}
ATTESTED = (
    "rbi_compliance_verified", "pci_dss_compliant", "incident_response_plan", "business_continuity_plan",
    "incident_response_drills", "communication_plan_ready", "escalation_matrix_defined", "post_mortem_process_defined",
)  # fmt: skip
IMPORTED: dict[str, Object] = {
    "multi_region_deployment": {"details": {"region": "asia-south2"}},
    "container_image_scanned": {
        "details": {"critical": "0", "high": "2", "score": "96"}, "subjects": [{"name": "web", "hash": DIGEST}],
    },
    "vulnerability_patching": {
        "details": {"critical": "0", "high": "2", "overdue": "0"}, "subjects": [{"name": "web", "hash": DIGEST}],
    },
    "secrets_encrypted": {},
    "audit_trail_enabled": {"details": {"retentionDays": "365"}},
    "dns_failover_setup": {},
    "disaster_recovery_tested": {},
    "rto_rpo_validated": {"details": {"rtoSeconds": "222", "rpoSeconds": "0"}},
    "data_integrity_verified": {"details": {"mismatches": "0"}},
    "load_testing_completed": {
        "details": {"targetRate": "200", "achievedRate": "210"}, "subjects": [{"name": "web", "hash": DIGEST}],
    },
    "stress_testing_passed": {"subjects": [{"name": "web", "hash": DIGEST}]},
}  # fmt: skip


def said(item: str, **other: Any) -> Object:
    """The signed record that makes an item pass, or one that differs in something."""
    return signed(spec(item, **{**IMPORTED[item], **other}))


@dataclass
class World:
    """`records` are specs of evidence, put into a chain when it is looked at."""

    objects: dict[str, list[Object]]
    records: list[Object]
    measurements: dict[str, Measurement]
    rules: list[Object] | None
    hidden: dict[str, str] = field(default_factory=dict)

    def observed(self) -> Observed:
        objects = {**self.objects} | ({} if EVIDENCES in self.hidden else {EVIDENCES: chained(*self.records)})
        return Observed(SERVICE, NAMESPACE, NOW, objects, self.hidden, self.measurements, self.rules, TRUST)

    def assess(self, profile: str = "standard") -> Assessment:
        return assess(self.observed(), profile)

    def judge(self, item: str) -> Judgement:
        return self.assess().results[item]

    def __getitem__(self, resource: str) -> Object:
        """The first of a resource."""
        return self.objects[resource][0]

    def remove(self, *resources: str) -> None:
        """As if the cluster did not serve them."""
        for resource in resources:
            self.objects.pop(resource, None)

    def empty(self, *resources: str) -> None:
        for resource in resources:
            self.objects[resource] = []

    def forget(self, *items: str) -> None:
        self.records = [record for record in self.records if record["item"] not in items]

    def say(self, record: Object) -> None:
        """In place of what was said of that item."""
        self.forget(record["item"])
        self.records.append(record)


def ready() -> World:
    return copy.deepcopy(_ready())


@cache
def _ready() -> World:
    found: dict[str, list[Object]] = {}
    for resource, obj in _objects():
        found.setdefault(resource, []).append(obj)
    for kind in (*sources.OF_NAMESPACE, *sources.OF_CLUSTER):
        if kind not in (sources.VULNERABILITY_REPORT, sources.GSLB, sources.DNS_ENDPOINT, sources.SCALED_OBJECT):
            found.setdefault(kind.resource, [])
    return World(found, [*(said(item) for item in IMPORTED), *map(attested, ATTESTED)], _measurements(), [{
        "name": "Down", "query": f'up{{pod=~"{SERVICE}-.*"}} == 0', "health": "ok",
    }])  # fmt: skip


def _measurements() -> dict[str, Measurement]:
    values = {measuring.SCRAPED: 2.0, measuring.TRACES: 4.0, measuring.REQUESTS: 180.0, measuring.FAILED: 0.0}
    values |= {measuring.P95: 120.0, AUDIT_EVENTS: 5000.0}
    return {name: Measurement(name, value) for name, value in values.items()}


def made(kind: str, name: str, *, namespace: str = NAMESPACE, **fields: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": ago(days=2)}
    metadata |= fields.pop("metadata", {})
    return {"kind": kind, "metadata": metadata, **fields}


def _objects() -> Iterable[tuple[str, Object]]:
    contact = {"on-call": "+91 22 5550 1234", "devops": "ops@shop.in", "security": "sec@shop.in"}
    contact["war-room"] = "https://meet.shop.in/war-room"
    annotations = {f"readiness.dabbawala.dev/contact-{role}": value for role, value in contact.items()}
    yield "namespaces", made("Namespace", NAMESPACE, namespace="", metadata={"annotations": annotations})
    for number, region in ((1, "ap-south-1"), (2, "ap-south-1")):
        labels = {"topology.kubernetes.io/region": region}
        status = {"allocatable": {"cpu": "16", "memory": "64Gi"}}
        yield "nodes", made("Node", f"n{number}", namespace="", metadata={"labels": labels}, status=status)
        yield "pods", _pod(f"{SERVICE}-aa-{number}", f"n{number}")
        usage = {"name": SERVICE, "usage": {"cpu": "100m", "memory": "256Mi"}}
        yield "pods.metrics.k8s.io", made("PodMetrics", f"{SERVICE}-aa-{number}", containers=[usage])
    yield from _release()
    yield from _doors()
    yield from _rights()
    yield from _kept()


def _pod(name: str, node: str) -> Object:
    status = {
        "phase": "Running", "podIP": "10.1.0.9", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": SERVICE, "image": "registry.example.com/web:2", "imageID": f"web@{DIGEST}"}],
    }  # fmt: skip
    return made("Pod", name, metadata={"labels": LABELS}, spec={"nodeName": node, "containers": []}, status=status)


def _release() -> Iterable[tuple[str, Object]]:
    resources = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    probe = {"httpGet": {"path": "/ready", "port": 8080}}
    container = {"name": SERVICE, "image": "web:2", "resources": resources, "readinessProbe": probe}
    container["ports"] = [{"containerPort": 8080}]
    template = {
        "metadata": {"labels": LABELS, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {"serviceAccountName": SERVICE, "containers": [container]},
    }
    strategy = {
        "blueGreen": {"activeService": SERVICE, "prePromotionAnalysis": {"templates": [{"templateName": "good"}]}}
    }
    yield "rollouts.argoproj.io", made(
        "Rollout", SERVICE, apiVersion="argoproj.io/v1alpha1",
        spec={"replicas": 2, "selector": {"matchLabels": LABELS}, "strategy": strategy, "template": template},
        status={"stableRS": "aa", "blueGreen": {"activeSelector": "aa"}, "phase": "Healthy"},
    )  # fmt: skip
    yield "replicasets.apps", replica_set("aa", "3", history="1")
    yield "replicasets.apps", replica_set("bb", "2")
    queries = {
        "metrics": [{"query": 'rate(http_requests_total{status=~"5.."}[1m])'}, {"query": "histogram_quantile(0.95, x)"}]
    }
    yield "analysistemplates.argoproj.io", made("AnalysisTemplate", "good", spec=queries)
    yield "horizontalpodautoscalers.autoscaling", made(
        "HorizontalPodAutoscaler", SERVICE,
        spec={"scaleTargetRef": {"kind": "Rollout", "name": SERVICE}, "minReplicas": 2, "maxReplicas": 6,
              "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]},
        status={"lastScaleTime": ago(days=3), "conditions": [{"type": "ScalingActive", "status": "True"}]},
    )  # fmt: skip


def replica_set(hash_: str, revision: str, history: str = "") -> Object:
    annotations = {"rollout.argoproj.io/revision": revision}
    annotations |= {"rollout.argoproj.io/revision-history": history} if history else {}
    owner = {"kind": "Rollout", "name": SERVICE, "uid": f"uid-{SERVICE}", "controller": True}
    metadata = {"labels": {**LABELS, "rollouts-pod-template-hash": hash_}, "annotations": annotations}
    return made("ReplicaSet", f"{SERVICE}-{hash_}", metadata=metadata | {"ownerReferences": [owner]}, spec={})


def _doors() -> Iterable[tuple[str, Object]]:
    yield "services", made("Service", SERVICE, spec={"type": "ClusterIP", "selector": LABELS, "ports": [{"port": 80}]})
    yield "endpointslices.discovery.k8s.io", made(
        "EndpointSlice", f"{SERVICE}-1", metadata={"labels": {"kubernetes.io/service-name": SERVICE}},
        endpoints=[{"addresses": ["10.1.0.9"], "conditions": {"ready": True}}],
    )  # fmt: skip
    backend = {"service": {"name": SERVICE, "port": {"number": 80}}}
    yield "ingresses.networking.k8s.io", made("Ingress", SERVICE, spec={
        "tls": [{"hosts": [HOST], "secretName": "web-tls"}],
        "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "backend": backend}]}}],
    }, status={"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}})  # fmt: skip
    yield "secrets", made("Secret", "web-tls", type="kubernetes.io/tls", data={"tls.crt": certificate()})
    yield "networkpolicies.networking.k8s.io", made("NetworkPolicy", SERVICE, spec={
        "podSelector": {"matchLabels": LABELS}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {}}]}], "egress": [{"to": [{"podSelector": {}}]}],
    })  # fmt: skip


def _rights() -> Iterable[tuple[str, Object]]:
    yield "serviceaccounts", made("ServiceAccount", SERVICE)
    yield "policyreports.wgpolicyk8s.io", made(
        "PolicyReport", "dabbawala-guard", summary={"pass": 9},
        metadata={"annotations": {
            "guard.dabbawala.dev/checks": "WL-01,RBAC-01,RBAC-02", "guard.dabbawala.dev/scanned-at": ago(hours=3)}},
        results=[],
    )  # fmt: skip
    yield "validatingadmissionpolicybindings.admissionregistration.k8s.io", made(
        "ValidatingAdmissionPolicyBinding", "wl-01", namespace="",
        spec={"policyName": "wl-01-privileged.guard.dabbawala.dev", "validationActions": ["Deny"]},
    )  # fmt: skip


def _kept() -> Iterable[tuple[str, Object]]:
    board = '{"title": "web", "panels": [{"targets": [{"expr": "up{service=\\"web\\"}"}]}]}'
    yield (
        "configmaps",
        made("ConfigMap", "board", metadata={"labels": {"grafana_dashboard": "1"}}, data={"web.json": board}),
    )
    shipper = {"template": {"spec": {"containers": [{"image": "fluent/fluent-bit:3"}]}}}
    status = {"numberReady": 2, "desiredNumberScheduled": 2}
    yield "daemonsets.apps", made("DaemonSet", "logs", namespace="logging", spec=shipper, status=status)
    yield "schedules.velero.io", made("Schedule", "daily", namespace="velero", spec={"template": {}})
    for name, region in (("default", "ap-south-1"), ("far", "ap-south-2")):
        yield (
            "backupstoragelocations.velero.io",
            made("BackupStorageLocation", name, namespace="velero", spec={"config": {"region": region}}),
        )
        yield "backups.velero.io", made(
            "Backup", f"daily-{name}", namespace="velero", spec={"storageLocation": name},
            status={"phase": "Completed", "completionTimestamp": ago(hours=6)},
        )  # fmt: skip
    yield "restores.velero.io", made(
        "Restore", "try", namespace="velero", spec={"backupName": "daily-far"},
        status={"phase": "Completed", "completionTimestamp": ago(days=20)},
    )  # fmt: skip


def certificate(host: str = HOST, days: int = 90, *, ago_days: int = 1, broken: bool = False) -> str:
    """A leaf and its authority; `broken` has another authority than the one that signed."""
    authority_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    start, end = NOW - timedelta(days=ago_days), NOW + timedelta(days=days)
    authority = _certificate("CA", authority_key.public_key(), "CA", authority_key, (start, NOW + timedelta(days=900)))
    signer = ec.generate_private_key(ec.SECP256R1()) if broken else authority_key
    leaf = _certificate(host, leaf_key.public_key(), "CA", signer, (start, end))
    return base64.b64encode(b"".join(item.public_bytes(Encoding.PEM) for item in (leaf, authority))).decode()


def _certificate(name: str, public: Any, issuer: str, key: Any, valid: tuple[datetime, datetime]) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    made = x509.CertificateBuilder().subject_name(called(name)).issuer_name(called(issuer)).public_key(public)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(valid[0]).not_valid_after(valid[1])
    return made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(
        key, hashes.SHA256()
    )


ALL = tuple(item.id for item in ITEMS)
