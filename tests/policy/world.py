"""Objects of small clusters, as short as a test can say them."""

from __future__ import annotations

from typing import Any

from dabbawala.apimachinery.meta import ObjectKey

Object = dict[str, Any]


def key(text: str) -> ObjectKey:
    """`namespace/name`."""
    return ObjectKey(*text.split("/"))


def metadata(where: str, **labels: str) -> Object:
    found = key(where) if "/" in where else ObjectKey("", where)
    named = {"name": found.name, "labels": labels}
    return {**named, "namespace": found.namespace} if found.namespace else named


def pod(where: str, ports: str = "", *, node: str = "n1", ip: str = "", **labels: str) -> Object:
    """Ports as `http:8080 dns:53/UDP`; on the host network if they end in `@host`."""
    text, at, _ = ports.partition("@host")
    listed = []
    for part in text.split():
        name, _, number = part.partition(":")
        number, _, protocol = number.partition("/")
        listed.append({"name": name, "containerPort": int(number), "protocol": protocol or "TCP"})
    spec: Object = {"nodeName": node, "containers": [{"name": "main", "ports": listed}]}
    if at:
        spec["hostNetwork"] = True
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(where, **labels), "spec": spec,
        "status": {"phase": "Running", **({"podIP": ip} if ip else {})},
    }  # fmt: skip


def policy(where: str, spec: Object, **selected: str) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(where),
        "spec": {"podSelector": {"matchLabels": selected} if selected else {}, **spec},
    }  # fmt: skip


def service(where: str, ports: list[Object], *, selector: Object | None = None, **spec: Any) -> Object:
    full = {"ports": ports, **({"selector": selector} if selector else {}), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(where), "spec": full}


def matching(**labels: str) -> Object:
    return {"matchLabels": labels}
