"""A real cluster, started as a user starts it, for a whole test session."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dabbawala.cluster.sandbox import probe
from tests.e2e import session as terminal
from tests.kubectl import Kubectl, unpack

START_SECONDS_MAX = 90


@dataclass(frozen=True)
class Dabba:
    """The command, with a data home and a run directory of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }

    def run(self, *arguments: str, timeout: float = START_SECONDS_MAX) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dabbawala.cli.main", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            check=False,
        )

    def __call__(self, *arguments: str, timeout: float = START_SECONDS_MAX) -> str:
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, f"dabba {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def kubeconfig(self, name: str = "default") -> Path:
        return self.home / "data" / "dabbawala" / "clusters" / name / "kubeconfig"


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return unpack(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """Unix sockets want short paths, shorter than pytest's own folders."""
    with tempfile.TemporaryDirectory(prefix="dabba", ignore_cleanup_errors=True) as made:
        (Path(made) / "run").mkdir(mode=0o700)
        yield Path(made)


@pytest.fixture(scope="session")
def process_pods() -> None:
    """Skips where this machine forbids what process pods need."""
    verdict = probe.run()
    if not verdict.possible:
        pytest.skip(verdict.explain())


@pytest.fixture(scope="session")
def dabba(process_pods: None, home: Path) -> Iterator[Dabba]:
    """A cluster of two nodes, up."""
    made = Dabba(home)
    made("up", "--nodes", "2", "--scrape-interval", "1")
    yield made
    made("down")


@pytest.fixture(scope="session")
def kubectl(dabba: Dabba, binaries: dict[str, Path]) -> Kubectl:
    return Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)


@pytest.fixture(scope="session")
def images(dabba: Dabba) -> None:
    """The two small images of the kubectl session, built as a user builds them."""
    python = f"PYTHON={sys.version_info.major}.{sys.version_info.minor}"
    web = str(terminal.TESTDATA / "web")
    dabba("image", "build", web, "-t", terminal.WEB, "--build-arg", python)
    dabba("image", "build", web, "-t", terminal.WEB_V2, "--build-arg", python, "--build-arg", "VERSION=v2")
    dabba("image", "build", str(terminal.TESTDATA / "shell"), "-t", terminal.SHELL)


@pytest.fixture(scope="session")
def namespaces() -> Iterator[str]:
    return (f"session-{number}" for number in itertools.count(1))


@pytest.fixture
def k(kubectl: Kubectl, images: None, namespaces: Iterator[str], tmp_path: Path) -> Iterator[terminal.Session]:
    """kubectl in a namespace of the test's own."""
    made = terminal.Session(kubectl, next(namespaces), tmp_path)
    kubectl("create", "namespace", made.namespace)
    made("wait", "--for=create", "serviceaccount/default", "--timeout=10s")
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait=false")
