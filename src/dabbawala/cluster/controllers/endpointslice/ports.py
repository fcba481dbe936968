"""The ports of a Service as one pod has them: a named target port is looked up in the pod's containers."""

from __future__ import annotations

from dabbawala.apimachinery.meta import Object

Ports = tuple[tuple[tuple[str, object], ...], ...]
"""EndpointPorts as sorted items, so that pods with equal ports group together."""


def target_ports(service: Object, pod: Object) -> Ports:
    """One entry for each port of the Service that the pod has; a name that no container carries is left out. A
    headless Service without ports has none."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = _number(port, pod)
        if number is None:
            continue
        entry: Object = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        found.append(tuple(sorted(entry.items())))
    return tuple(found)


def fixed_ports(service: Object) -> Ports | None:
    """The same for every pod, when no target port is a name; None when pods must be looked at."""
    ports = service["spec"].get("ports") or ()
    if any(isinstance(port.get("targetPort"), str) for port in ports):
        return None
    return target_ports(service, {})


def _number(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    protocol = port.get("protocol") or "TCP"
    spec = pod.get("spec") or {}
    init = spec.get("initContainers")
    sidecars = [item for item in init if item.get("restartPolicy") == "Always"] if init else ()
    for container in (*(spec.get("containers") or ()), *sidecars):
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and (candidate.get("protocol") or "TCP") == protocol:
                return int(candidate["containerPort"])
    return None
