"""Which owners are there: by the graph, and where that does not know, by asking the API."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.cluster.controllers.garbagecollector.graph import Graph
from dabbawala.cluster.controllers.garbagecollector.plan import Item, Owner
from dabbawala.reconcile.apply import Writer

ABSENT_LIMIT = 500
"""Owners remembered as gone, so that ten thousand dependents of one do not ask ten thousand times."""


class Owners:
    """`kinds` are those that are watched now, by resource; the table is shared with whoever watches them."""

    def __init__(self, client: Writer, graph: Graph, kinds: Mapping[str, Kind]) -> None:
        self._client = client
        self._graph = graph
        self._kinds = kinds
        self._absent: OrderedDict[str, None] = OrderedDict()

    def known(self, obj: Object) -> dict[str, Owner]:
        """By the graph alone; an owner that the graph does not hold is taken for gone, to be asked for."""
        references = meta.owner_references(obj)
        return {uid: self._state(uid, meta.namespace(obj)) for ref in references if (uid := str(ref.get("uid")))}

    def _state(self, uid: str, namespace: str) -> Owner:
        """An object in another namespace than its dependent's is no owner of it."""
        found = self._graph.get(uid)
        if found is None or (namespace and found.key.namespace not in ("", namespace)):
            return Owner.GONE
        return Owner.WAITING if found.waits_for_dependents else Owner.SOLID

    async def live(self, known: Item) -> Item | None:
        """The object as it is now, if it is still the same."""
        try:
            found = await self._client.get(known.kind, known.key.name, known.key.namespace)
        except NotFound:
            return None
        return Item(known.kind, found) if meta.uid(found) == known.uid else None

    async def state_of(self, reference: Object, item: Item) -> Owner:
        uid = str(reference.get("uid"))
        state = self._state(uid, item.key.namespace)
        if state is not Owner.GONE:
            return state
        if uid in self._absent:
            return Owner.GONE
        return await self._ask_for(reference, item, uid)

    async def _ask_for(self, reference: Object, item: Item, uid: str) -> Owner:
        """Look for an owner where it must be: in the namespace of its dependent, or in none. A kind that is not
        known, or a namespaced owner of a cluster-scoped object, cannot be looked for; then nothing is deleted."""
        kind = self._kind(str(reference.get("apiVersion")), str(reference.get("kind")))
        if kind is None or (kind.namespaced and not item.key.namespace):
            return Owner.SOLID
        try:
            found = await self._client.get(
                kind, str(reference.get("name")), item.key.namespace if kind.namespaced else ""
            )
        except NotFound:
            found = {}
        if meta.uid(found) == uid:
            return Owner.WAITING if Item(kind, found).waits_for_dependents else Owner.SOLID
        self._absent[uid] = None
        while len(self._absent) > ABSENT_LIMIT:
            self._absent.popitem(last=False)
        return Owner.GONE

    def _kind(self, api_version: str, kind: str) -> Kind | None:
        group = api_version.rpartition("/")[0]
        found: Iterable[Kind] = self._kinds.values()
        return next((item for item in found if item.group == group and item.kind == kind), None)
