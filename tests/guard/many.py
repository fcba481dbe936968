"""Any number of objects as many teams have them: workloads, and everything around them that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dabbawala.apimachinery.meta import Object

_PER_APP = 9


def objects(count: int, namespaces: int) -> Iterator[Object]:
    for number in range(namespaces):
        labels = {"environment": "production", **({"data-class": "card"} if number % 7 == 0 else {})}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}", "labels": labels}}
        yield _of(
            "networking.k8s.io/v1", "NetworkPolicy", {"name": "deny", "namespace": f"team-{number}"},
            {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        )  # fmt: skip
    for number in range((count - 2 * namespaces) // _PER_APP):
        yield from _application(f"app-{number}", f"team-{number % namespaces}")


def _application(name: str, namespace: str) -> Iterator[Object]:
    metadata, labels = {"name": name, "namespace": namespace}, {"app": name}
    selector = {"matchLabels": labels}
    template = {"metadata": {"labels": labels}, "spec": _pod(name)}
    workload = {"replicas": 2, "selector": selector, "template": template}
    ports = [{"port": 80, "targetPort": "http"}]
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": f"{name}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    peers = [{"podSelector": selector}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    yield _of("apps/v1", "Deployment", metadata, workload)
    yield _of("v1", "Service", metadata, {"selector": labels, "ports": ports})
    yield _of("policy/v1", "PodDisruptionBudget", metadata, {"maxUnavailable": 1, "selector": selector})
    yield _of(
        "networking.k8s.io/v1", "NetworkPolicy", metadata, {"podSelector": selector, "ingress": [{"from": peers}]}
    )
    yield _of("networking.k8s.io/v1", "Ingress", metadata, {"ingressClassName": "nginx", "rules": [rule]})
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"level": "info"}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }  # fmt: skip


def _pod(name: str) -> Object:
    level = {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": name, "key": "level"}}}
    ports = [{"name": "http", "containerPort": 8080}]
    container = {"name": "main", "image": f"registry.example.com/{name}:1", "ports": ports, "env": [level]}
    return {"serviceAccountName": name, "containers": [container]}


def _of(api_version: str, kind: str, metadata: dict[str, str], spec: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
