"""What is released over and over: the catalog, as blue-green, as canary, and as canary whose stable set shrinks.

A lane is one Rollout with its own Services, route and door on the host. The pods are the workload's own, with quick
probes and few of them; steps and delays are short, so that releases follow one another closely.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabbawala.demo import manifests, releases, scaling

Object = dict[str, Any]

VERSIONS = ("v3.3.0", "v3.4.0")
NAMESPACE = "ecommerce"
IMAGE = releases.CATALOG.image
REPLICAS = 2
STEPS: list[Object] = [
    {"setWeight": 25},
    {"pause": {"duration": "1s"}},
    {"setWeight": 50},
    {"pause": {"duration": "1s"}},
]
ABORTED_AT = (1, 3, 2, 0)
"""Steps at which canaries are aborted, in turn."""

SCALING = scaling.Scaling(replicas=REPLICAS, preview_replicas=1, time=60, resources=30)


@dataclass(frozen=True)
class Lane:
    """`strategy` is blue-green, canary or canary-dynamic."""

    strategy: str
    node_port: int

    @property
    def name(self) -> str:
        return f"catalog-{self.strategy}"

    @property
    def door(self) -> str:
        """The Service that visitors come in by."""
        return f"{self.name}-active" if self.is_blue_green else self.name

    @property
    def is_blue_green(self) -> bool:
        return self.strategy == "blue-green"

    @property
    def authority(self) -> str:
        return f"{self.door}.{NAMESPACE}"


def objects(lane: Lane, workloads: Path) -> list[Object]:
    """Everything to apply for a lane."""
    written = manifests.read(workloads / releases.CATALOG.folder / "manifests")
    rollout = next(scaling.scaled(obj, SCALING) for obj in written if obj["kind"] == "Rollout")
    namespace = next(obj for obj in written if obj["kind"] == "Namespace")
    return [namespace, *(_blue_green(lane, rollout) if lane.is_blue_green else _canary(lane, rollout))]


def _blue_green(lane: Lane, rollout: Object) -> list[Object]:
    strategy = {
        "blueGreen": {
            "activeService": lane.door,
            "previewService": f"{lane.name}-preview",
            "autoPromotionEnabled": False,
            "scaleDownDelaySeconds": 1,
            "abortScaleDownDelaySeconds": 1,
        }
    }
    return [_service(lane, lane.door), _service(lane, f"{lane.name}-preview"), _rollout(lane, rollout, strategy)]


def _canary(lane: Lane, rollout: Object) -> list[Object]:
    stable, canary = f"{lane.name}-stable", f"{lane.name}-canary"
    delays: Object = {"scaleDownDelaySeconds": 1, "abortScaleDownDelaySeconds": 1}
    body = {
        "canaryService": canary,
        "stableService": stable,
        "trafficRouting": {"istio": {"virtualService": {"name": lane.name, "routes": ["primary"]}}},
        "steps": STEPS,
        **({"dynamicStableScale": True} if lane.strategy == "canary-dynamic" else delays),
    }
    services = [_service(lane, name) for name in (lane.door, stable, canary)]
    return [*services, _route(lane, stable, canary), _rollout(lane, rollout, {"canary": body})]


def _rollout(lane: Lane, written: Object, strategy: Object) -> Object:
    spec = written["spec"]
    labels = {"app": lane.name}
    pod = {
        **spec["template"]["spec"],
        "containers": [_patient(item) for item in spec["template"]["spec"]["containers"]],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    changed = {**spec, "selector": {"matchLabels": labels}, "strategy": strategy, "template": template}
    return {**written, "metadata": {"name": lane.name, "namespace": NAMESPACE}, "spec": changed}


def _patient(container: Object) -> Object:
    """Ready as soon as it serves, but not unready or restarted because a busy machine is slow to ask."""
    ready, live = container["readinessProbe"], container["livenessProbe"]
    return {
        **container,
        "readinessProbe": {**ready, "initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 5},
        "livenessProbe": {**live, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 5},
    }


def _service(lane: Lane, name: str) -> Object:
    port: Object = {"name": "http", "port": 80, "targetPort": "http"}
    spec: Object = {"selector": {"app": lane.name}, "ports": [port]}
    if name == lane.door:
        spec["type"] = "NodePort"
        port["nodePort"] = lane.node_port
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def _route(lane: Lane, stable: str, canary: str) -> Object:
    sides = [{"destination": {"host": stable}, "weight": 100}, {"destination": {"host": canary}, "weight": 0}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": lane.name, "namespace": NAMESPACE},
        "spec": {"hosts": [lane.door], "http": [{"name": "primary", "route": sides}]},
    }
