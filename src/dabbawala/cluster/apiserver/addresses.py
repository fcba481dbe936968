"""Which cluster addresses and node ports Services have, and which are free.

The index follows the store; what has been handed out to a Service that is not stored yet is reserved until its write
is done. The lower part of each range is left to those who ask for a number (KEP-3070).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.store.entry import Entry, EventType
from dabbawala.cluster.store.errors import Compacted
from dabbawala.cluster.store.store import Store, Subscription

SERVICE_RANGE = ipaddress.IPv4Network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_STATIC_ADDRESSES = 256
_STATIC_PORTS = 86

Port = tuple[int, str]
"""A node port and its protocol."""

Owner = tuple[str, str]
"""Namespace and name of a Service."""


class ServiceAddresses:
    """What a Service has already is free for itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscription: Subscription | None = None
        self._owners: dict[str | Port, Owner] = {}
        self._held: dict[Owner, tuple[str | Port, ...]] = {}
        self._reserved: dict[str | Port, Owner] = {}
        self._next_address = _STATIC_ADDRESSES
        self._next_port = _STATIC_PORTS

    def reserve(self, item: str | Port, owner: Owner) -> bool:
        """Reserve one address or port for a write under way; False when another Service has it."""
        self._follow()
        holder = self._owners.get(item) or self._reserved.get(item)
        if holder is not None and holder != owner:
            return False
        self._reserved[item] = owner
        return True

    def reserve_address(self, owner: Owner) -> str | None:
        """Reserve any free address; None when the range is used up."""
        last = SERVICE_RANGE.num_addresses - 1  # the last one is for broadcasts
        size = last - _STATIC_ADDRESSES
        for step in range(size):
            offset = _STATIC_ADDRESSES + (self._next_address - _STATIC_ADDRESSES + step) % size
            address = str(SERVICE_RANGE[offset])
            if self._is_free(address):
                self._next_address = offset + 1
                self._reserved[address] = owner
                return address
        return None

    def reserve_port(self, protocol: str, owner: Owner) -> int | None:
        """Reserve any free node port; None when all are taken."""
        size = len(NODE_PORTS) - _STATIC_PORTS
        for step in range(size):
            offset = _STATIC_PORTS + (self._next_port - _STATIC_PORTS + step) % size
            port = NODE_PORTS[offset]
            if self._is_free((port, protocol)):
                self._next_port = offset + 1
                self._reserved[port, protocol] = owner
                return port
        return None

    def release(self, item: str | Port) -> None:
        self._reserved.pop(item, None)

    def _is_free(self, item: str | Port) -> bool:
        self._follow()
        return item not in self._owners and item not in self._reserved

    def _follow(self) -> None:
        """Take in what has happened to Services since the last look."""
        try:
            while self._subscription is not None and (events := self._subscription.take()):
                for event in events:
                    self._forget(event.entry)
                    if event.type is not EventType.DELETED:
                        self._learn(event.entry)
        except Compacted:
            self._subscription = None
        if self._subscription is None:
            self._subscription = self._store.watch("services")
            self._owners.clear()
            self._held.clear()
            for entry in self._store.list("services"):
                self._learn(entry)

    def _forget(self, entry: Entry) -> None:
        for item in self._held.pop((entry.key.namespace, entry.key.name), ()):
            self._owners.pop(item, None)

    def _learn(self, entry: Entry) -> None:
        owner = (entry.key.namespace, entry.key.name)
        held = tuple(_taken(orjson.loads(entry.body)))
        self._held[owner] = held
        for item in held:
            self._owners[item] = owner


def _taken(service: Object) -> Iterator[str | Port]:
    spec = service.get("spec") or {}
    if spec.get("clusterIP") not in (None, "", "None"):
        yield spec["clusterIP"]
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port["nodePort"], port.get("protocol", "TCP")
