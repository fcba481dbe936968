"""The objects that every cluster begins with, made once at first start and left to their owners afterwards."""

from __future__ import annotations

from dabbawala.api import core_v1, node_v1, rbac_v1, scheduling_v1, storage_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import AlreadyExists
from dabbawala.client.client import Client

NAMESPACES = ("kube-system", "default", "kube-public", "kube-node-lease")
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
PROVISIONER = "dabbawala.dev/local"


MONITORING_USER = "system:monitoring"
MONITORING_ROLE = "system:dabbawala:monitoring"
MONITORING_RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["namespaces", "services"], "verbs": ["get", "create", "patch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "create", "patch"]},
]
"""It reads what it scrapes, and announces its own Service."""


def objects() -> list[tuple[Kind, Object]]:
    """In the order of their making."""
    return [
        *((core_v1.NAMESPACE, {"metadata": {"name": name}}) for name in NAMESPACES),
        (core_v1.SERVICE, _service("default", "kubernetes", API_SERVICE_ADDRESS, [_port("https", 443, "TCP")])),
        (
            core_v1.SERVICE,
            _service(
                "kube-system",
                "kube-dns",
                DNS_SERVICE_ADDRESS,
                [_port("dns", 53, "UDP"), _port("dns-tcp", 53, "TCP")],
                {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
            ),
        ),
        (storage_v1.STORAGE_CLASS, _storage_class()),
        *((node_v1.RUNTIME_CLASS, _runtime_class(name)) for name in ("process", "simulated")),
        (rbac_v1.CLUSTER_ROLE, {"metadata": {"name": MONITORING_ROLE}, "rules": MONITORING_RULES}),
        (rbac_v1.CLUSTER_ROLE_BINDING, _binding(MONITORING_ROLE, MONITORING_USER)),
        (scheduling_v1.PRIORITY_CLASS, _priority("system-cluster-critical", 2_000_000_000)),
        (scheduling_v1.PRIORITY_CLASS, _priority("system-node-critical", 2_000_001_000)),
    ]


async def apply(client: Client) -> None:
    for kind, obj in objects():
        try:
            await client.writing_as("dabbawala").create(kind, obj, meta.namespace(obj))
        except AlreadyExists:
            continue


def _service(
    namespace: str, name: str, address: str, ports: list[Object], labels: dict[str, str] | None = None
) -> Object:
    own = labels or {"component": "apiserver", "provider": "kubernetes"}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": own},
        "spec": {"clusterIP": address, "ports": ports},
    }


def _port(name: str, number: int, protocol: str) -> Object:
    return {"name": name, "port": number, "targetPort": number, "protocol": protocol}


def _storage_class() -> Object:
    return {
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _runtime_class(name: str) -> Object:
    scheduling = {"nodeSelector": {"dabbawala.dev/runtime": name}}
    return {"metadata": {"name": name}, "handler": name, "scheduling": scheduling}


def _binding(role: str, user: str) -> Object:
    return {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


def _priority(name: str, value: int) -> Object:
    return {"metadata": {"name": name}, "value": value, "description": "Used by the parts of the cluster itself."}
