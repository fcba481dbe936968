"""metrics.k8s.io: what nodes and pods use now, read from every node's agent when somebody asks. For `kubectl top`.

One reading of a node serves all who ask within a second. Source: k8s.io/metrics/pkg/apis/metrics/v1beta1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import orjson

from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta, selectors, status
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.kubelet_link import KubeletLink
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.plugins import SubresourceHandler
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target

FRESH_SECONDS = 1.0
API_VERSION = "metrics.k8s.io/v1beta1"


class MetricsAPI:
    def __init__(self, objects: Objects, link: KubeletLink, clock: Clock) -> None:
        self._objects = objects
        self._link = link
        self._clock = clock
        self._kept: dict[str, tuple[float, Object]] = {}

    def handlers(self) -> Mapping[tuple[str, str], SubresourceHandler]:
        """By resource, without a subresource: these kinds are answered here and nowhere else."""
        return {("nodes.metrics.k8s.io", ""): self._nodes, ("pods.metrics.k8s.io", ""): self._pods}

    async def _nodes(self, request: Request, target: Target) -> Response:
        every = []
        for name, summary in (await self._summaries()).items():
            node = self._objects.get("nodes", "", name)
            if node is not None:
                usage = summary.get("node") or {}
                every.append({**self._head("NodeMetrics", node), "usage": _amounts(usage)})
        return _answer("NodeMetrics", every, request, target)

    async def _pods(self, request: Request, target: Target) -> Response:
        every = []
        for summary in (await self._summaries()).values():
            for used in summary.get("pods") or ():
                ref = used["podRef"]
                if target.namespace and ref["namespace"] != target.namespace:
                    continue
                pod = self._objects.get("pods", ref["namespace"], ref["name"])
                if pod is not None and meta.uid(pod) == ref["uid"]:
                    containers = [{"name": one["name"], "usage": _amounts(one)} for one in used["containers"]]
                    every.append({**self._head("PodMetrics", pod), "containers": containers})
        return _answer("PodMetrics", every, request, target)

    def _head(self, kind: str, obj: Object) -> Object:
        metadata = {
            "name": meta.name(obj),
            "namespace": meta.namespace(obj),
            "creationTimestamp": clocks.format_time(self._clock.now()),
            "labels": dict(meta.labels(obj)),
        }
        return {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {name: value for name, value in metadata.items() if value},
            "timestamp": clocks.format_time(self._clock.now()),
            "window": "1s",
        }

    async def _summaries(self) -> dict[str, Object]:
        """What each agent says. A node that does not answer is left out."""
        names = self._link.nodes()
        found = await asyncio.gather(*(self._summary(name) for name in names))
        return {name: summary for name, summary in zip(names, found, strict=True) if summary is not None}

    async def _summary(self, node: str) -> Object | None:
        at, kept = self._kept.get(node, (-FRESH_SECONDS, {}))
        if kept and self._clock.monotonic() - at < FRESH_SECONDS:
            return kept
        try:
            summary: Object = orjson.loads(await (await self._link.get(node, "/stats/summary")).read())
        except (StatusError, ConnectionError, orjson.JSONDecodeError):
            return None
        self._kept[node] = (self._clock.monotonic(), summary)
        return summary


def _amounts(used: Mapping[str, Mapping[str, int]]) -> Object:
    """CPU in nano-cores and memory in KiB, as metrics-server writes them."""
    cpu = (used.get("cpu") or {}).get("usageNanoCores", 0)
    memory = (used.get("memory") or {}).get("workingSetBytes", 0)
    return {"cpu": f"{cpu}n", "memory": f"{memory // 1024}Ki"}


def _answer(kind: str, every: Iterable[Object], request: Request, target: Target) -> Response:
    if target.verb not in ("get", "list"):
        raise status.MethodNotAllowed("the server does not allow this method on the requested resource")
    if target.name:
        found = next((one for one in every if meta.name(one) == target.name), None)
        if found is None:
            raise status.not_found(f"{target.kind.plural}.metrics.k8s.io", target.name)
        return response.json(found)
    chosen = selectors.parse_label_selector(request.query.get("labelSelector"))
    items = [one for one in every if chosen.matches(meta.labels(one))]
    return response.json({"kind": f"{kind}List", "apiVersion": API_VERSION, "metadata": {}, "items": items})
