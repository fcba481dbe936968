"""Whether a node takes a pod that was bound to it: the kubelet's own check, after the scheduler's. Pure.

A pod that is refused is Failed with the reason (`OutOfcpu`, `NodeAffinity`, …) and its owner makes another one.
Source: pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/sysctl/allowlist.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.node import Machine
from dabbawala.cluster.sandbox import sysctls


@dataclass(frozen=True, slots=True)
class Usage:
    """What pods ask of a node together: thousandths of a core, bytes, pods."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pods: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.cpu_milli + other.cpu_milli, self.memory_bytes + other.memory_bytes, self.pods + other.pods
        )  # fmt: skip

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.cpu_milli - other.cpu_milli, self.memory_bytes - other.memory_bytes, self.pods - other.pods
        )  # fmt: skip


def usage(pod: Mapping[str, Any]) -> Usage:
    return Usage(int(pod_spec.request(pod, "cpu") * 1000), int(pod_spec.request(pod, "memory")), 1)


def refuse_resources(asked: Usage, used: Usage, machine: Machine) -> tuple[str, str] | None:
    """Reason and message if the node has not enough left."""
    for resource, needed, taken, capacity in (
        ("pods", asked.pods, used.pods, machine.pods),
        ("cpu", asked.cpu_milli, used.cpu_milli, machine.cpu_milli),
        ("memory", asked.memory_bytes, used.memory_bytes, machine.memory_bytes),
    ):
        if needed and taken + needed > capacity:
            message = (
                f"Node didn't have enough resource: {resource}, requested: {needed}, used: {taken}, "
                f"capacity: {capacity}"
            )
            return f"OutOf{resource}", message
    return None


def refuse_selector(pod: Mapping[str, Any], node: Mapping[str, Any]) -> tuple[str, str] | None:
    """Reason and message if the pod's nodeSelector does not fit the node."""
    wanted = pod_spec.spec(pod).get("nodeSelector") or {}
    if wanted.items() <= meta.labels(node).items():
        return None
    return "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"


def refuse_sysctls(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """Reason and message if the pod asks for kernel settings that are not its own namespaces'."""
    for name in map(sysctls.dotted, pod_spec.sysctls(pod)):
        if not sysctls.is_allowed(name):
            return sysctls.FORBIDDEN, sysctls.refusal(name)
    return None
