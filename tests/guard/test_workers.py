"""Several processes say what one says; what happens to one of them is told; none is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from dabbawala.guard import checks, processes, scanning, workers
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Report
from dabbawala.guard.world import World
from tests.guard import cases
from tests.guard.test_policies import NOW

CHOSEN = [check for check in checks.shipped().values() if check.id in ("WL-01", "WL-05", "WL-08", "NET-03", "REL-05")]
OURS = os.getpid()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    objects = [obj for check in ("WL-01", "WL-05", "REL-05") for case in cases.read(check) for obj in case.objects]
    folder = tmp_path_factory.mktemp("objects")
    for number, obj in enumerate(objects):
        (folder / f"{number:03}.json").write_bytes(orjson.dumps(obj))
    return World(scanning.read([str(folder)], Report()), now=NOW)


def judged(world: World, processes: int, engine: Engine | None = None) -> Report:
    report = Report(checks=CHOSEN)
    engine = engine or Engine(CHOSEN, now=NOW)
    scanning.collect(report, workers.judgements(world, engine, CHOSEN, processes))
    return report


def none_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_several_processes_say_what_one_says(world: World, processes: int) -> None:
    alone, together = judged(world, 1), judged(world, processes)
    assert together == alone
    assert len(alone.findings) > 20
    assert none_left()


@pytest.mark.parametrize("objects", [0, 1, 5, 127, 128, 129, 1000, 10_000])
@pytest.mark.parametrize("processes", [2, 5])
def test_the_runs_of_all_processes_are_everything_once(objects: int, processes: int) -> None:
    runs = workers.Runs(objects, processes)
    others = [runs.promised(number) for number in range(processes - 1)]
    shares = [next(other) for other in others]  # one each, however quick the first process is
    shares += [share for taker in (others[0], runs.taken(), *others[1:]) for share in taker]
    runs.close()
    assert not any(share.own for share in shares)
    assert sorted(number for share in shares for number in range(share.start, share.end)) == list(range(objects))


class Troubled(Engine):
    """Something happens to it in other processes than the first."""

    def judge(self, *args: Any, **rest: Any) -> Judgement:
        if os.getpid() != OURS:
            self.trouble()
        return super().judge(*args, **rest)

    def trouble(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Raising(Troubled):
    def trouble(self) -> None:
        raise AttributeError("a defect of ours")


class Interrupted(Troubled):
    def trouble(self) -> None:
        raise KeyboardInterrupt


class Leaving(Troubled):
    def trouble(self) -> None:
        os._exit(0)


def test_a_process_that_is_killed_is_told(world: World) -> None:
    with pytest.raises(processes.WorkerFailed, match="was ended by SIGKILL: too little memory, perhaps; use --jobs 1"):
        judged(world, 3, Troubled(CHOSEN, now=NOW))
    assert none_left()


def test_a_process_that_fails_is_told_and_why(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(processes.WorkerFailed, match="failed; what it says stands above"):
        judged(world, 2, Raising(CHOSEN, now=NOW))
    assert "AttributeError: a defect of ours" in capfd.readouterr().err
    assert none_left()


def test_a_process_that_leaves_without_a_word_is_told(world: World) -> None:
    with pytest.raises(processes.WorkerFailed):
        judged(world, 2, Leaving(CHOSEN, now=NOW))
    assert none_left()


def test_an_interrupt_ends_all_of_them(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        judged(world, 3, Interrupted(CHOSEN, now=NOW))
    assert none_left()


def test_whoever_stops_listening_leaves_no_process(world: World) -> None:
    found: Iterator[Judgement] = workers.judgements(world, Engine(CHOSEN, now=NOW), CHOSEN, 3)
    next(found)
    found.close()  # type: ignore[attr-defined]  # a generator
    assert none_left()


def test_a_small_scan_is_judged_by_one_process() -> None:
    assert processes.count(processes.OBJECTS_MIN - 1) == 1
    assert processes.count(100 * processes.OBJECTS_MIN) == min(len(os.sched_getaffinity(0)), processes.PROCESSES_MAX)
