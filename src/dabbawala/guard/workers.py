"""Judging a large scan in several processes.

Everything has been read when they are forked, so each has the whole world and nothing has to be sent to it; it judges
its share and sends back what it found. Meant for a process that has one thread and ends soon.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import Any, BinaryIO, NamedTuple

from dabbawala.guard import scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Finding, Place, Status, Subject
from dabbawala.guard.scanning import EVERYTHING, Share
from dabbawala.guard.world import World

PROCESSES_MAX = 8
OBJECTS_MIN = 300
"""Objects that another process must have to judge: below that, making it takes longer than it saves."""

_OWN_COSTS = 1.5  # of native checks, as many take the time of one that asks about other objects
_BATCH = 256  # judgements that are packed at once


class WorkerFailed(ChildProcessError):
    """A process ended before it had judged its part."""


class _Worker(NamedTuple):
    pid: int
    pipe: BinaryIO


def count(objects: int) -> int:
    """How many processes are worth it for so many objects on this machine."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, PROCESSES_MAX, objects // OBJECTS_MIN))


def judgements(world: World, engine: Engine, checks: Sequence[Check], processes: int) -> Iterator[Judgement]:
    """What the checks say of the objects of a world, in no order that means anything. Raises WorkerFailed."""
    engine.compile({item.resource for item in world.inventory})
    first, *rest = shares(len(world.inventory), checks, processes)
    workers = [_fork(world, engine, share) for share in rest]
    try:
        yield from (judgement for _, judgement in scanning.judgements(world, engine, first))
        by_id = {check.id: check for check in checks}
        for worker in workers:
            yield from _received(worker, by_id)
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            worker.pipe.close()
            os.waitpid(worker.pid, 0)


def shares(objects: int, checks: Sequence[Check], processes: int) -> list[Share]:
    """What each process judges. The first asks all that needs more than one object, so that what is worked out of a
    whole world is worked out once; the others do as much of the rest as makes all ends meet."""
    if processes == 1:
        return [EVERYTHING]
    native = sum(1 for check in checks if check.native)
    own = (len(checks) - native) * _OWN_COSTS
    left = max((native + own) / processes - own, 0)
    begin = round(objects * left / max(native, 1))
    step = (objects - begin) / (processes - 1)
    ends = [begin + round(step * number) for number in range(processes)]
    return [Share(True, 0, begin), *(Share(False, *pair) for pair in pairwise(ends))]


def _fork(world: World, engine: Engine, share: Share) -> _Worker:
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
        _work(world, engine, share, writing)
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


def _work(world: World, engine: Engine, share: Share, writing: int) -> None:
    """Nothing is sent before the end: a full pipe would stop the work."""
    found = (judgement for _, judgement in scanning.judgements(world, engine, share))
    batches = []
    while batch := [_packed(judgement) for judgement in islice(found, _BATCH)]:
        batches.append(marshal.dumps(batch))
    with os.fdopen(writing, "wb") as pipe:
        pipe.writelines(batches)
        pipe.write(marshal.dumps(()))  # this is all


def _received(worker: _Worker, checks: dict[str, Check]) -> Iterator[Judgement]:
    """What a process has found, until it says that this is all. Raises WorkerFailed, and KeyboardInterrupt where that
    is why it ended."""
    try:
        while batch := marshal.load(worker.pipe):
            yield from (_unpacked(one, checks) for one in batch)
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
