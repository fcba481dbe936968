"""How the kinds of the core group look in a table. Source: pkg/printers/internalversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dabbawala.api import cells
from dabbawala.api.kind import Column
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object

_ROLE_PREFIX = "node-role.kubernetes.io/"
_MODES = (
    ("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"),
)  # fmt: skip
_UNSET = "<unset>"


def _node_status(node: Object) -> str:
    ready = conditions.find(node, "Ready")
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if cells.spec(node).get("unschedulable") else shown


def _node_roles(node: Object) -> str:
    labels = meta.labels(node)
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles |= {value for key, value in labels.items() if key == "kubernetes.io/role" and value}
    return cells.joined(sorted(role for role in roles if role))


def _node_address(kind: str) -> Any:
    def read(node: Object) -> object:
        addresses: Iterable[Mapping[str, Any]] = cells.status(node).get("addresses") or ()
        return next((item["address"] for item in addresses if item.get("type") == kind), cells.NONE)

    return read


def _node_info(field: str, missing: str = cells.UNKNOWN) -> Any:
    return lambda node: (cells.status(node).get("nodeInfo") or {}).get(field) or missing


NODE = (
    cells.NAME,
    cells.column("Status", _node_status),
    cells.column("Roles", _node_roles),
    cells.AGE,
    cells.column("Version", _node_info("kubeletVersion", "")),
    cells.column("Internal-IP", _node_address("InternalIP"), wide=True),
    cells.column("External-IP", _node_address("ExternalIP"), wide=True),
    cells.column("OS-Image", _node_info("osImage"), wide=True),
    cells.column("Kernel-Version", _node_info("kernelVersion"), wide=True),
    cells.column("Container-Runtime", _node_info("containerRuntimeVersion"), wide=True),
)
NAMESPACE = (cells.NAME, cells.column("Status", lambda obj: cells.status(obj).get("phase") or ""), cells.AGE)


def _external_address(service: Object) -> str:
    spec = cells.spec(service)
    own = spec.get("externalIPs") or []
    if spec.get("type") == "ExternalName":
        return spec.get("externalName") or ""
    if spec.get("type") != "LoadBalancer":
        return cells.joined(own)
    ingress = (cells.status(service).get("loadBalancer") or {}).get("ingress") or ()
    addresses = [item.get("ip") or item.get("hostname") for item in ingress]
    return ",".join([address for address in addresses if address] + own) or "<pending>"


def _port(port: Mapping[str, Any]) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol')}"


def _cluster_address(service: Object) -> str:
    spec = cells.spec(service)
    return next(iter(spec.get("clusterIPs") or ()), None) or spec.get("clusterIP") or cells.NONE


SERVICE = (
    cells.NAME,
    cells.column("Type", lambda obj: cells.spec(obj).get("type")),
    cells.column("Cluster-IP", _cluster_address),
    cells.column("External-IP", _external_address),
    cells.column("Port(s)", lambda obj: cells.joined(_port(port) for port in cells.spec(obj).get("ports") or ())),
    cells.AGE,
    cells.column("Selector", lambda obj: cells.pairs(cells.spec(obj).get("selector")), wide=True),
)


def _endpoints(obj: Object) -> str:
    shown = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return cells.joined(shown[:3]) + more


ENDPOINTS = (cells.NAME, cells.column("Endpoints", _endpoints), cells.AGE)
CONFIG_MAP = (
    cells.NAME,
    cells.column("Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), type="integer"),
    cells.AGE,
)
SECRET = (
    cells.NAME,
    cells.column("Type", lambda obj: obj.get("type")),
    cells.column("Data", lambda obj: len(obj.get("data") or {}), type="integer"),
    cells.AGE,
)
SERVICE_ACCOUNT = (
    cells.NAME,
    cells.column("Secrets", lambda obj: len(obj.get("secrets") or ()), type="integer"),
    cells.AGE,
)


def _modes(modes: Iterable[str] | None) -> str:
    given = set(modes or ())
    return ",".join(short for mode, short in _MODES if mode in given)


def _volume_phase(obj: Object) -> str:
    return "Terminating" if meta.is_deleting(obj) else str(cells.status(obj).get("phase") or "")


def _claimed_by(volume: Object) -> str:
    ref = cells.spec(volume).get("claimRef")
    return f"{ref.get('namespace')}/{ref.get('name')}" if ref else ""


PERSISTENT_VOLUME = (
    cells.NAME,
    cells.column("Capacity", lambda obj: (cells.spec(obj).get("capacity") or {}).get("storage") or ""),
    cells.column("Access Modes", lambda obj: _modes(cells.spec(obj).get("accessModes"))),
    cells.column("Reclaim Policy", lambda obj: cells.spec(obj).get("persistentVolumeReclaimPolicy")),
    cells.column("Status", _volume_phase),
    cells.column("Claim", _claimed_by),
    cells.column("StorageClass", lambda obj: cells.spec(obj).get("storageClassName") or ""),
    cells.column("VolumeAttributesClass", lambda obj: cells.spec(obj).get("volumeAttributesClassName") or _UNSET),
    cells.column("Reason", lambda obj: cells.status(obj).get("reason") or ""),
    cells.AGE,
    cells.column("VolumeMode", lambda obj: cells.spec(obj).get("volumeMode") or _UNSET, wide=True),
)


def _bound(read: Any) -> Any:
    return lambda obj: read(obj) if cells.spec(obj).get("volumeName") else ""


PERSISTENT_VOLUME_CLAIM = (
    cells.NAME,
    cells.column("Status", _volume_phase),
    cells.column("Volume", lambda obj: cells.spec(obj).get("volumeName") or ""),
    cells.column("Capacity", _bound(lambda obj: (cells.status(obj).get("capacity") or {}).get("storage") or "")),
    cells.column("Access Modes", _bound(lambda obj: _modes(cells.status(obj).get("accessModes")))),
    cells.column("StorageClass", lambda obj: cells.spec(obj).get("storageClassName") or ""),
    cells.column("VolumeAttributesClass", lambda obj: cells.spec(obj).get("volumeAttributesClassName") or _UNSET),
    cells.AGE,
    cells.column("VolumeMode", lambda obj: cells.spec(obj).get("volumeMode") or _UNSET, wide=True),
)


def _quota(limits: bool) -> Any:
    """`cpu: 1/2, pods: 3/10`: used and allowed; what is limited has a column of its own."""

    def read(obj: Object) -> str:
        state = cells.status(obj)
        hard, used = state.get("hard") or {}, state.get("used") or {}
        names = [name for name in sorted(hard) if name.startswith("limits.") == limits]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return read


RESOURCE_QUOTA = (
    cells.NAME,
    cells.column("Request", _quota(limits=False)),
    cells.column("Limit", _quota(limits=True)),
    cells.AGE,
)
LIMIT_RANGE = (
    cells.NAME,
    cells.column("Created At", lambda obj: meta.metadata(obj).get("creationTimestamp")),
)


def _last_seen(event: Object, now: datetime) -> str:
    series = event.get("series") or {}
    moment = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    return cells.since(moment or event.get("eventTime"), now)


def _first_seen(event: Object, now: datetime) -> str:
    moment = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp")
    return cells.since(moment or event.get("eventTime"), now)


def _count(event: Object) -> int:
    counted = (event.get("series") or {}).get("count") or event.get("count") or event.get("deprecatedCount")
    return counted or (1 if event.get("eventTime") else 0)


def _about(event: Object) -> Object:
    return event.get("involvedObject") or event.get("regarding") or {}


def _source(event: Object) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    reporter = event.get("reportingComponent") or event.get("reportingController") or ""
    parts = [source.get("component") or reporter, source.get("host") or event.get("reportingInstance") or ""]
    return ", ".join(part for part in parts if part)


# Both views of events; each object carries the names of one of them.
EVENT = (
    Column("Last Seen", read=_last_seen),
    cells.column("Type", lambda obj: obj.get("type")),
    cells.column("Reason", lambda obj: obj.get("reason")),
    cells.column("Object", lambda obj: f"{_about(obj).get('kind', '').lower()}/{_about(obj).get('name', '')}"),
    cells.column("Subobject", lambda obj: _about(obj).get("fieldPath") or "", wide=True),
    cells.column("Source", _source, wide=True),
    cells.column("Message", lambda obj: (obj.get("message") or obj.get("note") or "").strip()),
    Column("First Seen", priority=1, read=_first_seen),
    cells.column("Count", _count, wide=True),
    Column("Name", format="name", priority=1, read=cells.text(meta.name)),
)
