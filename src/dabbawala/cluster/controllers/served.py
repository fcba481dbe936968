"""Which kinds a cluster serves and lets be deleted: the built-in ones and those of its CustomResourceDefinitions.

The garbage collector and the namespace controller look through all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import apiextensions_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.cache import Caches

_NEEDED = {"list", "watch", "delete"}


def deletable(caches: Caches) -> list[Kind]:
    """Every kind once, however many versions or groups show it. Needs CustomResourceDefinitions in the caches."""
    found: dict[str, Kind] = {}
    definitions = caches.list(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION)
    for kind in (*kinds.KINDS, *(custom for item in definitions for custom in _of_definition(item))):
        if set(kind.verbs) >= _NEEDED and kind.stored_as is None:
            found.setdefault(kind.resource, kind)
    return list(found.values())


def _of_definition(definition: Object) -> Iterable[Kind]:
    """The kind in its stored version, while it is established and not going away."""
    if not conditions.is_true(definition, "Established") or meta.is_deleting(definition):
        return
    spec = definition["spec"]
    names = spec["names"]
    for version in spec.get("versions") or ():
        if version.get("storage") and version.get("served"):
            yield Kind(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                namespaced=spec.get("scope") != "Cluster",
                custom=True,
            )
