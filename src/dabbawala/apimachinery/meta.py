"""Object metadata: the part every Kubernetes object shares.

Objects travel as plain JSON (`Object`), so that a field nobody here knows is never lost. These functions
read; none of them changes its argument. Source: meta/v1 ObjectMeta.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]


class ObjectKey(NamedTuple):
    """Identity of an object within its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return obj.get("metadata") or {}


def name(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("name", ""))


def namespace(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("namespace") or "")


def key(obj: Mapping[str, Any]) -> ObjectKey:
    return ObjectKey(namespace(obj), name(obj))


def uid(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("uid", ""))


def labels(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return metadata(obj).get("labels") or {}


def annotations(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return metadata(obj).get("annotations") or {}


def generation(obj: Mapping[str, Any]) -> int:
    return int(metadata(obj).get("generation") or 0)


def resource_version(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("resourceVersion") or "")


def is_deleting(obj: Mapping[str, Any]) -> bool:
    return bool(metadata(obj).get("deletionTimestamp"))


def finalizers(obj: Mapping[str, Any]) -> list[str]:
    return list(metadata(obj).get("finalizers") or ())


def owner_references(obj: Mapping[str, Any]) -> list[Object]:
    return list(metadata(obj).get("ownerReferences") or ())


def controller_of(obj: Mapping[str, Any]) -> Object | None:
    """The owner reference with `controller: true`, of which there is at most one."""
    references: list[Object] = metadata(obj).get("ownerReferences") or []
    for ref in references:
        if ref.get("controller"):
            return ref
    return None


def owner_reference(owner: Mapping[str, Any], *, controller: bool = True) -> Object:
    """An owner reference to `owner`, which must carry apiVersion, kind and uid."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": controller,
        "blockOwnerDeletion": True,
    }
