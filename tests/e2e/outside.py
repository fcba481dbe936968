"""Clusters with rollouts, by the two ways that rollouts can run: within the control plane, or by a process of its own
that comes over TLS, as a service account, with the rights that `manifests/rollout` gives and no others.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
ACCESS = ROOT / "manifests" / "rollout" / "access.yaml"
NAMESPACE, ACCOUNT = "dabbawala", "dabbawala-rollout"


@dataclass
class Cluster:
    """A cluster that carries Rollouts, and what a user does and sees there."""

    dabba: Dabba
    kubectl: Kubectl

    def said(self) -> str:
        """The log of the process that carries the Rollouts."""
        return (self.kubectl.kubeconfig.parent / "logs" / "control-plane.log").read_text()

    def apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-f", "-", stdin=text)

    def read(self, *what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def until_phase(self, name: str, phase: str, seconds: float = 30.0) -> dict[str, Any]:
        """The Rollout, once it was observed in that phase."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.read("rollout", name))
            status = found.get("status") or {}
            seen = status.get("observedGeneration") == str(found["metadata"]["generation"])
            return bool(seen and status.get("phase") == phase)

        try:
            until(f"{name} {phase}", reached, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.kubectl('describe', 'rollout', name)}\n{self.said()}") from None
        return found

    def release(self, name: str, image: str) -> None:
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
        self.kubectl("patch", "rollout", name, "--type=json", "-p", json.dumps(patch))

    def selected(self, service: str) -> str:
        return str(self.read("service", service)["spec"]["selector"].get("rollouts-pod-template-hash"))

    def weights(self, name: str) -> list[int]:
        routes = self.read("virtualservice", name)["spec"]["http"][0]["route"]
        return [int(route["weight"]) for route in routes]

    def phases(self, kind: str) -> set[str]:
        """Phases of the AnalysisRuns of that rollout-type."""
        runs = self.read("analysisruns", "-l", f"rollout-type={kind}")["items"]
        return {run["status"]["phase"] for run in runs}


@dataclass
class Outside(Cluster):
    """A cluster without the rollout capability, and controllers beside it."""

    kubeconfig: Path = Path()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def log(self, number: int) -> Path:
        return self.dabba.home / f"controller-{number}.log"

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """One more controller, with nothing but its kubeconfig."""
        command = [sys.executable, "-m", "dabbawala.cli.main", "controller", "--kubeconfig", str(self.kubeconfig)]
        with self.log(len(self.running)).open("wb") as log:
            process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=self.dabba.environment)
        self.running.append(process)
        return process

    def holder(self) -> str:
        """The identity that leads, `<host>-<pid>`; empty before the first does."""
        text = self.kubectl("-n", NAMESPACE, "get", "lease", ACCOUNT, "--ignore-not-found", "-o", "json")
        return str(json.loads(text)["spec"]["holderIdentity"]) if text else ""

    def leader(self) -> subprocess.Popen[bytes]:
        pid = int(self.holder().rpartition("-")[2])
        return next(process for process in self.running if process.pid == pid)

    def said(self) -> str:
        return "".join(self.log(number).read_text() for number in range(len(self.running)))


@contextmanager
def embedded(kubectl: Path, *options: str) -> Iterator[Cluster]:
    """A cluster that carries its Rollouts itself."""
    with clusters.private() as dabba:
        dabba("up", *options)
        yield Cluster(dabba, Kubectl(kubectl, dabba.kubeconfig(), dabba.home))


@contextmanager
def outside(kubectl: Path, *options: str) -> Iterator[Outside]:
    """A cluster whose Rollouts are carried by one process of its own; it serves its numbers at a free port."""
    with clusters.private() as dabba:
        dabba("up", "--without", "rollout", *options)
        admin = Kubectl(kubectl, dabba.kubeconfig(), dabba.home)
        admin("apply", "-f", str(ACCESS))
        made = Outside(dabba, admin, _kubeconfig(dabba, admin))
        made.start("--metrics-address", "127.0.0.1:0")
        try:
            yield made
        finally:
            for process in made.running:
                process.terminate()
            for process in made.running:
                process.wait(20)


def _kubeconfig(dabba: Dabba, kubectl: Kubectl) -> Path:
    """The account's token instead of the admin's certificate."""
    config = yaml.safe_load(dabba.kubeconfig().read_text())
    token = kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration", "1h").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = dabba.home / "rollout.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@contextmanager
def taken() -> Iterator[str]:
    """An address that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "{}:{}".format(*listener.getsockname())
