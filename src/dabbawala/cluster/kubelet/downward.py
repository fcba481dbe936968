"""The downward API: fields of a pod and resources of its containers, as text. Pure.

Source: "Downward API" in the Kubernetes documentation; pkg/fieldpath, pkg/api/v1/resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from dabbawala.apimachinery import meta, quantity
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.node import Machine

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class BadField(Exception):
    """A field or resource that the downward API does not offer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs: what fields of status say before they are published."""

    node_name: str
    node_address: str
    pod_address: str
    machine: Machine


def field(pod: Mapping[str, Any], path: str, place: Place) -> str:
    """The text of one fieldRef. Raises BadField."""
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((meta.metadata(pod).get(subscript.group(1)) or {}).get(subscript.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = meta.metadata(pod).get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(pairs[key])}" for key in sorted(pairs))
    values = {
        "metadata.name": meta.name(pod),
        "metadata.namespace": meta.namespace(pod),
        "metadata.uid": meta.uid(pod),
        "spec.nodeName": place.node_name,
        "spec.serviceAccountName": str(pod_spec.spec(pod).get("serviceAccountName") or ""),
        "status.hostIP": place.node_address,
        "status.hostIPs": place.node_address,
        "status.podIP": place.pod_address,
        "status.podIPs": place.pod_address,
    }
    if path not in values:
        raise BadField(f"unsupported fieldPath: {path}")
    return values[path]


def _quoted(text: str) -> str:
    """Go's %q, as far as labels and annotations go."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def resource(item: Object, path: str, divisor: str, place: Place) -> str:
    """The text of one resourceFieldRef: the amount over the divisor, rounded up. A limit that is not set is what the
    node offers. Raises BadField."""
    kind, _, name = path.partition(".")
    if kind not in ("requests", "limits") or name not in ("cpu", "memory", "ephemeral-storage"):
        raise BadField(f"unsupported container resource: {path}")
    amount = pod_spec.amount(item, kind, name)
    if amount is None and kind == "requests":
        amount = pod_spec.amount(item, "limits", name)
    if amount is None:
        amount = _offered(name, place.machine) if kind == "limits" else Decimal()
    unit = quantity.parse(divisor) if divisor and divisor != "0" else Decimal(1)
    return str(int((amount / unit).to_integral_value(ROUND_CEILING)))


def _offered(name: str, machine: Machine) -> Decimal:
    if name == "cpu":
        return Decimal(machine.cpu_milli) / 1000
    return Decimal(machine.memory_bytes if name == "memory" else machine.storage_bytes)
