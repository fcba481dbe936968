"""The files of a volume: all of one set or all of the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabbawala.cluster.kubelet.volumes import atomic
from dabbawala.cluster.kubelet.volumes.content import File


def shown(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if not entry.name.startswith("..")}


def sets(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]


def test_an_update_replaces_the_whole_set_and_keeps_no_old_one(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, {"a": File(b"1", 0o644), "b": File(b"2", 0o600)})
    assert not atomic.write(tmp_path, {"a": File(b"1", 0o644), "b": File(b"2", 0o600)})
    assert atomic.write(tmp_path, {"b": File(b"3", 0o600), "c": File(b"4", 0o644)})
    assert shown(tmp_path) == {"b": b"3", "c": b"4"}
    assert len(sets(tmp_path)) == 1


def test_a_set_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    with pytest.raises(OSError, match="exists"):
        atomic.write(tmp_path, {"a": File(b"2", 0o644), "a/b": File(b"3", 0o644)})
    assert shown(tmp_path) == {"a": b"1"}
    assert len(sets(tmp_path)) == 1


def test_names_that_could_not_be_linked_are_linked_the_next_time(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    (tmp_path / "b").write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        atomic.write(tmp_path, {"b": File(b"2", 0o644)})
    (tmp_path / "b").unlink()
    assert not atomic.write(tmp_path, {"b": File(b"2", 0o644)})
    assert shown(tmp_path) == {"b": b"2"}
