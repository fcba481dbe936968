"""What can be seen of the store: everything that is durable, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.store.entry import Entry, Key
from dabbawala.cluster.store.errors import Compacted, Future
from dabbawala.cluster.store.events import Subscription
from dabbawala.cluster.store.history import History
from dabbawala.cluster.store.log import Row
from dabbawala.cluster.store.shelf import Shelf, Snapshot


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the history (whichever is reached first) and of the file."""

    window_seconds: float = 300.0
    max_events: int = 200_000
    max_history_bytes: int = 128 << 20
    max_file_bytes: int = 0  # 0: as much as the disk has


class Visible:
    """`revision` is that of the newest write that can be seen."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.clock = clock
        self.revision = 0
        self._shelves: dict[str, Shelf] = {}
        self._history = History(settings.window_seconds, settings.max_events, settings.max_history_bytes)

    def _show(self, row: Row) -> Entry:
        """Make a durable write visible."""
        entry = Entry(row.key, row.revision, row.body)
        shelf = self._shelf(row.key.resource)
        self.revision = row.revision
        self._history.add(self.clock.monotonic(), shelf, shelf.write(entry, deleted=row.deleted))
        return entry

    def _shelf(self, resource: str) -> Shelf:
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = Shelf()
        return shelf

    @property
    def floor(self) -> int:
        """The oldest revision that can still be listed, or watched from."""
        return self._history.floor

    def get(self, key: Key) -> Entry | None:
        shelf = self._shelves.get(key[0])
        return shelf.contents.get(key[1], key[2]) if shelf else None

    def list(self, resource: str, namespace: str = "") -> list[Entry]:
        """The entries now, sorted by namespace and name; not to be changed."""
        return self._shelf(resource).current(namespace)

    def snapshot(self, resource: str, namespace: str = "", revision: int | None = None) -> Snapshot:
        """The entries as of `revision`, kept for the pages to come. Raises Compacted or Future."""
        at = self.revision if revision is None else self._check(revision)
        return self._shelf(resource).snapshot(namespace, at)

    def watch(self, resource: str, namespace: str = "", after: int | None = None) -> Subscription:
        """Every event after revision `after` (default: now). Raises Compacted or Future."""
        return self._shelf(resource).events.subscribe(namespace, self.revision if after is None else self._check(after))

    def _check(self, revision: int) -> int:
        if revision < self.floor:
            raise Compacted(revision, self.floor)
        if revision > self.revision:
            raise Future(revision, self.revision)
        return revision

    def changed(self, resource: str) -> int:
        """The revision of the last change of that resource."""
        return self._shelf(resource).changed

    def count(self, resource: str) -> int:
        return self._shelf(resource).contents.count()

    def revision_before(self, age_seconds: float) -> int:
        """A revision that was current at least that long ago (to 10 s, at most 1.5 h); 0 if unknown."""
        return self._history.revision_at(self.clock.monotonic() - age_seconds)
