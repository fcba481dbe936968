"""Judging a large scan in several processes.

Everything has been read when they are forked, so each has the whole world and nothing has to be sent to it. The first
asks all that needs more than one object, so that what is worked out of a whole world is worked out once. The objects,
for checks that look at one alone, are cut into runs, and whoever is free takes the next: all ends meet, however long
anything takes. Meant for a process that has one thread and ends soon.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from dabbawala.guard import scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Finding, Place, Status, Subject
from dabbawala.guard.scanning import Share
from dabbawala.guard.world import World

PROCESSES_MAX = 8
OBJECTS_MIN = 300
"""Objects that another process must have to judge: below that, making it takes longer than it saves."""

_RUNS_MAX = 128
"""Runs of a world: with fewer, some process waits at the end. The number of each is a byte in a pipe."""


class WorkerFailed(ChildProcessError):
    """A process ended before it had judged its part."""


_OWN = Share(True, 0, 0)


class _Worker(NamedTuple):
    pid: int
    pipe: BinaryIO


def count(objects: int) -> int:
    """How many processes are worth it for so many objects on this machine."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, PROCESSES_MAX, objects // OBJECTS_MIN))


class Runs:
    """The objects of a world from first to last, each run given to whoever asks next, in whichever process. The first
    ones are promised, one to each of the other processes."""

    def __init__(self, objects: int, processes: int) -> None:
        self._objects = objects
        self._size = max(-(-objects // _RUNS_MAX), 1)
        self._left, writing = os.pipe()
        os.write(writing, bytes(range(processes - 1, -(-objects // self._size))))
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


def judgements(world: World, engine: Engine, checks: Sequence[Check], processes: int) -> Iterator[Judgement]:
    """What the checks say of the objects of a world, in no order that means anything, but always in the same. Raises
    WorkerFailed."""
    if processes == 1:
        yield from (judgement for _, judgement in scanning.judgements(world, engine))
        return
    engine.compile({item.resource for item in world.inventory})
    runs = Runs(len(world.inventory), processes)
    workers = [_fork(world, engine, runs.promised(number)) for number in range(processes - 1)]
    try:
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
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            worker.pipe.close()
            os.waitpid(worker.pid, 0)


def _fork(world: World, engine: Engine, runs: Iterable[Share]) -> _Worker:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Worker(pid, os.fdopen(reading, "rb"))
    status = 1
    try:
        os.close(reading)
        _work(world, engine, runs, writing)
        status = 0
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        pass  # nobody waits for it any more
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)  # and nothing of what the other process has opened or begun


def _work(world: World, engine: Engine, runs: Iterable[Share], writing: int) -> None:
    """Nothing is sent before the end: a full pipe would stop the work."""
    batches = []
    for run in runs:
        found = [_packed(judgement) for _, judgement in scanning.judgements(world, engine, run)]
        batches.append(marshal.dumps((run.start, found)))
    with os.fdopen(writing, "wb") as pipe:
        pipe.writelines(batches)
        pipe.write(marshal.dumps(()))  # this is all


def _received(worker: _Worker, checks: dict[str, Check]) -> Iterator[tuple[int, Iterator[Judgement]]]:
    """What a process has found, by the beginnings of its runs, until it says that this is all. Raises WorkerFailed, and
    KeyboardInterrupt where that is why it ended."""
    try:
        while batch := marshal.load(worker.pipe):
            start, found = batch
            yield start, map(partial(_unpacked, checks=checks), found)
    except (EOFError, ValueError, TypeError):
        raise _failure(worker) from None
    finally:
        worker.pipe.close()


def _failure(worker: _Worker) -> BaseException:
    """Why a process ended. It is not waited for yet."""
    found = os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    ended = found.si_code == os.CLD_EXITED
    if found.si_status == (128 + signal.SIGINT if ended else signal.SIGINT):
        return KeyboardInterrupt()
    if not ended:
        name = signal.Signals(found.si_status).name
        return WorkerFailed(f"a process of the scan was ended by {name}: too little memory, perhaps; use --jobs 1")
    return WorkerFailed("a process of the scan failed; what it says stands above")


def _packed(judgement: Judgement) -> tuple[Any, ...]:
    return judgement.passed, judgement.namespace, [_sent(finding) for finding in judgement.findings]


def _sent(finding: Finding) -> tuple[Any, ...]:
    subject = finding.subject
    return (
        finding.check.id, finding.status.value, finding.message, finding.reason,
        (subject.api_version, subject.kind, subject.namespace, subject.name),
        [_place(place) for place in (finding.place, *finding.also)],
    )  # fmt: skip


def _place(place: Place) -> tuple[Any, ...]:
    return place.file, place.line, place.column, place.end_line, place.field, place.rendered


def _unpacked(sent: tuple[Any, ...], checks: dict[str, Check]) -> Judgement:
    passed, namespace, findings = sent
    return Judgement(passed, tuple(_found(findings, checks)), namespace)


def _found(sent: Iterable[tuple[Any, ...]], checks: dict[str, Check]) -> Iterator[Finding]:
    subjects: dict[tuple[str, ...], Subject] = {}
    for check, status, message, reason, about, places in sent:
        subject = subjects.get(about)
        if subject is None:
            subject = subjects[about] = Subject(*about)
        first, *also = (Place(*place) for place in places)
        yield Finding(checks[check], Status(status), subject, message, first, tuple(also), reason)
