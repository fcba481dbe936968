"""The CRI log file, piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabbawala.cluster.sandbox import logs


def _records(path: Path) -> list[str]:
    return [line.split(" ", 1)[1] for line in path.read_text().splitlines()]


def test_lines_are_whole_however_they_arrive(tmp_path: Path) -> None:
    log = logs.LogFile(str(tmp_path / "0.log"))
    for piece in (b"he", b"llo\nwor", b"ld\n\nlast"):
        log.write(b"stdout", piece)
    log.write(b"stderr", b"aside\n")
    log.close()
    assert _records(tmp_path / "0.log") == [
        "stdout F hello",
        "stdout F world",
        "stdout F ",
        "stderr F aside",
        "stdout P last",
    ]


def test_long_lines_are_written_in_pieces(tmp_path: Path) -> None:
    log = logs.LogFile(str(tmp_path / "0.log"))
    size = logs.MAX_LINE_BYTES
    log.write(b"stdout", b"a" * (2 * size + 10) + b"\n" + b"b" * (size + 1))
    log.write(b"stdout", b"\n")
    log.close()
    assert [(each[:8], len(each) - 9) for each in _records(tmp_path / "0.log")] == [
        ("stdout P", size), ("stdout P", size), ("stdout F", 10), ("stdout P", size), ("stdout F", 1)]  # fmt: skip


def test_files_are_rotated_by_size_and_the_oldest_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 100)
    log = logs.LogFile(str(tmp_path / "0.log"))
    for number in range(20):
        log.write(b"stdout", f"line {number}\n".encode())
    log.close()
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["0.log", "0.log.1", "0.log.2", "0.log.3", "0.log.4"]
    assert "line 19" in (tmp_path / "0.log").read_text()
    assert "line 18" in "".join((tmp_path / name).read_text() for name in names)


def test_a_log_that_cannot_be_rotated_goes_on_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: a program must not end because its log has no room for a new file."""
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 100)
    log = logs.LogFile(str(tmp_path / "0.log"))
    (tmp_path / "0.log.new").mkdir()
    for number in range(20):
        log.write(b"stdout", f"line {number}\n".encode())
    assert _records(tmp_path / "0.log") == [f"stdout F line {number}" for number in range(20)]
    (tmp_path / "0.log.new").rmdir()
    log.write(b"stdout", b"there is room\n")
    log.close()
    assert _records(tmp_path / "0.log") == ["stdout F there is room"]
    assert len(_records(tmp_path / "0.log.1")) == 20


def test_a_timestamp_has_nanoseconds() -> None:
    assert logs.timestamp(1_767_225_600_000_000_007) == b"2026-01-01T00:00:00.000000007Z"
