"""The control plane as a process: found by its record, never mistaken for another, believed only when it is ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dabbawala.cluster.supervisor import daemon, paths
from dabbawala.cluster.supervisor.paths import Paths


@pytest.fixture
def where(tmp_path: Path) -> Paths:
    made = paths.resolve("default", tmp_path / "d", {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "r")})
    made.make()
    return made


def started(where: Paths, program: str) -> daemon.Launch:
    """A program in the control plane's place, with its end of the progress pipe."""
    reading, writing = os.pipe()
    with (where.logs / "control-plane.log").open("ab") as log:
        command = [sys.executable, "-c", program, str(writing)]
        process = subprocess.Popen(command, pass_fds=(writing,), stdout=log, stderr=log)
    os.close(writing)
    return daemon.Launch(process, reading, 0)


def test_a_running_control_plane_is_found_by_its_record(where: Paths) -> None:
    daemon.write(where, "https://127.0.0.1:1", "0.1")
    found = daemon.read(where)
    assert found is not None
    assert (found.pid, found.server) == (os.getpid(), "https://127.0.0.1:1")


def test_another_process_that_got_the_same_pid_is_not_taken_for_it(where: Paths) -> None:
    ticks = daemon.start_ticks(os.getpid())
    assert ticks is not None
    record = daemon.Record(os.getpid(), ticks - 1, "https://127.0.0.1:1", "0.1")
    where.record.write_text(json.dumps(asdict(record)))
    assert daemon.read(where) is None


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"pid": 1}'])
def test_a_record_that_cannot_be_read_is_none(where: Paths, text: str) -> None:
    where.record.write_text(text)
    assert daemon.read(where) is None


def test_a_process_that_has_ended_is_not_alive_even_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    ticks = daemon.start_ticks(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ticks is None or not daemon.Record(child.pid, ticks, "", "").alive()
    child.wait()


SAYS_READY = """
import json, os, sys
for event in ("api", "controllers", "ready"):
    os.write(int(sys.argv[1]), json.dumps({"event": event}).encode() + b"\\n")
"""


def test_whoever_waits_hears_every_step_until_ready(where: Paths) -> None:
    heard: list[dict[str, Any]] = []
    launched = started(where, SAYS_READY)
    daemon.follow(launched, where, heard.append)
    launched.process.wait()
    assert [event["event"] for event in heard] == ["api", "controllers", "ready"]


def test_a_reason_that_was_given_is_the_reason_that_is_told(where: Paths) -> None:
    line = json.dumps({"event": "failed", "reason": "the port is taken"}) + "\n"
    program = f"import os, sys; os.write(int(sys.argv[1]), {line.encode()!r}); sys.exit(1)"
    with pytest.raises(daemon.StartFailed, match=r"^the port is taken$"):
        daemon.follow(started(where, program), where, lambda event: None)


def test_a_death_without_a_word_is_told_with_the_end_of_the_log(where: Paths) -> None:
    with pytest.raises(daemon.StartFailed, match=r"ended with status 3; the log's last lines:\nno memory"):
        daemon.follow(started(where, "import sys; print('no memory'); sys.exit(3)"), where, lambda event: None)


def test_a_start_that_hangs_is_given_up_with_a_hint(where: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "START_SECONDS_MAX", 0.2)
    launched = started(where, "import signal; signal.pause()")
    with pytest.raises(daemon.StartFailed, match="`dabba logs` shows what it is doing"):
        daemon.follow(launched, where, lambda event: None)
    launched.process.kill()
    launched.process.wait()


def test_a_control_plane_that_does_not_end_when_asked_is_ended(where: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "STOP_SECONDS_MAX", 0.2)
    program = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    ticks = daemon.start_ticks(child.pid)
    assert ticks is not None
    assert not daemon.stop(daemon.Record(child.pid, ticks, "", ""))
    assert child.wait() == -9
    child.communicate()


def test_progress_without_a_listener_says_nothing() -> None:
    progress = daemon.Progress({})
    progress.say("api", text="ready")
    progress.close()
