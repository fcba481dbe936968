"""What a controller sees of the world: the objects of a kind, indexed, as of one revision.

Objects in a cache are shared by every reader and frozen by convention: nobody changes one. Reads are by key, by
namespace, by owner and by label; an index for a label key is built the first time somebody asks for equality on it,
so that selecting the pods of a Service does not look at every pod of the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.selectors import LabelSelector

INDEXED_LABELS = 32
"""At most so many label keys are indexed in one cache; selectors on others look at every object of the namespace."""


Selection = Mapping[str, str] | LabelSelector | None
"""Labels that must all be equal, a selector, or None for everything."""


Objects = list[Object]


class Caches(Protocol):
    """The reads that a controller plans on. Objects are shared: never change one."""

    def get(self, kind: Kind, key: ObjectKey) -> Object | None: ...

    def list(self, kind: Kind, namespace: str | None = None, selector: Selection = None) -> Objects: ...

    def owned_by(self, kind: Kind, owner_uid: str) -> Objects: ...

    def where(self, kind: Kind, field: str, value: str) -> Objects: ...


class Change(NamedTuple):
    """One object before and after; `old` is None for a new object, `new` for one that is gone."""

    old: Object | None
    new: Object | None

    @property
    def object(self) -> Object:
        """The newest state known."""
        found = self.new if self.new is not None else self.old
        assert found is not None, "a change has at least one side"
        return found


class Lists(NamedTuple):
    """How the lists of a kind stand: the number of the newest one that the cache holds, and of the newest asked for."""

    held: int
    asked: int


_Group = dict[ObjectKey, Object]
_Name = TypeVar("_Name")


class _Index:
    """Objects by namespace and one value of theirs; the namespace None stands for all of them."""

    def __init__(self, read: Callable[[Object], object], objects: Iterable[tuple[ObjectKey, Object]]) -> None:
        self._read = read
        self._groups: dict[tuple[str | None, str], _Group] = {}
        for key, obj in objects:
            self.put(key, obj)

    def put(self, key: ObjectKey, obj: Object) -> None:
        value = self._read(obj)
        if isinstance(value, str):
            for namespace in (key.namespace, None):
                self._groups.setdefault((namespace, value), {})[key] = obj

    def drop(self, key: ObjectKey, obj: Object) -> None:
        value = self._read(obj)
        if isinstance(value, str):
            for namespace in (key.namespace, None):
                _drop(self._groups, (namespace, value), key)

    def find(self, namespace: str | None, value: str) -> _Group:
        return self._groups.get((namespace, value), {})


def _label_reader(label: str) -> Callable[[Object], object]:
    return lambda obj: meta.labels(obj).get(label)


def _field_reader(path: str) -> Callable[[Object], object]:
    steps = path.split(".")

    def read(obj: Object) -> object:
        value: object = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    return read


class Cache:
    """All objects of one kind as of `revision`, the revision of the newest event or list it has taken in whole."""

    def __init__(self) -> None:
        self.revision = 0
        self._objects: _Group = {}
        self._namespaces: dict[str, _Group] = {}
        self._owners: dict[str, _Group] = {}
        self._labels: dict[str, _Index] = {}
        self._fields: dict[str, _Index] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: ObjectKey) -> Object | None:
        return self._objects.get(key)

    def list(self, namespace: str | None = None, selector: Selection = None) -> Objects:
        if selector is None:
            return list(self._scope(namespace).values())
        if isinstance(selector, LabelSelector):
            exact = selector.exact()
            found = self._labelled(namespace, exact)
            if len(exact) == len(selector.requirements) and not selector.nothing:
                return found
            return [obj for obj in found if selector.matches(meta.labels(obj))]
        return self._labelled(namespace, selector)

    def owned_by(self, uid: str) -> Objects:
        return list(self._owners.get(uid, {}).values())

    def where(self, field: str, value: str) -> Objects:
        """Objects whose field, such as `spec.nodeName`, has that value. Each field asked for gets an index."""
        if field not in self._fields:
            self._fields[field] = _Index(_field_reader(field), self._objects.items())
        return list(self._fields[field].find(None, value).values())

    def advance(self, revision: int) -> None:
        """Note that nothing of this kind happened up to `revision`."""
        self.revision = max(self.revision, revision)

    def put(self, obj: Object) -> Change:
        change = self._keep(obj)
        self.advance(revision_of(obj))
        return change

    def _keep(self, obj: Object) -> Change:
        key = meta.key(obj)
        old = self._forget(key)
        self._objects[key] = obj
        self._namespaces.setdefault(key.namespace, {})[key] = obj
        for owner in meta.owner_references(obj):
            self._owners.setdefault(owner["uid"], {})[key] = obj
        for index in (*self._labels.values(), *self._fields.values()):
            index.put(key, obj)
        return Change(old, obj)

    def remove(self, obj: Object) -> Change:
        """Forget the object with the key of `obj`, which is its last state."""
        old = self._forget(meta.key(obj))
        self.advance(revision_of(obj))
        return Change(old or obj, None)

    def replace(self, objects: Iterable[Object], revision: int) -> Iterable[Change]:
        """Make the cache equal to a list, one change at a time; unchanged objects give no change.

        The revision becomes the list's with the last change, for until then the cache lacks some of what happened
        before. It may be lower than it was: a server that was restored from a backup counts on from there, and gives
        numbers that are known to other states.
        """
        fresh = {meta.key(obj): obj for obj in objects}
        restored = revision < self.revision
        for key in [key for key in self._objects if key not in fresh]:
            yield Change(self._forget(key), None)
        for key, obj in fresh.items():
            old = self._objects.get(key)
            if old is None or meta.resource_version(old) != meta.resource_version(obj) or (restored and old != obj):
                yield self._keep(obj)
        self.revision = revision

    def _forget(self, key: ObjectKey) -> Object | None:
        old = self._objects.pop(key, None)
        if old is None:
            return None
        _drop(self._namespaces, key.namespace, key)
        for owner in meta.owner_references(old):
            _drop(self._owners, owner["uid"], key)
        for index in (*self._labels.values(), *self._fields.values()):
            index.drop(key, old)
        return old

    def _scope(self, namespace: str | None) -> _Group:
        return self._objects if namespace is None else self._namespaces.get(namespace, {})

    def _labelled(self, namespace: str | None, wanted: Mapping[str, str]) -> Objects:
        smallest = self._scope(namespace)
        for label, value in wanted.items():
            index = self._index(label)
            group = smallest if index is None else index.find(namespace, value)
            smallest = min(smallest, group, key=len)
        return [obj for obj in smallest.values() if wanted.items() <= meta.labels(obj).items()]

    def _index(self, label: str) -> _Index | None:
        if label not in self._labels and len(self._labels) < INDEXED_LABELS:
            self._labels[label] = _Index(_label_reader(label), self._objects.items())
        return self._labels.get(label)


def _drop(groups: dict[_Name, _Group], name: _Name, key: ObjectKey) -> None:
    group = groups.get(name)
    if group is None:
        return
    group.pop(key, None)
    if not group:
        del groups[name]


def revision_of(obj: Object) -> int:
    """An object's resourceVersion as a number; revisions may be compared (KEP-5504). 0 when it is not one."""
    text = meta.resource_version(obj)
    return int(text) if text.isdecimal() else 0
