"""Reading CRI logs: tails, windows, rotation under a follower."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cluster.kubelet import log_files
from dabbawala.cluster.kubelet.log_files import LogOptions


def line(number: int, text: str = "", *, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-01-01T00:00:{number:02d}.000000000Z {stream} {tag} {text or f'line {number}'}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "0.log"
    made.write_text("".join(line(number) for number in range(10)))
    return made


async def shown(path: Path, **options: object) -> str:
    wanted = LogOptions(**options)  # type: ignore[arg-type]  # each test names real options
    chunks = [chunk async for chunk in log_files.read(path, wanted, lambda: False, SystemClock())]
    return b"".join(chunks).decode()


async def test_a_tail_is_the_last_lines_also_over_rotated_files(path: Path) -> None:
    assert await shown(path, tail_lines=2) == "line 8\nline 9\n"
    assert await shown(path, tail_lines=0) == ""
    path.rename(path.with_name("0.log.1"))
    path.write_text(line(10))
    assert await shown(path, tail_lines=3) == "line 8\nline 9\nline 10\n"
    assert (await shown(path)).count("\n") == 11


async def test_pieces_of_a_long_line_are_one_line(path: Path) -> None:
    path.write_text(line(1) + line(2, "long ", tag="P") + line(3, "line", tag="F") + line(4))
    assert await shown(path) == "line 1\nlong line\nline 4\n"
    assert await shown(path, tail_lines=2) == "long line\nline 4\n"
    assert (await shown(path, timestamps=True)).count("Z ") == 3


async def test_since_stream_and_bytes_narrow_it(path: Path) -> None:
    path.write_text(line(1) + line(2, stream="stderr") + line(3))
    since = datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert await shown(path, since=since) == "line 2\nline 3\n"
    assert await shown(path, stream="stderr") == "line 2\n"
    assert await shown(path, limit_bytes=9) == "line 1\nli"


async def test_a_follower_goes_through_a_rotation_and_ends_with_the_run(path: Path) -> None:
    running = True
    got = bytearray()

    async def follow() -> None:
        async for chunk in log_files.read(path, LogOptions(follow=True), lambda: running, SystemClock()):
            got.extend(chunk)

    task = asyncio.create_task(follow())
    await _until(lambda: got.count(b"\n") == 10)
    with path.open("a") as file:
        file.write(line(10))
    path.rename(path.with_name("0.log.1"))
    path.write_text(line(11))
    await _until(lambda: got.count(b"\n") == 12)
    with path.open("a") as file:
        file.write(line(12))
    running = False
    await asyncio.wait_for(task, 5)
    assert got.decode().splitlines()[-3:] == ["line 10", "line 11", "line 12"]


async def _until(holds: object) -> None:
    assert callable(holds)
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_record_that_was_cut_short_spoils_no_other(path: Path) -> None:
    path.write_text(line(1) + "2026-01-01T\n\n" + line(2))
    assert (await shown(path, tail_lines=2)).splitlines()[-1] == "line 2"
    assert await shown(path, stream="stdout") == "line 1\nline 2\n"
