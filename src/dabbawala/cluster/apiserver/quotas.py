"""The quotas of all namespaces and what is used of them, following the store.

A namespace without quotas costs one look into a dictionary. One with quotas has a ledger, made from what is stored when
the first of its quotas is met, and kept up by the events of the resources that count. What is being written is reserved
until it is stored or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import orjson

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.quota_ledger import Charge, Ledger, Quota
from dabbawala.cluster.store.entry import Entry, Event, EventType
from dabbawala.cluster.store.errors import Compacted
from dabbawala.cluster.store.store import Store, Subscription

RESOURCE = "resourcequotas"


@dataclass(slots=True, eq=False)
class Write:
    """One object on its way into the store, and what it counts for."""

    uid: str
    resource: str
    object: Object
    charge: Charge


class Quotas:
    """A ledger is right as of the newest revision, together with what is reserved."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1  # of the quotas that `_ledgers` know
        self._ledgers: dict[str, Ledger] = {}
        self._writes: dict[str, list[Write]] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def ledger(self, namespace: str) -> Ledger | None:
        """None when the namespace has no quotas."""
        if self._revision != self._store.changed(RESOURCE):
            self._follow()
        if namespace not in self._ledgers:
            return None
        self._follow()
        return self._ledgers.get(namespace)

    def all(self) -> Mapping[str, Ledger]:
        self._follow()
        return self._ledgers

    def subscriptions(self) -> Collection[Subscription]:
        """What tells of changes: of the quotas, and of the resources that count somewhere."""
        return self._subscriptions.values()

    def reserve(self, namespace: str, write: Write) -> Callable[[], None]:
        """Count a write that is under way; call what this gives when it is stored or refused."""
        self._ledgers[namespace].reserve(write.uid, write.charge)
        self._writes.setdefault(namespace, []).append(write)

        def release() -> None:
            self._writes[namespace].remove(write)
            if not self._writes[namespace]:
                del self._writes[namespace]
            known = self._ledgers.get(namespace)
            ledger = self.ledger(namespace)  # takes in first that it is stored, so that there is no gap
            if ledger is not None and ledger is known:
                ledger.release(write.uid, write.charge)

        return release

    def _follow(self) -> None:
        """Take in what has happened since the last look."""
        try:
            if RESOURCE not in self._subscriptions:
                self._begin()
            changed = self._changed_quotas()
            for subscription in self._subscriptions.values():
                while events := subscription.take():
                    for event in events:
                        self._note(event)
        except Compacted:
            for subscription in self._subscriptions.values():
                subscription.close()
            self._subscriptions, self._ledgers = {}, {}
            self._begin()
            return
        self._renew(changed)

    def _begin(self) -> None:
        """The ledgers of everything that is stored."""
        self._subscriptions[RESOURCE] = self._store.watch(RESOURCE)
        self._renew({entry.key.namespace for entry in self._store.list(RESOURCE)})

    def _changed_quotas(self) -> set[str]:
        """The namespaces whose quotas ask for something else than they did: most changes are of a status."""
        changed: set[str] = set()
        while events := self._subscriptions[RESOURCE].take():
            for event in events:
                self._note(event)
                key = event.entry.key
                ledger = self._ledgers.get(key.namespace)
                known = None if ledger is None else ledger.spec(key.name)
                if event.type is EventType.DELETED or orjson.loads(event.entry.body).get("spec") != known:
                    changed.add(key.namespace)
        self._revision = self._store.changed(RESOURCE)
        return changed

    def _renew(self, namespaces: set[str]) -> None:
        if not namespaces:
            return
        self._revision = self._store.changed(RESOURCE)
        for namespace in namespaces:
            self._ledgers.pop(namespace, None)
            quotas = [Quota.of(orjson.loads(entry.body)) for entry in self._store.list(RESOURCE, namespace)]
            if quotas:
                self._ledgers[namespace] = Ledger(quotas)
        wanted = {RESOURCE}.union(*(ledger.resources for ledger in self._ledgers.values()))
        for resource in self._subscriptions.keys() - wanted:
            self._subscriptions.pop(resource).close()
        for resource in wanted - self._subscriptions.keys():
            self._subscriptions[resource] = self._store.watch(resource)
        for namespace in namespaces & self._ledgers.keys():
            self._fill(namespace, self._ledgers[namespace])

    def _fill(self, namespace: str, ledger: Ledger) -> None:
        for resource in ledger.resources:
            for entry in self._store.list(resource, namespace):
                _learn(ledger, entry)
        for write in self._writes.get(namespace, ()):
            write.charge = ledger.charge(write.resource, write.object)
            ledger.reserve(write.uid, write.charge)

    def _note(self, event: Event) -> None:
        ledger = self._ledgers.get(event.entry.key.namespace)
        if ledger is None or event.entry.key.resource not in ledger.resources:
            return
        if event.type is EventType.DELETED:
            ledger.forget(meta.uid(orjson.loads(event.entry.body)))
        else:
            _learn(ledger, event.entry)


def _learn(ledger: Ledger, entry: Entry) -> None:
    obj: Object = orjson.loads(entry.body)
    ledger.learn(meta.uid(obj), ledger.charge(entry.key.resource, obj))
