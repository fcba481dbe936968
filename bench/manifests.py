"""Manifests to scan, the same on every machine: workloads, Services, policies and roles as teams write them, good and
bad in all mixtures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_TEAMS = ("payments", "search", "orders", "settlement", "streaming", "booking")
_IMAGES = (
    "registry.example.com/{team}/api:v{n}",
    "nginx",
    "registry.example.com/{team}/worker@sha256:" + "ab" * 32,
    "redis:latest",
)
APPLICATION, NAMESPACE = 25, 400
"""Of so many manifests, those of one team are one application, or stand in one namespace."""

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")
_OTHERS = ("Service", "ConfigMap", "NetworkPolicy", "Role", "Ingress")


def write(folder: Path, count: int, seed: int = 1, *, spread: bool = False) -> None:
    """`count` manifests, one file each, in a folder for each namespace."""
    for index, manifest in enumerate(manifests(count, seed, spread=spread)):
        home = folder / manifest["metadata"]["namespace"]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{index:05}-{manifest['kind'].lower()}.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


def manifests(count: int, seed: int = 1, *, spread: bool = False) -> Iterator[Manifest]:
    """With `spread` more manifests are more applications in more namespaces, not larger ones."""
    dice = random.Random(seed)
    for index in range(count):
        kind = dice.choice(_WORKLOADS if dice.random() < 0.7 else _OTHERS)
        team = dice.choice(_TEAMS)
        labels = {"app.kubernetes.io/name": f"{team}-{index // APPLICATION if spread else index % 50}"}
        namespace = f"{team}-{index // NAMESPACE}" if spread else team
        yield {
            "apiVersion": _VERSIONS[kind],
            "kind": kind,
            "metadata": {"name": f"{team}-{index}", "namespace": namespace, "labels": labels},
            **_body(kind, team, labels, dice),
        }


_VERSIONS = {
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
    "Pod": "v1", "Service": "v1", "ConfigMap": "v1", "NetworkPolicy": "networking.k8s.io/v1",
    "Role": "rbac.authorization.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
}  # fmt: skip


def _body(kind: str, team: str, labels: Manifest, dice: random.Random) -> Manifest:
    if kind in _WORKLOADS:
        return {"spec": _workload(kind, team, labels, dice)}
    if kind == "ConfigMap":
        return {"data": {"LOG_LEVEL": "info", "REGION": dice.choice(("ap-south-1", "us-east-1")), "CACHE_TTL": "300"}}
    if kind == "Role":
        verbs = ["*"] if dice.random() < 0.3 else ["get", "list", "watch"]
        return {"rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": verbs}]}
    return {"spec": _SPECS[kind](team, labels, dice)}


def _service(team: str, labels: Manifest, dice: random.Random) -> Manifest:
    kind = dice.choice(("ClusterIP", "NodePort", "LoadBalancer"))
    return {"type": kind, "selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}


def _policy(team: str, labels: Manifest, dice: random.Random) -> Manifest:
    peer = {} if dice.random() < 0.3 else {"from": [{"podSelector": {"matchLabels": labels}}]}
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [peer]}


def _ingress(team: str, labels: Manifest, dice: random.Random) -> Manifest:
    backend = {"service": {"name": team, "port": {"number": 80}}}
    rule = {"host": f"{team}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    tls = {"tls": [{"hosts": [f"{team}.example.com"], "secretName": f"{team}-tls"}]} if dice.random() < 0.6 else {}
    return {"ingressClassName": "nginx", "rules": [rule], **tls}


_SPECS = {"Service": _service, "NetworkPolicy": _policy, "Ingress": _ingress}


def _workload(kind: str, team: str, labels: Manifest, dice: random.Random) -> Manifest:
    pod = _pod(kind, team, dice)
    template = {"metadata": {"labels": labels}, "spec": pod}
    if kind == "Pod":
        return pod
    if kind == "CronJob":
        return {"schedule": "0 1 * * *", "jobTemplate": {"spec": {"template": template}}}
    if kind == "Job":
        return {"backoffLimit": 2, "template": template}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    if kind != "DaemonSet":
        spec["replicas"] = dice.choice((1, 2, 3, 50))
    if kind == "StatefulSet":
        spec["serviceName"] = team
    return spec


def _pod(kind: str, team: str, dice: random.Random) -> Manifest:
    containers = [_container(f"c{index}", team, dice) for index in range(dice.choice((1, 1, 1, 2, 3)))]
    pod: Manifest = {"containers": containers}
    if kind in ("Job", "CronJob"):
        pod["restartPolicy"] = "Never"
    if dice.random() < 0.5:
        pod["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if dice.random() < 0.5:
        pod |= {"serviceAccountName": team, "automountServiceAccountToken": False}
    if dice.random() < 0.1:
        pod["hostNetwork"] = True
    if dice.random() < 0.2:
        pod["volumes"] = [{"name": "data", "hostPath": {"path": "/var/log"}}]
    return pod


def _container(name: str, team: str, dice: random.Random) -> Manifest:
    image = dice.choice(_IMAGES).format(team=team, n=dice.randrange(9))
    container: Manifest = {"name": name, "image": image, "ports": [{"containerPort": 8080}]}
    if dice.random() < 0.6:
        container["resources"] = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
    if dice.random() < 0.5:
        container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 8080}}
        container["livenessProbe"] = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 30}
    if dice.random() < 0.6:
        container["securityContext"] = _security(dice)
    if dice.random() < 0.3:
        container["env"] = [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    return container


def _security(dice: random.Random) -> Manifest:
    if dice.random() < 0.1:
        return {"privileged": True}
    return {
        "allowPrivilegeEscalation": dice.random() < 0.2,
        "readOnlyRootFilesystem": dice.random() < 0.6,
        "capabilities": {"drop": ["ALL"]} if dice.random() < 0.7 else {"add": ["NET_ADMIN"]},
    }
