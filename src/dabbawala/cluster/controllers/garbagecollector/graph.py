"""Who owns whom, over all kinds: kept from the informers' changes, metadata only."""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.garbagecollector.plan import Item
from dabbawala.reconcile.cache import Change

_KEPT = (
    "name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp",
)  # fmt: skip


def metadata_only(obj: Object) -> Object:
    """What the graph needs of an object."""
    metadata = meta.metadata(obj)
    return {"metadata": {field: metadata[field] for field in _KEPT if field in metadata}}


class Graph:
    """Objects by uid and, for each uid that somebody names as owner, its dependents."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._dependents: dict[str, set[str]] = {}

    def get(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def dependents(self, uid: str) -> list[Item]:
        return [self._items[name] for name in sorted(self._dependents.get(uid, ())) if name in self._items]

    def take_in(self, kind: Kind, change: Change) -> set[str]:
        """Note a change; the uids that have to be looked at because of it."""
        old, new = change
        if new is not None and old is not None and _fate(old) == _fate(new):
            self._items[meta.uid(new)] = Item(kind, metadata_only(new))
            return set()
        touched: set[str] = set()
        if old is not None:
            touched |= self._drop(old, gone=new is None or meta.uid(new) != meta.uid(old))
        if new is not None:
            self._put(Item(kind, metadata_only(new)))
            touched.add(meta.uid(new))
            if meta.is_deleting(new):
                touched.update(self._dependents.get(meta.uid(new), ()))
                touched.update(_owners(new))
        return touched

    def _put(self, item: Item) -> None:
        self._items[item.uid] = item
        for owner in _owners(item.object):
            self._dependents.setdefault(owner, set()).add(item.uid)

    def _drop(self, obj: Object, *, gone: bool) -> set[str]:
        uid = meta.uid(obj)
        self._items.pop(uid, None)
        owners = set(_owners(obj))
        for owner in owners:
            dependents = self._dependents.get(owner, set())
            dependents.discard(uid)
            if not dependents:
                self._dependents.pop(owner, None)
        return (owners | self._dependents.get(uid, set())) if gone else owners


def _fate(obj: Object) -> tuple[object, ...]:
    """All that matters here; most changes of most objects leave it alone."""
    metadata = meta.metadata(obj)
    fields = ("uid", "ownerReferences", "finalizers", "deletionTimestamp")
    return tuple(metadata.get(field) for field in fields)


def _owners(obj: Object) -> Iterable[str]:
    return (str(ref.get("uid")) for ref in meta.owner_references(obj))
