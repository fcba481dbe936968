"""What to scrape, read off the cluster: pods that ask for it by annotation, the Envoy of every node, and the numbers
of the rollout capability where the cluster runs it itself. Pure.

A pod asks as it would ask Prometheus: `prometheus.io/scrape: "true"`, and `prometheus.io/port`, `/path`, `/scheme`.
Its series carry every pod label (as `rollouts_pod_template_hash`), `namespace`, `pod`, `node`, `instance`, and as `job`
the application's name: the label `app.kubernetes.io/name`, or `app`, or the name of the pod's controller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.timeseries import labels

SCRAPE = "prometheus.io/scrape"
PORT = "prometheus.io/port"
PATH = "prometheus.io/path"
SCHEME = "prometheus.io/scheme"
ENDED = frozenset({"Succeeded", "Failed"})
UNSAFE = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Target:
    """One page to fetch. `socket` is the unix socket to fetch it through, if not the network."""

    url: str
    labels: labels.Labels
    socket: Path | None = None

    @property
    def job(self) -> str:
        return labels.get(self.labels, "job")


def label_name(text: str) -> str:
    """A Kubernetes label key as a Prometheus label name, as Prometheus' own labelmap makes it."""
    return UNSAFE.sub("_", text)


def of_pods(pods: Iterable[Object]) -> list[Target]:
    return [target for pod in pods for target in _of_pod(pod)]


def _of_pod(pod: Object) -> Iterable[Target]:
    asked = meta.annotations(pod)
    status = pod.get("status") or {}
    address = status.get("podIP")
    if asked.get(SCRAPE) != "true" or not address or status.get("phase") in ENDED:
        return
    for port in [asked[PORT]] if PORT in asked else _container_ports(pod):
        path = "/" + asked.get(PATH, "/metrics").lstrip("/")
        url = f"{asked.get(SCHEME, 'http')}://{address}:{port}{path}"
        yield Target(url, _pod_labels(pod, f"{address}:{port}"))


def _container_ports(pod: Object) -> list[str]:
    """Every declared TCP port, as Prometheus' pod discovery does without the annotation."""
    containers = pod["spec"].get("containers") or ()
    ports = [port for container in containers for port in container.get("ports") or ()]
    return [str(port["containerPort"]) for port in ports if port.get("protocol", "TCP") == "TCP"]


def _pod_labels(pod: Object, instance: str) -> labels.Labels:
    own = {label_name(name): value for name, value in meta.labels(pod).items()}
    fixed = {
        "job": _job(pod),
        "namespace": meta.namespace(pod),
        "pod": meta.name(pod),
        "node": str(pod["spec"].get("nodeName", "")),
        "instance": instance,
    }
    return labels.make({**own, **fixed})


def _job(pod: Object) -> str:
    named = meta.labels(pod)
    controller = meta.controller_of(pod) or {}
    return named.get("app.kubernetes.io/name") or named.get("app") or str(controller.get("name") or meta.name(pod))


def of_envoys(nodes: Iterable[Object], run: Path) -> list[Target]:
    """Each node's Envoy, through its admin socket."""
    found = []
    for node in nodes:
        socket = run / "nodes" / meta.name(node) / "envoy-admin.sock"
        pairs = {"job": "envoy", "node": meta.name(node), "instance": meta.name(node)}
        found.append(Target("http://envoy/stats/prometheus?usedonly", labels.make(pairs), socket))
    return found


def of_capability(name: str, socket: Path) -> Target:
    """A capability that runs in the control plane, by the job that its dashboards expect."""
    return Target(f"http://{name}/metrics", labels.make({"job": name, "instance": "control-plane"}), socket)


def merged(target: Target, scraped: Mapping[str, str]) -> labels.Labels:
    """Labels of a sample: the target's win, and a scraped label they hide is kept as `exported_NAME`."""
    own = dict(target.labels)
    pairs = {(f"exported_{name}" if name in own else name): value for name, value in scraped.items()}
    return labels.make({**pairs, **own})
