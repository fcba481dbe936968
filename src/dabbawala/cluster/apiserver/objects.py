"""Reading the cluster's state from inside the API server: in memory, synchronous, always the newest.

Objects are kept as the JSON bytes that clients get, with apiVersion and kind first. A kind that is another view of a
stored one (events.k8s.io, a second version of a custom kind) is translated on the way out and in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import orjson

from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import structural
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema
from dabbawala.cluster.store.entry import Entry, Key
from dabbawala.cluster.store.store import Store

T = TypeVar("T")


def resource_of(kind: Kind) -> str:
    """The name under which objects of this kind are stored."""
    return kind.store_resource


def key_of(kind: Kind, namespace: str, name: str) -> Key:
    return Key(resource_of(kind), namespace if kind.namespaced else "", name)


@lru_cache(maxsize=4096)
def _head(kind: Kind) -> bytes:
    return b'{"apiVersion":"%s","kind":"%s",' % (kind.api_version.encode(), kind.kind.encode())


@lru_cache(maxsize=512)
def _defaults(kind: Kind) -> Schema | None:
    """The schema of a custom kind that has defaults: what was stored before they were declared gets them when it is
    read, as everywhere in Kubernetes."""
    schema = schema_of(kind) if kind.custom else None
    return schema if schema is not None and b'"default":' in orjson.dumps(schema.raw) else None


def shown(kind: Kind, body: bytes) -> bytes:
    """A stored body as this kind shows it: itself, unless the kind is another view or version, or has defaults."""
    if body.startswith(_head(kind)) and _defaults(kind) is None:
        return body
    return orjson.dumps(parsed(kind, body))


def parsed(kind: Kind, body: bytes) -> Object:
    """A private copy of a stored body, in this kind's form."""
    obj: Object = orjson.loads(body)
    if kind.from_stored is not None:
        obj = kind.from_stored(obj)
    schema = _defaults(kind)
    if schema is not None:
        structural.default(obj, schema)
    obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
    return obj


def encoded(kind: Kind, obj: Object) -> bytes:
    """The bytes to store for an object of this kind."""
    stored = kind.to_stored(obj) if kind.to_stored is not None else obj
    kept = kind.stored_as or kind
    head = {"apiVersion": kept.api_version, "kind": kept.kind, "metadata": stored.get("metadata") or {}}
    return orjson.dumps({**head, **stored, "apiVersion": kept.api_version, "kind": kept.kind})


class View(NamedTuple):
    """What selectors look at, read out of a body once and kept with its entry."""

    kind: Kind
    labels: Mapping[str, str]
    fields: Mapping[str, str]


def view(kind: Kind, entry: Entry) -> View:
    """Labels and selectable fields of an entry, as this kind sees them: a definition that has changed makes another
    kind, with other fields and defaults."""
    found: View | None = entry.view
    if found is None or found.kind is not kind:
        found = entry.view = _read(kind, entry)
    return found


def _read(kind: Kind, entry: Entry) -> View:
    obj = parsed(kind, entry.body)
    fields = {path: _text(obj, where or path) for path, where in kind.selectable_fields.items()}
    fields["metadata.name"], fields["metadata.namespace"] = entry.key.name, entry.key.namespace
    return View(kind, obj["metadata"].get("labels") or {}, fields)


def _text(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Objects:
    """What plugins read. Every object handed out is a private copy."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._derived: dict[tuple[str, Callable[..., Any]], tuple[int, Any]] = {}

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """By `Kind.resource`, e.g. `get("deployments.apps", "default", "web")`; namespace "" if cluster-scoped."""
        entry = self._store.get(Key(resource, namespace, name))
        return orjson.loads(entry.body) if entry else None

    def exists(self, resource: str, namespace: str, name: str) -> bool:
        return self._store.get(Key(resource, namespace, name)) is not None

    def labels(self, kind: Kind, namespace: str, name: str) -> Mapping[str, str] | None:
        """Of one object, read once a version of it and not to be changed; None when there is no such object."""
        entry = self._store.get(key_of(kind, namespace, name))
        return view(kind, entry).labels if entry else None

    def list(self, resource: str, namespace: str = "") -> Iterator[Object]:
        for entry in self._store.list(resource, namespace):
            yield orjson.loads(entry.body)

    def changed(self, resource: str) -> int:
        """The revision of the last change of that resource: what is derived from it can be cached by this number."""
        return self._store.changed(resource)

    def derived(self, resource: str, derive: Callable[[Iterable[Object]], T]) -> T:
        """What a function makes of all objects of that resource, made again only when one of them has changed. `derive`
        belongs to a module, and nobody changes what it gave."""
        revision = self.changed(resource)
        known = self._derived.get((resource, derive))
        if known is None or known[0] != revision:
            known = self._derived[resource, derive] = (revision, derive(self.list(resource)))
        found: T = known[1]
        return found

    def count(self, resource: str) -> int:
        return self._store.count(resource)
