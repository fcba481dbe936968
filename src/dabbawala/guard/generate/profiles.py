"""What namespaces start from, by what is kept in them. Amounts are where to begin, not what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dabbawala.apimachinery.meta import Object

AUDIT_PATH = "/var/log/audit"
PODS_FROM, PODS_TO = 1000, 65_535


@dataclass(frozen=True, slots=True)
class Profile:
    """`labels` and `annotations` of the Namespace; `hard` is its quota; `zone` selects the namespaces that one policy
    for pods is bound to, empty where Pod Security alone is enough; `operator` is the prefix of its operators' role."""

    name: str
    labels: Mapping[str, str]
    hard: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    zone: Mapping[str, str] = field(default_factory=dict)
    operator: str = ""


_MONEY_QUOTA = {
    "requests.cpu": "60", "requests.memory": "120Gi", "limits.cpu": "120", "limits.memory": "240Gi", "pods": "120",
    "services": "20",
}  # fmt: skip
PROFILES: Mapping[str, Profile] = {
    "banking": Profile(
        "banking",
        labels={
            "data-class": "payment", "criticality": "critical", "environment": "production", "compliance": "pci-dss",
            "data-residency": "india", "security-zone": "financial",
        },
        hard=_MONEY_QUOTA,
        annotations={"guard.dabbawala.dev/encryption": "required", "guard.dabbawala.dev/audit": "all-transactions"},
        zone={"security-zone": "financial"},
        operator="banking-operator",
    ),
    "payments": Profile(
        "payments",
        labels={
            "data-class": "card", "criticality": "critical", "environment": "production", "compliance": "pci-dss",
            "data-residency": "india", "security-zone": "cardholder-data",
        },
        hard=_MONEY_QUOTA,
        annotations={"guard.dabbawala.dev/encryption": "required", "guard.dabbawala.dev/audit": "all-transactions"},
        zone={"security-zone": "cardholder-data"},
    ),
    "default": Profile(
        "default",
        labels={"data-class": "internal", "criticality": "medium", "environment": "production"},
        hard={
            "requests.cpu": "10", "requests.memory": "20Gi", "limits.cpu": "20", "limits.memory": "40Gi", "pods": "50",
            "services": "10",
        },
    ),
}  # fmt: skip

_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch"]
DESCRIBED: list[Object] = [
    {"apiGroups": [""], "resources": ["pods", "services", "configmaps", "secrets"], "verbs": _WRITE},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": _WRITE},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get", "list"]},
]
"""What operators of a bank are described to do: daily work, without commands in pods."""
LEAST: list[Object] = [
    {"apiGroups": [""], "resources": ["pods", "pods/log", "services", "configmaps", "events"], "verbs": _READ},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": _READ},
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "update", "patch"]},
]
"""The same work where versions and settings come from Git: nobody reads Secrets or starts pods."""
OPERATORS: Mapping[str, list[Object]] = {"described": DESCRIBED, "least": LEAST}
