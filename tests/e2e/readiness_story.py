"""Services on their way to production, and the commands of a person who takes them there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dabbawala.demo import manifests, scaling
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

WORKLOADS = Path(__file__).parents[2] / "workloads"
POLICIES = Path(__file__).parents[2] / "src" / "dabbawala" / "guard" / "policies"
TATKAL, RAILWAY = "tatkal-booking", "railway-booking"
SMALL = scaling.Scaling(replicas=2, preview_replicas=1, time=60, resources=10)
COMMAND_SECONDS_MAX = 120
HEALTHY_SECONDS_MAX = 90
PROMETHEUS_SECONDS_MAX = 40
EXPIRES = "2099-12-31"

Report = dict[str, Any]


@dataclass
class Person:
    """Types what the reports recommend, as they print it."""

    dabba: Dabba
    kubectl: Kubectl
    folder: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Makes `dabba` a word of the shell."""
        self.bin.mkdir(parents=True, exist_ok=True)
        command = self.bin / "dabba"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dabbawala.cli.main "$@"\n')
        command.chmod(0o755)

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.bin}:{self.kubectl.binary.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=COMMAND_SECONDS_MAX,
            env={**self.dabba.environment, "PATH": path, "KUBECONFIG": str(self.dabba.kubeconfig())},
        )  # fmt: skip

    def __call__(self, line: str, *, status: int = 0) -> str:
        done = self.run(line)
        assert done.returncode == status, f"$ {line}\n{done.stdout}{done.stderr}[{done.returncode}]"
        self.said.append(line)
        return done.stdout + done.stderr

    def apply(self, *objects: Mapping[str, Any]) -> None:
        file = self.folder / "objects.yaml"
        file.write_text(yaml.safe_dump_all(list(map(dict, objects))))
        self(f"kubectl apply --server-side -f {file.name}")

    def check(self, service: str, namespace: str, *more: str) -> Report:
        """The report; the exit status says the same as its verdict."""
        done = self.run(f"dabba readiness check {service} -n {namespace} -o json {' '.join(more)}")
        assert done.returncode in (0, 1), done.stderr
        found: Report = json.loads(done.stdout)
        assert (done.returncode == 0) == (found["approval"] == "approved")
        return found

    def healthy(self, rollout: str, namespace: str) -> None:
        def looks() -> bool:
            told = self.run(f"dabba rollout explain {rollout} -n {namespace}")
            return told.returncode == 0

        until(f"{rollout} to be healthy", looks, HEALTHY_SECONDS_MAX)

    def do(self, report: Report, item: str, **words: str) -> str:
        """What the report recommends for an item, with its placeholders filled in."""
        line = item_of(report, item)["remedy"]
        for placeholder, word in words.items():
            line = re.sub(rf"\b{placeholder}\b", word, line)
        return self(line)


def item_of(report: Report, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        item for category in report["categories"] for item in category["items"] if item["id"] == name
    )
    return found


def results(report: Report, *names: str) -> list[str]:
    return [item_of(report, name)["result"] for name in names]


def with_result(report: Report, result: str) -> set[str]:
    return {item["id"] for category in report["categories"] for item in category["items"] if item["result"] == result}


def tatkal() -> list[dict[str, Any]]:
    """The workload's own manifests, small enough for one machine."""
    return [scaling.scaled(obj, SMALL) for obj in manifests.read(WORKLOADS / "tatkal" / "manifests")]


def archive() -> list[dict[str, Any]]:
    """A service as a careful team runs it: small, closed, watched. It is the same program as tatkal."""
    home, labels = "archive", {"app": "archive"}
    probe = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {
        "name": "archive", "image": "irctc/tatkal:v2.8.0", "ports": [{"containerPort": 8080}], "readinessProbe": probe,
        "env": [{"name": "DATABASE_URL", "value": "sqlite:///data/bookings.db"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    template = {
        "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
        "spec": {
            "serviceAccountName": "archive", "automountServiceAccountToken": False, "containers": [container],
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }  # fmt: skip
    contacts = {
        "on-call": "+91 22 5550 1234", "devops": "devops@irctc.in", "security": "security@irctc.in",
        "war-room": "https://meet.irctc.in/war-room",
    }  # fmt: skip
    annotations = {f"readiness.dabbawala.dev/contact-{role}": text for role, text in contacts.items()}
    own = {"name": "archive", "namespace": home}
    fenced = {
        f"pod-security.kubernetes.io/{what}": level
        for what, level in (("enforce", "restricted"), ("enforce-version", "latest"))
    }
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    return [
        {"apiVersion": "v1", "kind": "Namespace",
         "metadata": {"name": home, "annotations": annotations, "labels": fenced}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": own, "spec": budget},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own, "automountServiceAccountToken": False},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": own,
         "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}},
        {"apiVersion": "v1", "kind": "Service", "metadata": own,
         "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}},
    ]  # fmt: skip


def enforced(check: str) -> list[dict[str, Any]]:
    """A policy of guard, bound so that it refuses."""
    policy = yaml.safe_load((POLICIES / "workload" / f"{check}.yaml").read_text())
    binding = {
        "apiVersion": policy["apiVersion"], "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": check.lower()},
        "spec": {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]},
    }  # fmt: skip
    return [policy, binding]
