"""The writer thread: it takes whatever has queued up and commits it as one transaction.

While a commit is on its way to the disk, the next writes gather; so one caller gets the disk's own pace, and many
share it. A second thread checkpoints. Both sleep while nothing is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from dabbawala.cluster.store.errors import StoreError
from dabbawala.cluster.store.log import Row

BATCH = 512  # rows in one transaction
CHECKPOINT_INTERVAL = 0.25  # seconds


class Sink(Protocol):
    """Where rows go; the log, or what a test puts in its place."""

    def append(self, rows: Sequence[Row], garbage: Sequence[int], floor: int) -> None: ...

    def tidy(self) -> None: ...


class Checkpoints(Protocol):
    def move(self) -> None: ...

    def close(self) -> None: ...


class Writer:
    """`done(rows, error)` is called on the writer's thread after every transaction, in order."""

    def __init__(
        self, sink: Sink, checkpoints: Checkpoints, done: Callable[[list[Row], StoreError | None], None]
    ) -> None:
        self._sink = sink
        self._mover = checkpoints
        self._done = done
        self._wake = threading.Condition()
        self._rows: list[Row] = []
        self._garbage: list[int] = []
        self._floor = 0
        self._closing = False
        self._written = threading.Event()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, name="store-writer", daemon=True),
            threading.Thread(target=self._checkpoints, name="store-checkpointer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, row: Row) -> None:
        with self._wake:
            self._rows.append(row)
            self._wake.notify()

    def discard(self, revisions: list[int], floor: int) -> None:
        """Delete rows along with a later transaction; `floor` is the compacted revision from then on."""
        with self._wake:
            self._garbage += revisions
            self._floor = floor

    def close(self) -> None:
        """Write what is queued, and stop both threads. Blocks until then."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._threads[0].join()
        self._stopped.set()
        self._written.set()
        self._threads[1].join()

    def _next(self) -> tuple[list[Row], list[int], int] | None:
        with self._wake:
            while not self._rows and not self._closing:
                self._wake.wait()
            if not self._rows:
                return None
            rows, self._rows = self._rows[:BATCH], self._rows[BATCH:]
            garbage, self._garbage = self._garbage[:BATCH], self._garbage[BATCH:]
            return rows, garbage, self._floor

    def _write(self) -> None:
        while (work := self._next()) is not None:
            rows, garbage, floor = work
            try:
                self._sink.append(rows, garbage, floor)
            except StoreError as error:
                with self._wake:
                    self._garbage = garbage + self._garbage
                self._done(rows, error)
                continue
            self._done(rows, None)
            self._written.set()
            if garbage:
                self._sink.tidy()

    def _checkpoints(self) -> None:
        while not self._stopped.is_set():
            self._written.wait()
            self._written.clear()
            self._mover.move()
            self._stopped.wait(CHECKPOINT_INTERVAL)
        self._mover.close()
