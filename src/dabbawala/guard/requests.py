"""An object as the request that would create it."""

from __future__ import annotations

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.resources import Resource
from dabbawala.policy.matching import CREATE, Request


def creating(obj: Object, resource: Resource) -> Request:
    """The CREATE request of an object as it would be stored."""
    name = meta.name(obj)
    namespace = meta.namespace(obj) if resource.namespaced else ""
    return Request(
        CREATE, resource.group, resource.version, resource.plural, resource.kind,
        namespace=namespace, name=name, object=obj,
    )  # fmt: skip
