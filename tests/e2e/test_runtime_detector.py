"""Seven attacks in a pod, scripted and harmless, and whether the detector sees them: as root, and as somebody without
a right who watches their own cluster. And that it sees nothing in the demo's ordinary traffic.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import runtime_detector, session
from tests.e2e.clusters import private
from tests.e2e.conftest import Dabba
from tests.e2e.runtime_detector import SHELL, Detector, detecting
from tests.e2e.test_ordinary_user import ANYBODY, Anybody, environment_for
from tests.kubectl import Kubectl

DEMO_SECONDS_MAX = 240
SOAK_SECONDS = 3600
CPU_RATIO_MAX = 0.02
STARTING_CPU_SECONDS = 2.0
"""Importing and taking in what runs, once."""

KUBELET_SECONDS = 13.0
"""More than between two of its looks at tokens and Secrets."""

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
MEMORY = (
    "import os; f = os.memfd_create('m'); os.write(f, open('/bin/sleep', 'rb').read()); "
    "os.execv(f'/proc/self/fd/{f}', ['innocent', '0.5'])"
)
METADATA = "import socket; s = socket.socket(); s.settimeout(2); s.connect_ex(('169.254.169.254', 80)); s.close()"
ATTACKS = {
    "miner": ("RUN-01", ["sh", "-c", "cp /bin/sleep /tmp/xmrig; /tmp/xmrig 0.5"], "/tmp/xmrig 0.5"),
    "pool": ("RUN-01", ["sh", "-c", "sleep 0.5; : stratum+tcp://pool.example.com:3333"], "stratum+tcp"),
    "dropped": ("RUN-05", ["sh", "-c", "cp /bin/sleep /tmp/dropped; /tmp/dropped 0.5"], "file=/tmp/dropped"),
    "memory": ("RUN-05", ["python3", "-c", MEMORY], "file=/memfd:m"),
    "token": ("RUN-02", ["sh", "-c", f"exec 3< {TOKEN}; cat <&3; sleep 0.5"], "/token "),
    "key": ("RUN-02", ["sh", "-c", "exec 3< /etc/secrets/id_rsa; cat <&3; sleep 0.5"], "/id_rsa "),
    "outbound": ("RUN-03", ["python3", "-c", METADATA], "169.254.169.254:80"),
    "log emptied": ("RUN-07", ["sh", "-c", ": > /var/log/app/app.log"], "file=/var/log/app/app.log by=openat"),
    "log removed": (
        "RUN-07", ["sh", "-c", "echo x > /var/log/app/b.log; rm /var/log/app/b.log"],
        "file=/var/log/app/b.log by=unlink",
    ),
    "history": (
        "RUN-07", ["sh", "-c", "echo x > /root/.bash_history; rm /root/.bash_history"], "file=/root/.bash_history"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A pod called victim in a namespace, and the detector that watches it."""

    kubectl: Kubectl
    namespace: str
    detector: Detector

    def attack(self, *command: str) -> None:
        self.kubectl.run("--namespace", self.namespace, "exec", "victim", "--", *command)

    def events(self) -> str:
        return self.kubectl("--namespace", self.namespace, "get", "events", "-o", "json")


