"""Scans by an installed program, by the clock, and their way to a dashboard: a real program, a real server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.guard.images import folders, runs, schedule, timetable, uploads
from dabbawala.guard.images.names import Name
from tests.guard.images.worlds import DIGEST, FOLDER, SWITCH

OTHER = Name.of("registry.example.com/web:1")
TRIVY = f"""#!/bin/sh
for last; do :; done
case "$*" in *docker-cis*) echo '{{"ID": "docker-cis-1.6.0"}}'; exit 0 ;; esac
case "$last" in
  *upi-switch*) cat {FOLDER}/trivy.json; exit 10 ;;
  *slow*) exec sleep 60 ;;
  *garbled*) echo oops; exit 0 ;;
  *) echo "unauthorized" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A Trivy that knows one image."""
    file = tmp_path / "bin" / "trivy"
    file.parent.mkdir()
    file.write_text(TRIVY)
    file.chmod(0o755)
    return str(file)


async def test_each_image_is_scanned_once_and_filed_for_each_namespace(tmp_path: Path, program: str) -> None:
    (ran,) = await runs.scan({SWITCH: ["bank", "shop"]}, tmp_path / "scans", runs.Program(program))
    assert (ran.status, ran.failure) == (runs.FOUND, "")
    names = sorted(path.name for path in (tmp_path / "scans").iterdir())
    assert names == [f"{n}__registry.example.com_upi-switch__2.3__{'a' * 12}.json" for n in ("bank", "shop")]
    archive = folders.archive([tmp_path / "scans"])
    assert not archive.problems
    heard = archive.heard(SWITCH, datetime(2026, 1, 1, tzinfo=UTC), 7)
    assert heard.scans[0].leaks is not None
    assert heard.scans[0].misconfigurations == ()


@pytest.mark.parametrize(
    ("image", "why"),
    [("registry.example.com/web:1", "exit status 1: unauthorized"), ("slow", "longer than"), ("garbled", "no JSON")],
)
async def test_a_scan_that_fails_leaves_a_file_that_says_so(tmp_path: Path, program: str, image: str, why: str) -> None:
    name = Name.of(image)._replace(digest=DIGEST)
    (ran,) = await runs.scan({name: ["shop"]}, tmp_path / "scans", runs.Program(program, 0.5))
    assert why in ran.failure
    heard = folders.archive([tmp_path / "scans"]).heard(name, datetime(2026, 1, 1, tzinfo=UTC), 7)
    assert heard.broken
    assert why in heard.reason


async def test_a_compliance_report_is_kept_beside_the_scan_and_not_read_as_one(tmp_path: Path, program: str) -> None:
    (ran,) = await runs.scan({SWITCH: ["bank"]}, tmp_path / "scans", runs.Program(program, 60, "docker-cis-1.6.0"))
    assert ran.failure == ""
    assert b"docker-cis-1.6.0" in ran.files[0].with_suffix(runs.COMPLIANCE).read_bytes()
    assert len(folders.archive([tmp_path / "scans"]).records) == 1


def test_a_missing_trivy_is_told_with_what_to_do() -> None:
    with pytest.raises(runs.NoTrivy, match="install Trivy"):
        runs.program("no-such-program-anywhere")


def test_a_folder_without_reports_is_a_problem_and_so_is_none(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    for path in (tmp_path, tmp_path / "missing"):
        (problem,) = folders.archive([path]).problems
        assert problem.reason


# By the clock


@pytest.mark.parametrize(
    ("now", "due"),
    [("2026-01-01T00:00:00Z", "2026-01-01T20:30:00Z"), ("2026-01-01T20:30:00Z", "2026-01-02T20:30:00Z"),
     ("2026-01-01T20:29:59Z", "2026-01-01T20:30:00Z")],
)  # fmt: skip
def test_two_in_the_morning_of_india_is_half_past_eight_in_the_evening_utc(now: str, due: str) -> None:
    planned = schedule.parse("", "02:00", "Asia/Kolkata")
    assert planned.next(datetime.fromisoformat(now)) == datetime.fromisoformat(due)


def test_each_day_has_one_time_where_clocks_change() -> None:
    planned = schedule.parse("", "02:30", "Europe/Berlin")
    at, seen = datetime(2026, 3, 27, tzinfo=UTC), []
    for _ in range(5):
        at = planned.next(at)
        seen.append(at)
    assert [one.day for one in seen] == [27, 28, 29, 30, 31]


@pytest.mark.parametrize(
    ("every", "at", "zone"), [("24", "", ""), ("1s", "", ""), ("", "25:00", ""), ("", "02:00", "Mars/Olympus")]
)
def test_a_wrong_time_is_refused(every: str, at: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"write|no time"):
        schedule.parse(every, at, zone)


async def test_rounds_come_at_their_times_and_a_long_one_lets_the_next_pass() -> None:
    clock = VirtualClock()
    begun: list[float] = []

    async def work() -> int:
        begun.append(clock.monotonic())
        await clock.sleep(5400 if len(begun) == 1 else 1)
        return len(begun)

    rounds = timetable.Rounds(schedule.parse("1h", "", ""), clock, at_once=True, rounds_max=3)
    task = asyncio.ensure_future(rounds.run(work))
    while not task.done():
        await asyncio.sleep(0)
        clock.advance(1)
    assert await task == 3
    assert [round(at / 3600) for at in begun] == [0, 2, 3]


def test_history_is_bounded_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day in range(5):
        timetable.folder(tmp_path, start + timedelta(days=day)).mkdir()
    (tmp_path / "by-hand").mkdir()
    timetable.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20260104T000000Z", "20260105T000000Z", "by-hand"]


# To a dashboard


@pytest.fixture
async def dashboard() -> AsyncIterator[tuple[str, list[object], list[int]]]:
    """A server, what it got, and the statuses that it answers with, one after the other, then 200."""
    got: list[object] = []
    answers: list[int] = []

    async def take(request: web.Request) -> web.Response:
        got.append(orjson.loads(await request.read()))
        return web.Response(status=answers.pop(0) if answers else 200)

    app = web.Application()
    app.router.add_post("/scans", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/scans", got, answers
    await runner.cleanup()


async def posted(url: str, clock: VirtualClock) -> int:
    task = asyncio.ensure_future(uploads.post(url, b'{"images": []}', clock))
    while not task.done():
        await asyncio.sleep(0)
        clock.advance(1)
    return await task


async def test_results_are_posted_until_they_are_taken(dashboard: tuple[str, list[object], list[int]]) -> None:
    url, got, answers = dashboard
    answers += [503, 429]
    assert await posted(url, VirtualClock()) == 3
    assert got == [{"images": []}] * 3


@pytest.mark.parametrize(("statuses", "count"), [([400], 1), ([500] * 9, uploads.ATTEMPTS_MAX)])
async def test_attempts_are_bounded_and_a_refusal_is_not_tried_again(
    dashboard: tuple[str, list[object], list[int]], statuses: list[int], count: int
) -> None:
    url, got, answers = dashboard
    answers += statuses
    with pytest.raises(uploads.NotUploaded, match=str(statuses[0])):
        await posted(url, VirtualClock())
    assert len(got) == count


async def test_nobody_there_is_told_after_the_last_attempt() -> None:
    with pytest.raises(uploads.NotUploaded):
        await posted("http://127.0.0.1:9/scans", VirtualClock())


def test_a_pipe_in_a_folder_of_reports_is_a_problem_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.json")
    (told,) = folders.archive([tmp_path]).problems
    assert told.source == str(tmp_path / "endless.json")
    assert "a pipe" in told.reason
