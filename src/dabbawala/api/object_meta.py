"""What is checked of every object's metadata, whatever its kind.

Source: apimachinery/pkg/api/validation ValidateObjectMeta and ValidateObjectMetaUpdate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dabbawala.api import names
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

NameCheck = Callable[[str], list[str]]
Rule = Callable[[Object, Object | None], Iterable[FieldError]]
Validate = Callable[[Object, Object | None], list[FieldError]]

MAX_ANNOTATIONS_BYTES = 256 * 1024
_GARBAGE_COLLECTION = ("orphan", "foregroundDeletion", "kubernetes")
_CHANGED = "field is immutable"


def validate(*rules: Rule, name: NameCheck = names.dns_subdomain, custom: bool = False) -> Validate:
    """A kind's validation: its metadata, with `name` saying what names are allowed, then `rules` in order. `custom`
    kinds and CustomResourceDefinitions may have finalizers without a domain."""

    def all_of(new: Object, old: Object | None) -> list[FieldError]:
        wrong = [*_identity(new, old, name), *labels(meta.labels(new), "metadata.labels")]
        wrong += [*_annotations(new), *_finalizers(new, custom), *_owners(new)]
        for rule in rules:
            wrong += rule(new, old)
        return wrong

    return all_of


def immutable(new: object, old: object, path: str, message: str = _CHANGED) -> Iterator[FieldError]:
    """An error when a field that may not change has changed."""
    if new != old:
        yield status.invalid(path, new, message)


def _identity(new: Object, old: Object | None, check: NameCheck) -> Iterator[FieldError]:
    metadata = meta.metadata(new)
    given = metadata.get("generateName") or ""
    if given:
        yield from _named(given.rstrip("-"), "metadata.generateName", check)
    if not metadata.get("name"):
        yield status.required("metadata.name", "name or generateName is required")
    else:
        yield from _named(metadata["name"], "metadata.name", check)
    if old is not None:
        before = meta.metadata(old)
        for field in ("name", "namespace", "uid", "creationTimestamp"):
            yield from immutable(metadata.get(field), before.get(field), f"metadata.{field}")


def _named(value: str, path: str, check: NameCheck) -> Iterator[FieldError]:
    for message in check(value):
        yield status.invalid(path, value, message)


def labels(given: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    for key, value in given.items():
        for message in names.qualified_name(key):
            yield status.invalid(path, key, message)
        for message in names.label_value(str(value)):
            yield status.invalid(path, value, message)


def _annotations(obj: Object) -> Iterator[FieldError]:
    total = 0
    for key, value in meta.annotations(obj).items():
        total += len(key) + len(value)
        for message in names.qualified_name(key.lower()):
            yield status.invalid("metadata.annotations", key, message)
    if total > MAX_ANNOTATIONS_BYTES:
        message = f"Too long: may not be more than {MAX_ANNOTATIONS_BYTES} bytes"
        yield FieldError("metadata.annotations", "FieldValueTooLong", message)


def _finalizers(obj: Object, custom: bool) -> Iterator[FieldError]:
    for index, value in enumerate(meta.finalizers(obj)):
        path = f"metadata.finalizers[{index}]"
        for message in names.qualified_name(value):
            yield status.invalid(path, value, message)
        if not custom and "/" not in value and value not in _GARBAGE_COLLECTION:
            yield status.invalid(path, value, "name is neither a standard finalizer name nor is it fully qualified")


def _owners(obj: Object) -> Iterator[FieldError]:
    controllers = 0
    for index, owner in enumerate(meta.owner_references(obj)):
        path = f"metadata.ownerReferences[{index}]"
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield status.invalid(f"{path}.{field}", owner.get(field) or "", f"{field} must not be empty")
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        yield status.invalid("metadata.ownerReferences", "", "Only one reference can have Controller set to true.")
