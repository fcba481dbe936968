"""What the workers of one node share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.client.client import Client
from dabbawala.cluster.kubelet import downward
from dabbawala.cluster.kubelet.addresses import AddressPool
from dabbawala.cluster.kubelet.launch import LocalImage
from dabbawala.cluster.kubelet.node import NodeIdentity
from dabbawala.cluster.kubelet.plan import Settings
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.runtimes.runtime import Runtime
from dabbawala.cluster.kubelet.sources import SourceReader
from dabbawala.cluster.kubelet.volumes.pod_volumes import PodVolumes
from dabbawala.reconcile.plan import Record


class Images(Protocol):
    """The local image store, as far as an agent reads it."""

    def resolve(self, name: str) -> LocalImage | None: ...


@dataclass(frozen=True, slots=True)
class NodeParts:
    """`record` reports an event about a pod; `wake` asks for a look at a pod soon."""

    client: Client
    runtime: Runtime
    images: Images
    files: PodFiles
    volumes: PodVolumes
    sources: SourceReader
    addresses: AddressPool
    clock: Clock
    identity: NodeIdentity
    settings: Settings
    record: Callable[[Record], None]
    wake: Callable[[ObjectKey], None]

    def place(self, address: str) -> downward.Place:
        return downward.Place(self.identity.name, self.identity.address, address, self.identity.machine)
