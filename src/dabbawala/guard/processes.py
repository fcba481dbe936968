"""Processes that do a share of a scan and send back what they found.

What there is when they are forked each of them has, so that nothing has to be sent to it. Meant for a process that has
one thread and ends soon.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, NamedTuple

PROCESSES_MAX = 8
OBJECTS_MIN = 300
"""Files that another process must have to read, or objects to judge: below that, making it takes longer than it
saves."""

Work = Callable[[], Iterable[Any]]
"""What a process does: batches of plain values that it finds, none of them empty."""


class WorkerFailed(ChildProcessError):
    """A process ended before it had done its part."""


class Worker(NamedTuple):
    pid: int
    pipe: BinaryIO


def count(objects: int) -> int:
    """How many processes are worth it for so many objects, or files, on this machine."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, PROCESSES_MAX, objects // OBJECTS_MIN))


@contextmanager
def working(shares: Sequence[Work]) -> Iterator[list[Worker]]:
    """A process for each share. None of them is left in the end."""
    workers: list[Worker] = []
    try:
        workers.extend(_fork(share) for share in shares)
        yield workers
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            worker.pipe.close()
            os.waitpid(worker.pid, 0)


def _fork(work: Work) -> Worker:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Worker(pid, os.fdopen(reading, "rb"))
    status = 1
    try:
        os.close(reading)
        _send(work, writing)
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


def _send(work: Work, writing: int) -> None:
    """Nothing is sent before the end: a full pipe would stop the work."""
    batches = [marshal.dumps(batch) for batch in work()]
    with os.fdopen(writing, "wb") as pipe:
        pipe.writelines(batches)
        pipe.write(marshal.dumps(()))  # this is all


def received(worker: Worker) -> Iterator[Any]:
    """The batches that a process has found, until it says that this is all. Raises WorkerFailed, and KeyboardInterrupt
    where that is why it ended."""
    try:
        while batch := marshal.load(worker.pipe):
            yield batch
    except (EOFError, ValueError, TypeError):
        raise _failure(worker) from None
    finally:
        worker.pipe.close()


def _failure(worker: Worker) -> BaseException:
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
