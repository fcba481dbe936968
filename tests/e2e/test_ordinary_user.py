"""Who has no rights at all has a cluster too: no root, no Docker, no setuid helper, no name in /etc/passwd needed.

When root runs the tests, this one drops to a user id that nobody has, with an environment that borrows from ours: a
system Python of the same version, because the one that runs the tests may be in a home that others cannot enter. When
an ordinary user does, that user is the proof.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dabbawala
from tests.e2e.clusters import until

ANYBODY = 57_312
NODE_PORT = 31873
SYSTEM_PYTHON = "/usr/bin/python3"
WEB = Path(__file__).with_name("testdata") / "web"
COMMAND_SECONDS_MAX = 60
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: "ordinary:v1"
    imagePullPolicy: Never
    readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: %d}]}
"""


@dataclass(frozen=True)
class Anybody:
    """Runs commands as a user without a right, in a home of the test's own."""

    uid: int
    home: Path
    python: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "KUBECONFIG": str(self.home / "data/dabbawala/clusters/default/kubeconfig"),
            "PATH": os.defpath,
        }

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        somebody_else: dict[str, Any] = {"user": self.uid, "group": self.uid, "extra_groups": []}
        return subprocess.run(
            argv,
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
            **(somebody_else if os.getuid() == 0 else {}),
        )

    def dabba(self, *words: str) -> str:
        done = self.run(str(self.python), "-m", "dabbawala.cli.main", *words)
        assert done.returncode == 0, f"dabba {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


def environment_for(folder: Path) -> Path:
    """A virtual environment on the system's Python that borrows our packages; skips where there is none that fits."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    ask = [SYSTEM_PYTHON, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
    found = subprocess.run(ask, capture_output=True, text=True, check=False) if Path(SYSTEM_PYTHON).exists() else None
    if found is None or found.stdout.strip() != version:
        pytest.skip(f"{SYSTEM_PYTHON} with the module venv, of version {version}, is not here to be borrowed from")
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(folder)], check=True)
    source, packages = Path(str(dabbawala.__file__)).parents[1], sysconfig.get_path("purelib")
    site = folder / "lib" / f"python{version}" / "site-packages"
    (site / "borrowed.pth").write_text(f"{source}\n{packages}\n")
    return folder / "bin" / "python3"


@pytest.fixture
def anybody(process_pods: None) -> Iterator[Anybody]:
    with tempfile.TemporaryDirectory(prefix="dabba") as made:
        top = Path(made)
        top.chmod(0o755)
        is_root = os.getuid() == 0
        uid, python = (ANYBODY, environment_for(top / "venv")) if is_root else (os.getuid(), Path(sys.executable))
        home = top / "home"
        (home / "run").mkdir(parents=True)
        shutil.copytree(WEB, home / "web")
        for path in (home, *home.rglob("*")):
            os.chown(path, uid, uid if is_root else -1)
        (home / "run").chmod(0o700)
        user = Anybody(uid, home, python)
        seen = user.run(str(python), "-c", "import dabbawala.cli.main")
        if seen.returncode:
            pytest.skip(f"an ordinary user cannot read this checkout: {seen.stderr.splitlines()[-1]}")
        try:
            yield user
        finally:
            user.dabba("down")


def test_a_user_without_any_right_has_a_cluster_with_pods_and_services(
    anybody: Anybody, binaries: dict[str, Path]
) -> None:
    kubectl = anybody.home.parent / "kubectl"
    shutil.copy(binaries["kubectl"], kubectl)
    anybody.dabba("image", "build", "web", "-t", "ordinary:v1")
    anybody.dabba("up")

    applied = anybody.run(str(kubectl), "apply", "-f", "-", stdin=POD % NODE_PORT)
    assert applied.returncode == 0, applied.stderr
    waited = anybody.run(str(kubectl), "wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    assert waited.returncode == 0, waited.stderr
    until("the Service answers", lambda: b"hello from web" in fetched(f"http://127.0.0.1:{NODE_PORT}"))
    inside = anybody.run(str(kubectl), "exec", "web", "--", "cat", "/proc/self/uid_map")
    assert inside.returncode == 0, inside.stderr
    assert runs_as(anybody) == {anybody.uid}, "a process of the cluster runs as somebody else"

    assert "is down" in anybody.dabba("down")
    assert list((anybody.home / "run/dabbawala").iterdir()) == []


def fetched(url: str) -> bytes:
    """What it answers; nothing as long as no ready pod is behind it."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def runs_as(anybody: Anybody) -> set[int]:
    """Owners of the control plane and of what the sandbox started."""
    folder = next((anybody.home / "run/dabbawala").iterdir())
    held = json.loads((folder / "holder.json").read_text())
    plane = json.loads((folder / "controlplane.json").read_text())
    return {Path(f"/proc/{pid}").stat().st_uid for pid in (held["pid"], held["janitor"], plane["pid"])}
