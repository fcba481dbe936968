"""Ctrl-C at any moment of the main job: it ends at once, says so on its last line, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import leftovers
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba

END_SECONDS_MAX = 60
LAST = "while the report is written"
MOMENTS = {
    "while images are built": "image irctc/tatkal:v2.8.0 is built",
    "while the cluster starts": "image shop/catalog:v3.4.1 is built",
    "while the first pods start": "the cluster is up",
    "between the two services": "tatkal-booking v2.8.0 serves",
    "while traffic flows": "product-search v3.3.0 serves",
    "during the blue-green release": "s  switch",
    "during the canary": "s  weight → 10 %",
    "while the bad version serves": "product-search v3.4.0: promoted",
    "while all is taken down": "product-search v3.4.1: rolled-back",
    LAST: "the cluster is down",
}
ORDINARY = (
    "while the cluster starts",
    "while the first pods start",
    "while traffic flows",
    "during the blue-green release",
)


@pytest.fixture(scope="module")
def home(process_pods: None) -> Iterator[Dabba]:
    """One home for all: the images are built once."""
    with tempfile.TemporaryDirectory(prefix="dabba", ignore_cleanup_errors=True) as made:
        (Path(made) / "run").mkdir(mode=0o700)
        yield Dabba(Path(made))


def demo(home: Dabba) -> subprocess.Popen[str]:
    """In a session of its own, where Ctrl-C has its ordinary meaning."""
    return subprocess.Popen(
        [sys.executable, "-m", "dabbawala.cli.main", "demo", "--quick", "--output", str(home.home)],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def control_c(started: subprocess.Popen[str]) -> None:
    """To the whole group, as a terminal does."""
    os.killpg(started.pid, signal.SIGINT)


def has_cluster(home: Dabba) -> bool:
    folders = list((home.home / "run" / "dabbawala").iterdir())
    return any((folder / "holder.json").exists() and (folder / "controlplane.json").exists() for folder in folders)


def interrupted_at(home: Dabba, moment: str, *, again: bool = False) -> None:
    started = demo(home)
    try:
        assert started.stdout
        heard: list[str] = []
        for line in started.stdout:
            heard.append(line)
            if MOMENTS[moment] in line:
                break
        else:
            pytest.fail(f"the demo ended before {moment}: {''.join(heard)}")
        before = leftovers.traces(home) if has_cluster(home) else leftovers.nothing_yet()
        control_c(started)
        if again:
            until("the clean-up is under way", lambda: not control_plane_runs(before))
            control_c(started)
        rest, _ = started.communicate(timeout=END_SECONDS_MAX)
    finally:
        started.kill()
    if moment == LAST and started.returncode == 0:
        assert rest.splitlines()[-1].startswith("reports: "), "it was through before it heard"
    else:
        assert started.returncode == 130, rest
        assert rest.splitlines()[-1] == "interrupted"
    assert "Traceback" not in rest
    leftovers.assert_nothing_left(home, before)
    assert leftovers.mentioning(home.home) == []
    assert not (home.home / ".kube").exists(), "the user's own kubeconfig is touched"
    assert home.run("status", "--name", "demo").returncode == 1


def control_plane_runs(before: leftovers.Traces) -> bool:
    pid = next(iter(before.processes))
    return leftovers.start_time(pid) == before.processes[pid]


@pytest.mark.parametrize("moment", ORDINARY)
def test_an_interrupted_demo_leaves_nothing(home: Dabba, moment: str) -> None:
    interrupted_at(home, moment)


def test_a_further_interrupt_does_not_break_off_the_clean_up_of_the_demo(home: Dabba) -> None:
    interrupted_at(home, "between the two services", again=True)


def test_a_demo_beside_another_one_is_refused(home: Dabba) -> None:
    started = demo(home)
    try:
        assert started.stdout
        assert any("the cluster is up" in line for line in started.stdout)
        second = home.run("demo", "--quick", "--output", str(home.home))
        assert second.returncode == 2
        assert "another demo is running" in second.stderr
        assert home.run("status", "--name", "demo").returncode == 0, "the first one goes on"
        control_c(started)
        started.communicate(timeout=END_SECONDS_MAX)
    finally:
        started.kill()
    assert started.returncode == 130


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_demo_interrupted_at_any_moment_leaves_nothing(home: Dabba, moment: str) -> None:
    interrupted_at(home, moment)