@pytest.fixture(scope="module")
def as_root(
    dabba: Dabba, kubectl: Kubectl, images: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """As whoever runs the tests; root sees more."""
    dabba("image", "build", str(session.TESTDATA / "shell"), "-t", SHELL)
    kubectl("create", "namespace", "attacked")
    runtime_detector.prepare(kubectl, "--namespace", "attacked")
    environment = {**dabba.environment, "KUBECONFIG": str(dabba.kubeconfig())}
    with detecting(Path(sys.executable), environment, tmp_path_factory.mktemp("detector")) as detector:
        yield Watched(kubectl, "attacked", detector)
    kubectl("delete", "namespace", "attacked", "--wait=false")


@pytest.fixture(scope="module")
def as_anybody(process_pods: None, binaries: dict[str, Path]) -> Iterator[Watched]:
    """A user without a right, who has a cluster of their own."""
    if os.getuid() != 0:
        pytest.skip("whoever runs the tests is that user already")
    with tempfile.TemporaryDirectory(prefix="dabba") as made:
        top = Path(made)
        top.chmod(0o755)
        home = top / "home"
        (home / "run").mkdir(parents=True)
        for path in (home, *home.rglob("*")):
            os.chown(path, ANYBODY, ANYBODY)
        (home / "run").chmod(0o700)
        user = Anybody(ANYBODY, home, environment_for(top / "venv"))
        try:
            user.dabba("up", "--fresh")
            user.dabba("image", "build", str(session.TESTDATA / "shell"), "-t", SHELL)
            kubectl = Kubectl(binaries["kubectl"], Path(user.environment["KUBECONFIG"]), home)
            runtime_detector.prepare(kubectl)
            with detecting(user.python, user.environment, home, uid=ANYBODY) as detector:
                yield Watched(kubectl, "default", detector)
        finally:
            user.dabba("down")


@pytest.fixture(params=["as_root", "as_anybody"])
def watched(request: pytest.FixtureRequest) -> Watched:
    made: Watched = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_a_pod_is_seen(watched: Watched, attack: str) -> None:
    check, command, said = ATTACKS[attack]
    watched.attack(*command)
    alert = watched.detector.until(check, lambda alert: said in alert["output"])
    fields = alert["output_fields"]
    assert (fields["k8s.ns.name"], fields["k8s.pod.name"], fields["container.name"]) == (
        watched.namespace, "victim", "main",
    )  # fmt: skip


def test_ordinary_commands_while_the_kubelet_looks_after_the_volumes_are_nothing_to_report(watched: Watched) -> None:
    before = len(watched.detector.alerts())
    deadline = time.monotonic() + KUBELET_SECONDS
    while time.monotonic() < deadline:
        watched.attack("sh", "-c", "test -d /tmp && sleep 0.1")
    assert not [alert["output"] for alert in watched.detector.alerts()[before:]]


def test_an_interactive_shell_is_seen_and_told_on_the_pod(watched: Watched, tmp_path: Path) -> None:
    person = session.Session(watched.kubectl, watched.namespace, tmp_path)
    with person.streaming("exec", "-it", "victim", "--", "sh", terminal=True) as stream:
        stream.type("echo $((6*7))\n")
        stream.until("42")
        alert = watched.detector.until("RUN-04", lambda alert: "shell=sh" in alert["output"])
        stream.type("exit\n")
    assert alert["output_fields"]["dabba.attribution"] == "exact"
    session.eventually(lambda: "Interactive shell in a container" in watched.events())


def test_the_detector_lost_nothing(watched: Watched) -> None:
    assert not [line for line in watched.detector.printed if "dropped" in line or "without" in line]


@pytest.mark.timeout(DEMO_SECONDS_MAX + 60)
def test_the_demos_traffic_is_nothing_to_report_and_costs_next_to_nothing(process_pods: None, tmp_path: Path) -> None:
    _watch_traffic(tmp_path, seconds=0)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS + 2 * DEMO_SECONDS_MAX)
def test_an_hour_of_the_demos_traffic_is_nothing_to_report(process_pods: None, tmp_path: Path) -> None:
    _watch_traffic(tmp_path, seconds=SOAK_SECONDS)


def _watch_traffic(folder: Path, *, seconds: float) -> None:
    """Demos, one after the other, under the eyes of a detector of all pods of this machine."""
    began = time.monotonic()
    with detecting(Path(sys.executable), {**os.environ}, folder, "--no-api") as detector:
        while True:
            _demo(folder)
            if time.monotonic() - began >= seconds:
                break
        assert not [alert["output"] for alert in detector.alerts()]
        cpu = detector.end()
        assert set(events(detector)) >= {"connect", "execve"}, "quiet, and blind"
    assert cpu <= STARTING_CPU_SECONDS + CPU_RATIO_MAX * (time.monotonic() - began)


def events(detector: Detector) -> dict[str, int]:
    """What an ended detector says it saw in containers, by type."""
    (told,) = re.findall(r"alerts? of [\d,]+ events? \((.*)\);", "".join(detector.printed))
    return {kind: int(count.replace(",", "")) for kind, count in (each.split() for each in told.split(", "))}


def _demo(folder: Path) -> None:
    with private() as dabba:
        words: list[Any] = ["demo", "--quick", "--output", str(folder)]
        done: subprocess.CompletedProcess[str] = dabba.run(*words, timeout=DEMO_SECONDS_MAX)
        assert done.returncode == 0, done.stdout + done.stderr
