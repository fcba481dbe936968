"""An object's metadata through its life: what the server sets, what a client may not change.

Source: apiserver/pkg/registry/rest (BeforeCreate, BeforeUpdate, BeforeDelete).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Call

# Kinds whose spec has no generation upstream, although they have a status.
_NO_GENERATION = frozenset(
    {
        "namespaces", "nodes", "persistentvolumes", "persistentvolumeclaims", "resourcequotas",
        "horizontalpodautoscalers.autoscaling",
    }
)  # fmt: skip
_GENERATION = frozenset(
    {
        "networkpolicies.networking.k8s.io", "ingressclasses.networking.k8s.io", "podtemplates",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }
)  # fmt: skip
# Server-owned metadata, kept from the stored object on every update.
_KEPT = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


# Fields of ObjectMeta that are not there when they are empty (`omitempty`), whoever emptied them.
_NOT_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences")


def has_generation(kind: Kind) -> bool:
    if kind.custom:
        return True
    return ("status" in kind.subresources and kind.resource not in _NO_GENERATION) or kind.resource in _GENERATION


def check_identity(call: Call, obj: Object) -> None:
    """The body must agree with the URL in apiVersion, kind, namespace and name; what it leaves out is filled in."""
    kind, target = call.kind, call.target
    for field, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        given = obj.get(field)
        if given and given != expected:
            word = "API version" if field == "apiVersion" else "kind"
            message = f"the {word} in the data ({given}) does not match the expected {word} ({expected})"
            raise status.BadRequest(message)
        obj[field] = expected
    metadata = obj["metadata"]
    for field in _NOT_EMPTY:
        if not metadata.get(field, True):
            del metadata[field]
    if kind.namespaced:
        if metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise status.BadRequest(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
    else:
        metadata.pop("namespace", None)
    if target.name and metadata.setdefault("name", target.name) != target.name:
        raise status.BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )


def begin(call: Call, obj: Object) -> bool:
    """Metadata of a new object; whether its name was left to us."""
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise status.BadRequest("resourceVersion should not be set on objects to be created")
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"):
        metadata.pop(field, None)
    generated = not metadata.get("name") and bool(metadata.get("generateName"))
    if generated:
        metadata["name"] = call.core.generate_name(metadata["generateName"])
    metadata["uid"] = call.core.new_uid()
    metadata["creationTimestamp"] = clock.format_time(call.core.clock.now())
    if has_generation(call.kind):
        metadata["generation"] = 1
    return generated


def carry_over(kind: Kind, new: Object, old: Object) -> None:
    """Keep what the server owns. Raises Conflict when the new object claims another uid."""
    metadata, before = new["metadata"], old["metadata"]
    claimed = metadata.get("uid")
    if claimed and claimed != before["uid"]:
        raise conflict(kind, meta.name(old), f"Precondition failed: UID in precondition: {claimed}, "
                       f"UID in object meta: {before['uid']}")  # fmt: skip
    for field in _KEPT:
        if field in before:
            metadata[field] = before[field]
        else:
            metadata.pop(field, None)


def bump_generation(kind: Kind, new: Object, old: Object) -> None:
    """One more whenever anything but metadata and status has changed."""
    if has_generation(kind) and _desired(kind, new) != _desired(kind, old):
        new["metadata"]["generation"] = meta.generation(old) + 1


def _desired(kind: Kind, obj: Object) -> Object:
    apart = ("metadata", "status") if "status" in kind.subresources else ("metadata",)
    return {field: value for field, value in obj.items() if field not in apart}


def check_finalizers(new: Object, old: Object) -> list[status.FieldError]:
    """An object that is being deleted takes no new finalizers."""
    if not meta.is_deleting(old):
        return []
    held = set(meta.finalizers(old))
    added = [item for item in meta.finalizers(new) if item not in held]
    if not added:
        return []
    message = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
    return [status.forbidden("metadata.finalizers", message)]


def conflict(kind: Kind, name: str, message: str = "") -> status.Conflict:
    why = message or ("the object has been modified; please apply your changes to the latest version and try again")
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    text = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return status.Conflict(text, details={key: value for key, value in details.items() if value})


def check_preconditions(kind: Kind, obj: Object, wanted: Mapping[str, Any] | None) -> None:
    """`preconditions` of DeleteOptions: uid and resourceVersion."""
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        expected = (wanted or {}).get(field)
        found = meta.metadata(obj).get(field, "")
        if expected and expected != found:
            raise conflict(kind, meta.name(obj), f"Precondition failed: {label} in precondition: {expected}, "
                           f"{label} in object meta: {found}")  # fmt: skip
