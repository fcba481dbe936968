"""Judging a large scan in several processes.

Everything has been read when they are forked, so each has the whole world and nothing has to be sent to it; it judges
every so many-th object and sends back what it found. What is worked out once for a world is worked out in each of
them, at the same time. Meant for a process that has one thread and ends soon.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from dabbawala.guard import scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Finding, Place, Status, Subject
from dabbawala.guard.world import World

PROCESSES_MAX = 8
OBJECTS_MIN = 300
"""Objects that another process must have to judge: below that, making it takes longer than it saves."""

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
    workers = [_fork(world, engine, (part, processes)) for part in range(1, processes)]
    try:
        yield from (judgement for _, judgement in scanning.judgements(world, engine, (0, processes)))
        by_id = {check.id: check for check in checks}
        while workers:
            yield from _received(workers[0], by_id)
            _end(workers.pop(0))
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            worker.pipe.close()
            os.waitpid(worker.pid, 0)


def _fork(world: World, engine: Engine, part: tuple[int, int]) -> _Worker:
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
        _work(world, engine, part, writing)
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


def _work(world: World, engine: Engine, part: tuple[int, int], writing: int) -> None:
    """Nothing is sent before the end: a full pipe would stop the work."""
    found = (judgement for _, judgement in scanning.judgements(world, engine, part))
    batches = []
    while batch := [_packed(judgement) for judgement in islice(found, _BATCH)]:
        batches.append(marshal.dumps(batch))
    with os.fdopen(writing, "wb") as pipe:
        pipe.writelines(batches)


def _received(worker: _Worker, checks: dict[str, Check]) -> Iterator[Judgement]:
    while worker.pipe.peek(1):  # type: ignore[attr-defined]  # a buffered reader
        try:
            batch = marshal.load(worker.pipe)
        except (EOFError, ValueError, TypeError):
            _end(worker)
            raise WorkerFailed("a process of the scan ended in the middle of a sentence") from None
        yield from (_unpacked(one, checks) for one in batch)


def _end(worker: _Worker) -> None:
    """Raises WorkerFailed, and KeyboardInterrupt where that is why it ended."""
    worker.pipe.close()
    status = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
    if status in (-signal.SIGINT, 128 + signal.SIGINT):
        raise KeyboardInterrupt
    if status < 0:
        why = f"was ended by {signal.Signals(-status).name}: too little memory, perhaps; use --jobs 1"
        raise WorkerFailed(f"a process of the scan {why}")
    if status:
        raise WorkerFailed("a process of the scan failed; what it says stands above")


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
