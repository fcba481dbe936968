"""Judging a large scan in several processes.

Everything has been read when they are forked, so each has the whole world. The first asks all that needs more than one
object, so that what is worked out of a whole world is worked out once. The objects, for checks that look at one alone,
are cut into runs, and whoever is free takes the next: all ends meet, however long anything takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from dabbawala.guard import processes, scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Finding, Place, Status, Subject
from dabbawala.guard.processes import Worker
from dabbawala.guard.scanning import Share
from dabbawala.guard.world import World

_RUNS_MAX = 128
"""Runs of a world: with fewer, some process waits at the end. The number of each is a byte in a pipe."""
_STATUSES = {status.value: status for status in Status}

_OWN = Share(True, 0, 0)


class Runs:
    """The objects of a world from first to last, each run given to whoever asks next, in whichever process. The first
    ones are promised, one to each of the other processes."""

    def __init__(self, objects: int, jobs: int) -> None:
        self._objects = objects
        self._size = max(-(-objects // _RUNS_MAX), 1)
        self._left, writing = os.pipe()
        os.write(writing, bytes(range(jobs - 1, -(-objects // self._size))))
        os.close(writing)

    def promised(self, worker: int) -> Iterator[Share]:
        """What one of the other processes judges: its own run, then what it gets."""
        yield self._share(worker)
        yield from self.taken()

    def taken(self) -> Iterator[Share]:
        """Runs that nobody has, until there are none."""
        while number := os.read(self._left, 1):
            yield self._share(number[0])

    def _share(self, number: int) -> Share:
        start = min(number * self._size, self._objects)
        return Share(False, start, min(start + self._size, self._objects))

    def close(self) -> None:
        os.close(self._left)


def judgements(world: World, engine: Engine, checks: Sequence[Check], jobs: int) -> Iterator[Judgement]:
    """What the checks say of the objects of a world, in no order that means anything, but always in the same. `jobs` is
    the number of processes. Raises WorkerFailed."""
    if jobs == 1:
        yield from (judgement for _, judgement in scanning.judgements(world, engine))
        return
    engine.compile({item.resource for item in world.inventory})
    runs = Runs(len(world.inventory), jobs)
    others = [partial(_work, world, engine, runs.promised(number)) for number in range(jobs - 1)]
    try:
        with processes.working(others) as workers:
            yield from (judgement for _, judgement in scanning.judgements(world, engine, _OWN))
            found: dict[int, Iterable[Judgement]] = {}
            for run in runs.taken():
                found[run.start] = [judgement for _, judgement in scanning.judgements(world, engine, run)]
            by_id = {check.id: check for check in checks}
            for worker in workers:
                found.update(_received(worker, by_id))
            for start in sorted(found):
                yield from found[start]
    finally:
        runs.close()


def _work(world: World, engine: Engine, runs: Iterable[Share]) -> Iterator[tuple[int, list[Any]]]:
    for run in runs:
        yield run.start, [_packed(judgement) for _, judgement in scanning.judgements(world, engine, run)]


def _received(worker: Worker, checks: dict[str, Check]) -> Iterator[tuple[int, Iterator[Judgement]]]:
    """What a process has found, by the beginnings of its runs."""
    for start, found in processes.received(worker):
        yield start, map(partial(_unpacked, checks=checks), found)


def _packed(judgement: Judgement) -> tuple[Any, ...]:
    return judgement.passed, judgement.namespace, [_sent(finding) for finding in judgement.findings]


def _sent(finding: Finding) -> tuple[Any, ...]:
    check, status, subject, message, place, also, reason = finding
    return check.id, status.value, tuple(subject), message, tuple(place), [*map(tuple, also)], reason


def _unpacked(sent: tuple[Any, ...], checks: dict[str, Check]) -> Judgement:
    passed, namespace, findings = sent
    return Judgement(passed, tuple(_found(findings, checks)), namespace)


def _found(sent: Iterable[tuple[Any, ...]], checks: dict[str, Check]) -> Iterator[Finding]:
    subjects: dict[tuple[str, ...], Subject] = {}
    for check, status, about, message, place, also, reason in sent:
        subject = subjects.get(about)
        if subject is None:
            subject = subjects[about] = Subject._make(about)
        found = tuple(map(Place._make, also)) if also else ()
        yield Finding(checks[check], _STATUSES[status], subject, message, Place._make(place), found, reason)
