"""An object as the request that would create it, defaulted as the API server defaults it before it asks policies."""

from __future__ import annotations

from copy import deepcopy

from dabbawala.api import kinds
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.matching import CREATE, Request


def creating(obj: Object) -> Request:
    """The CREATE request of an object, which is left alone. Raises LookupError for a kind that nobody knows."""
    kind = kinds.of(obj.get("apiVersion", ""), obj.get("kind", ""))
    if kind is None:
        raise LookupError(f"{obj.get('apiVersion')} {obj.get('kind')}")
    defaulted = deepcopy(obj)
    kind.default(defaulted)
    name = meta.name(obj)
    namespace = meta.namespace(obj) if kind.namespaced else name if kind.kind == "Namespace" else ""
    return Request(
        CREATE, kind.group, kind.version, kind.plural, kind.kind, namespace=namespace, name=name, object=defaulted
    )
