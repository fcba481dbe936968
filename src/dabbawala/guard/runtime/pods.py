"""What the API says of the pods whose containers run here: names, labels, images; kept current by a watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.runtime.events import Container, Workload
from dabbawala.reconcile import informer
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informer


class Reader(Protocol):
    """What is needed of the API; `client.Client` has it."""

    async def list(
        self, kind: Kind, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> informer.Page: ...

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        send_initial_events: bool = False,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[informer.Event]: ...


class _OnNode:
    """A reader of the pods of one node, or of all when it has no name."""

    def __init__(self, client: Reader, node: str) -> None:
        self._client = client
        self._selector = f"spec.nodeName={node}" if node else ""

    async def list(self, kind: Kind, namespace: str | None = None) -> informer.Page:
        return await self._client.list(kind, namespace, field_selector=self._selector)

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        send_initial_events: bool = False,
    ) -> AsyncIterator[informer.Event]:
        return self._client.watch(
            kind, namespace, resource_version=resource_version, send_initial_events=send_initial_events,
            field_selector=self._selector,
        )  # fmt: skip


class Pods:
    """By uid. `heard` is called after each change, for whoever waits for a pod to be known."""

    def __init__(self, client: Reader, clock: Clock, *, node: str = "") -> None:
        self.heard: Callable[[], None] = lambda: None
        self._by_uid: dict[str, Object] = {}
        self._workloads: dict[str, dict[Container, Workload]] = {}
        self._informer = Informer(_OnNode(client, node), core_v1.POD, clock, trim=_trimmed)
        self._informer.listen(self)

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._informer.run()

    async def filled(self) -> None:
        await self._informer.filled()

    def changed(self, kind: Kind, change: Change) -> None:
        uid = meta.uid(change.object)
        self._workloads.pop(uid, None)
        if change.new is None:
            self._by_uid.pop(uid, None)
        else:
            self._by_uid[uid] = change.new
        self.heard()

    def progressed(self, kind: Kind) -> None:
        """Nothing here waits for revisions."""

    def workload(self, container: Container) -> Workload | None:
        """None while the API has not told of the pod, or does not know it: it may be another cluster's."""
        pod = self._by_uid.get(container.pod_uid)
        if pod is None:
            return None
        known = self._workloads.setdefault(meta.uid(pod), {})
        if container not in known:
            known[container] = workload(pod, container)
        return known[container]


def workload(pod: Object, container: Container) -> Workload:
    """What a pod says of one of its containers. Pure."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    listed = [one for field in ("containerStatuses", "initContainerStatuses") for one in status.get(field) or ()]
    ids = {one["name"]: str(one.get("containerID") or "").partition("://")[2] for one in listed}
    name = container.name or next((name for name, known in ids.items() if known and known == container.key), "")
    specs: list[Object] = [one for field in ("containers", "initContainers") for one in spec.get(field) or ()]
    # A title may have been cut short for want of room: then the beginning of the name is all there is.
    exact = [one for one in specs if one["name"] == name]
    found = (exact or [one for one in specs if name and str(one["name"]).startswith(name)] or [{}])[0]
    name = str(found.get("name") or name)
    return Workload(
        namespace=meta.namespace(pod), pod_name=meta.name(pod), container=name,
        container_id=container.id or ids.get(name, ""), image=str(found.get("image") or ""), labels=meta.labels(pod),
        pod={"apiVersion": "v1", "kind": "Pod", "metadata": pod.get("metadata") or {}},
    )  # fmt: skip


def _trimmed(pod: Object) -> Object:
    metadata = pod.get("metadata") or {}
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            name: metadata[name]
            for name in ("name", "namespace", "uid", "labels", "resourceVersion")
            if name in metadata
        },
        "spec": {
            field: [{"name": one.get("name", ""), "image": one.get("image", "")} for one in spec[field]]
            for field in ("containers", "initContainers")
            if spec.get(field)
        },
        "status": {
            field: [{"name": one.get("name", ""), "containerID": one.get("containerID", "")} for one in status[field]]
            for field in ("containerStatuses", "initContainerStatuses")
            if status.get(field)
        },
    }


async def ready(pods: Pods, seconds: float) -> bool:
    """Whether the first list came within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await pods.filled()
    except TimeoutError:
        return False
    return True
