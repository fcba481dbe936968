"""Keeping nodes registered and alive in the API: Node objects, their status, their leases.

A lease is renewed every 10 s and is what the node lifecycle controller watches; the status is written only when it
changes and every 5 minutes. One heart beats for any number of nodes, spreading their leases evenly over the interval.
Source: pkg/kubelet/nodestatus, component-helpers/apimachinery/lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dabbawala.api import coordination_v1, core_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import AlreadyExists, NotFound, StatusError
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.node import NodeIdentity
from dabbawala.reconcile.apply import Writer

log = logging.getLogger("dabbawala.kubelet")

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
STATUS_SECONDS = 300.0
RETRY_SECONDS = 0.2
BATCH = 32
"""Registrations or renewals in flight at once."""


class Heartbeat:
    """The heart of a set of nodes. `register` once, then `run` until cancelled."""

    def __init__(
        self, client: Writer, identities: Sequence[NodeIdentity], clock: Clock, *, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        self.troubles: dict[str, str] = {}
        self._client = client
        self._identities = tuple(identities)
        self._clock = clock
        self._renew_seconds = renew_seconds
        self._reported: dict[str, tuple[str, float]] = {}

    async def register(self) -> None:
        """Create the nodes, or bring those of an earlier run up to date; tries until the API server answers."""
        for start in range(0, len(self._identities), BATCH):
            await asyncio.gather(*(self._register(one) for one in self._identities[start : start + BATCH]))

    async def run(self) -> None:
        while True:
            started = self._clock.monotonic()
            for start in range(0, len(self._identities), BATCH):
                batch = self._identities[start : start + BATCH]
                await asyncio.gather(*(self._beat(one) for one in batch))
                share = (start + len(batch)) / len(self._identities)
                await self._clock.sleep(max(0.0, started + share * self._renew_seconds - self._clock.monotonic()))

    async def _register(self, identity: NodeIdentity) -> None:
        while True:
            try:
                await self._ensure(identity)
                await self._renew(identity)
                return
            except StatusError as refused:
                log.warning("node %s could not be registered: %s; trying again", identity.name, refused.message)
                await self._clock.sleep(RETRY_SECONDS)

    async def _ensure(self, identity: NodeIdentity) -> None:
        try:
            node = await self._client.create(core_v1.NODE, nodes.new_node(identity))
        except AlreadyExists:
            node = await self._client.get(core_v1.NODE, identity.name)
            patch = nodes.missing_metadata(node, identity)
            if patch is not None:
                node = await self._client.patch(core_v1.NODE, identity.name, "", patch)
        await self._report(identity, node)

    async def _beat(self, identity: NodeIdentity) -> None:
        try:
            trouble, at = self._reported.get(identity.name, ("", 0.0))
            due = self._clock.monotonic() - at >= STATUS_SECONDS
            if due or trouble != self.troubles.get(identity.name, ""):
                await self._ensure(identity)
            await self._renew(identity)
        except StatusError as refused:
            log.warning("heartbeat of node %s failed: %s", identity.name, refused.message)

    async def _report(self, identity: NodeIdentity, node: Mapping[str, Any]) -> None:
        trouble = self.troubles.get(identity.name, "")
        status = nodes.status(identity, node.get("status") or {}, self._clock.now(), trouble=trouble)
        await self._client.patch(core_v1.NODE, identity.name, "", {"status": status}, subresource="status")
        self._reported[identity.name] = (trouble, self._clock.monotonic())

    async def _renew(self, identity: NodeIdentity) -> None:
        renewed = clocks.format_micro_time(self._clock.now())
        body: Object = {"spec": {"renewTime": renewed}}
        try:
            await self._client.patch(coordination_v1.LEASE, identity.name, LEASE_NAMESPACE, body)
        except NotFound:
            await self._create_lease(identity, renewed)

    async def _create_lease(self, identity: NodeIdentity, renewed: str) -> None:
        node = await self._node(identity)
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": identity.name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": identity.name, "uid": meta.uid(node)}
                ],
            },
            "spec": {
                "holderIdentity": identity.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed,
            },
        }  # fmt: skip
        await self._client.create(coordination_v1.LEASE, lease, LEASE_NAMESPACE)

    async def _node(self, identity: NodeIdentity) -> Object:
        """The Node; one that somebody deleted is registered again."""
        try:
            return await self._client.get(core_v1.NODE, identity.name)
        except NotFound:
            await self._ensure(identity)
            return await self._client.get(core_v1.NODE, identity.name)
