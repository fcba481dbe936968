"""After a kill: what a crash tears is forgiven, what was answered and is gone is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dabbawala.cluster.store import journal
from dabbawala.cluster.store.errors import Corrupt
from dabbawala.cluster.store.store import Store

WRITES = 40
KILLED = """
import os, signal, sys
from pathlib import Path
from dabbawala.cluster.store.entry import Key
from dabbawala.cluster.store.log import Checkpointer, Log, Row

path, moved = Path(sys.argv[1]), sys.argv[3:]
log = Log(path)
for number in range(1, 1 + int(sys.argv[2])):
    log.append([Row(number, Key("pods", "default", str(number)), False, os.urandom(3000))])
if moved:
    Checkpointer(path).move()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, *moved: str) -> Path:
    """The state file of a process that was killed after its last write was answered."""
    path = folder / "state.db"
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(WRITES), *moved], check=False)
    return path


def wal(state: Path) -> Path:
    return state.with_name("state.db-wal")


def change(state: Path, at: Callable[[int], int]) -> None:
    content = bytearray(wal(state).read_bytes())
    content[at(len(content))] ^= 1
    wal(state).write_bytes(content)


async def kept(state: Path) -> int:
    """How many objects a start finds."""
    store = await Store.open(state)
    found = store.count("pods")
    await store.close()
    return found


async def test_what_was_answered_before_a_kill_is_there(tmp_path: Path) -> None:
    state = killed(tmp_path)
    assert journal.missing(state) == 0
    assert await kept(state) == WRITES


async def test_frames_that_were_never_answered_are_forgiven(tmp_path: Path) -> None:
    state = killed(tmp_path)
    with wal(state).open("ab") as file:
        file.write(os.urandom(10_000))
    assert await kept(state) == WRITES


PLACES: dict[str, Callable[[int], int]] = {
    "its first byte": lambda size: 0,
    "its middle": lambda size: size // 2,
    "its last frame": lambda size: size - 9,
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_damaged_journal_is_named_every_time_it_is_opened(tmp_path: Path, place: str) -> None:
    state = killed(tmp_path)
    change(state, PLACES[place])
    damaged = wal(state).read_bytes()
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"lacks \d+ frames of answered writes.*dabba up --fresh"):
            await Store.open(state)
    assert wal(state).read_bytes() == damaged


async def test_a_journal_that_is_gone_is_missed(tmp_path: Path) -> None:
    state = killed(tmp_path)
    wal(state).unlink()
    with pytest.raises(Corrupt, match="frames of answered writes"):
        await Store.open(state)


async def test_a_journal_that_was_moved_into_the_file_is_not_missed(tmp_path: Path) -> None:
    state = killed(tmp_path, "moved")
    wal(state).unlink()
    assert await kept(state) == WRITES


async def test_after_a_clean_end_there_is_nothing_to_miss(tmp_path: Path) -> None:
    state = killed(tmp_path)
    await kept(state)
    assert [file.name for file in tmp_path.iterdir() if file.name != "lock"] == ["state.db"]
    assert journal.missing(state) == 0
    assert await kept(state) == WRITES
