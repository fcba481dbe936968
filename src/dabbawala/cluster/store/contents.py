"""The current entries of one resource, in order of namespace and name."""

from __future__ import annotations

from bisect import bisect_left, insort

from dabbawala.cluster.store.entry import Entry


class Contents:
    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}

    def get(self, namespace: str, name: str) -> Entry | None:
        space = self._spaces.get(namespace)
        return space.entries.get(name) if space else None

    def count(self) -> int:
        return sum(len(space.entries) for space in self._spaces.values())

    def put(self, entry: Entry) -> Entry | None:
        """Place an entry; the one it replaces."""
        space = self._spaces.get(entry.key.namespace)
        if space is None:
            space = self._spaces[entry.key.namespace] = _Space()
        return space.put(entry.key.name, entry)

    def remove(self, namespace: str, name: str) -> Entry | None:
        """Take an entry out; None when there was none."""
        space = self._spaces.get(namespace)
        previous = space.remove(name) if space else None
        if space and not space.entries:
            del self._spaces[namespace]
        return previous

    def all(self, namespace: str = "") -> list[Entry]:
        """A new list of the entries of one namespace, or of all."""
        if namespace:
            space = self._spaces.get(namespace)
            return space.sorted() if space else []
        return [entry for name in sorted(self._spaces) for entry in self._spaces[name].sorted()]


class _Space:
    """The entries of one namespace; names are kept sorted."""

    __slots__ = ("entries", "names")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.names: list[str] = []

    def put(self, name: str, entry: Entry) -> Entry | None:
        previous = self.entries.get(name)
        self.entries[name] = entry
        if previous is None:
            insort(self.names, name)
        return previous

    def remove(self, name: str) -> Entry | None:
        previous = self.entries.pop(name, None)
        if previous is not None:
            del self.names[bisect_left(self.names, name)]
        return previous

    def sorted(self) -> list[Entry]:
        entries = self.entries
        return [entries[name] for name in self.names]
