"""The Node object of an agent: what the machine offers, where it is, how it is reached. Pure, given the facts."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dabbawala import __name__ as product
from dabbawala.apimachinery import clock, meta, schema
from dabbawala.apimachinery.conditions import find_in
from dabbawala.apimachinery.meta import Object

SOCKET_ANNOTATION = "dabbawala.dev/kubelet-socket"
HANDLERS = ("process", "simulated")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node offers: thousandths of a core, bytes, pods. `system_id` tells machines apart."""

    cpu_milli: int
    memory_bytes: int
    pods: int = 110
    storage_bytes: int = 0
    kernel: str = ""
    os_image: str = ""
    system_id: str = ""
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """How one node is registered."""

    name: str
    address: str
    machine: Machine
    runtime: str = "process"
    zone: str = ""
    region: str = ""
    pod_cidr: str = ""
    socket: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()


def this_machine(*, pods: int = 110, storage_path: str = "/") -> Machine:
    """The machine this process runs on."""
    filesystem = os.statvfs(storage_path)
    return Machine(
        cpu_milli=(os.cpu_count() or 1) * 1000,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        pods=pods,
        storage_bytes=filesystem.f_blocks * filesystem.f_frsize,
        kernel=platform.release(),
        os_image=_os_image(),
        system_id=_first_line("/etc/machine-id"),
        boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
    )


def with_offer(machine: Machine, *, cpu_milli: int, memory_bytes: int) -> Machine:
    """The same machine, of which the node offers this much."""
    return replace(machine, cpu_milli=cpu_milli, memory_bytes=memory_bytes)


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return ""


def new_node(identity: NodeIdentity) -> Object:
    """The Node to create; its status is written separately."""
    spec: Object = {}
    if identity.pod_cidr:
        spec = {"podCIDR": identity.pod_cidr, "podCIDRs": [identity.pod_cidr]}
    if identity.taints:
        spec["taints"] = list(identity.taints)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": identity.name, "labels": node_labels(identity), "annotations": node_annotations(identity)},
        "spec": spec,
    }


def node_labels(identity: NodeIdentity) -> dict[str, str]:
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    found = {
        "kubernetes.io/hostname": identity.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
        "topology.kubernetes.io/zone": identity.zone,
        "topology.kubernetes.io/region": identity.region,
    }
    return {name: value for name, value in found.items() if value} | dict(identity.labels)


def node_annotations(identity: NodeIdentity) -> dict[str, str]:
    own = {SOCKET_ANNOTATION: identity.socket} if identity.socket else {}
    return own | dict(identity.annotations)


def missing_metadata(node: Mapping[str, Any], identity: NodeIdentity) -> Object | None:
    """A merge patch for labels and annotations that a node from an earlier run lacks or has otherwise."""
    patch: Object = {}
    for name, wanted, found in (
        ("labels", node_labels(identity), meta.labels(node)),
        ("annotations", node_annotations(identity), meta.annotations(node)),
    ):
        changed = {key: value for key, value in wanted.items() if found.get(key) != value}
        if changed:
            patch[name] = changed
    return {"metadata": patch} if patch else None


def status(identity: NodeIdentity, old: Mapping[str, Any], now: datetime, *, trouble: str = "") -> Object:
    """The node's status. `old` is the status it has; `trouble` is why the node is not ready, empty when it is."""
    machine = identity.machine
    resources = {
        "cpu": f"{machine.cpu_milli}m" if machine.cpu_milli % 1000 else str(machine.cpu_milli // 1000),
        "memory": f"{machine.memory_bytes // 1024}Ki",
        "pods": str(machine.pods),
        "ephemeral-storage": f"{machine.storage_bytes // 1024}Ki",
    }
    return {
        "capacity": resources,
        "allocatable": dict(resources),
        "conditions": _conditions(old.get("conditions") or (), now, trouble),
        "addresses": [
            {"type": "InternalIP", "address": identity.address},
            {"type": "Hostname", "address": identity.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": _node_info(identity),
        "runtimeHandlers": [{"name": handler, "features": {"recursiveReadOnlyMounts": True, "userNamespaces": True}}
                            for handler in HANDLERS],
    }  # fmt: skip


def _node_info(identity: NodeIdentity) -> Object:
    machine = identity.machine
    return {
        "machineID": machine.system_id,
        "systemUUID": machine.system_id,
        "bootID": machine.boot_id,
        "kernelVersion": machine.kernel,
        "osImage": machine.os_image,
        "containerRuntimeVersion": f"{product}-{identity.runtime}://1",
        "kubeletVersion": f"v{schema.kubernetes_version()}",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    }


def _conditions(old: Any, now: datetime, trouble: str) -> list[Object]:
    stamp = clock.format_time(now)
    wanted = [
        (name, "False", reason, message) for name, (reason, message) in _PRESSURES.items()
    ]  # fmt: skip
    if trouble:
        wanted.append(("Ready", "False", "KubeletNotReady", trouble))
    else:
        wanted.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    found: list[Object] = [item for item in old if item.get("type") not in {name for name, *_ in wanted}]
    for name, value, reason, message in wanted:
        before = find_in(old, name)
        moved = before is None or before.get("status") != value
        found.append({
            "type": name, "status": value, "reason": reason, "message": message, "lastHeartbeatTime": stamp,
            "lastTransitionTime": stamp if moved or before is None else before.get("lastTransitionTime", stamp),
        })  # fmt: skip
    return found
