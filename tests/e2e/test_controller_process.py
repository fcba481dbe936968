"""The rollout capability as a process of its own: over TLS, as a service account, with the rights that
`manifests/rollout` gives and no others. This is how it runs on a cluster that is not ours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from dabbawala.apimachinery import clock
from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
TESTDATA = Path(__file__).with_name("testdata")
GOOD, BETTER, BAD, SHELL = "shop:v1", "shop:v2", "shop:v3", "shop/shell:v1"
NAMESPACE, ACCOUNT = "dabbawala", "dabbawala-rollout"
TAKEOVER_SECONDS = 40.0
PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"


@dataclass
class Outside:
    """A cluster without the rollout capability, and controllers beside it."""

    dabba: Dabba
    kubectl: Kubectl
    kubeconfig: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def log(self, number: int) -> Path:
        return self.dabba.home / f"controller-{number}.log"

    def start(self) -> subprocess.Popen[bytes]:
        """One more controller, with nothing but its kubeconfig."""
        command = [sys.executable, "-m", "dabbawala.cli.main", "controller", "--kubeconfig", str(self.kubeconfig)]
        with self.log(len(self.running)).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self.dabba.environment)
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
        """Phases of the AnalysisRuns of that rollout-type, and of their metrics."""
        runs = self.read("analysisruns", "-l", f"rollout-type={kind}")["items"]
        return {run["status"]["phase"] for run in runs}


@pytest.fixture(scope="module")
def outside(process_pods: None, binaries: dict[str, Path]) -> Iterator[Outside]:
    with clusters.private() as dabba:
        dabba("up", "--nodes", "1", "--without", "rollout", "--scrape-interval", "0.5")
        _build_images(dabba)
        kubectl = Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)
        kubectl("apply", "-f", str(ROOT / "manifests" / "rollout"))
        made = Outside(dabba, kubectl, _kubeconfig(dabba, kubectl))
        made.start()
        try:
            yield made
        finally:
            for process in made.running:
                process.terminate()
            for process in made.running:
                process.wait(20)


def _build_images(dabba: Dabba) -> None:
    python = f"PYTHON={sys.version_info.major}.{sys.version_info.minor}"
    shop = str(TESTDATA / "shop")
    for tag, success in ((GOOD, "1"), (BETTER, "0.99"), (BAD, "0.4")):
        dabba("image", "build", shop, "-t", tag, "--build-arg", python, "--build-arg", f"SUCCESS={success}")
    dabba("image", "build", str(TESTDATA / "shell"), "-t", SHELL)


def _kubeconfig(dabba: Dabba, kubectl: Kubectl) -> Path:
    """The account's token instead of the admin's certificate."""
    config = yaml.safe_load(dabba.kubeconfig().read_text())
    token = kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration", "1h").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = dabba.home / "rollout.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def service(name: str, app: str) -> dict[str, Any]:
    spec = {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def rollout(name: str, strategy: dict[str, Any], replicas: int = 2) -> dict[str, Any]:
    container = {
        "name": "shop",
        "image": GOOD,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": strategy,
            "template": {"metadata": {"labels": {"app": name}, "annotations": scraped}, "spec": pod},
        },
    }


def success_template() -> dict[str, Any]:
    """Prometheus, over what it scraped of the new pods."""
    metric = {
        "name": "success",
        "interval": "500ms",
        "count": 3,
        "failureLimit": 0,
        "consecutiveErrorLimit": 30,
        "successCondition": "result[0] >= 0.95",
        "provider": {
            "prometheus": {
                "address": PROMETHEUS,
                "query": 'avg(shop_success_ratio{rollouts_pod_template_hash="{{args.hash}}"})',
            }
        },
    }
    return _template("success", [{"name": "hash"}], metric)


def job_template() -> dict[str, Any]:
    """A Job that ends with the status that a Secret says."""
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "check", "image": SHELL, "command": ["sh", "-c", "exit {{args.status}}"]}],
    }
    metric = {"name": "job", "provider": {"job": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}}}
    argument = {"name": "status", "valueFrom": {"secretKeyRef": {"name": "verdict", "key": "status"}}}
    return _template("job", [argument], metric)


def _template(name: str, arguments: list[dict[str, Any]], *metrics: dict[str, Any]) -> dict[str, Any]:
    spec = {"args": arguments, "metrics": list(metrics)}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name}, "spec": spec}


def secret(status: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "verdict"}, "stringData": {"status": status}}


def judged(name: str) -> dict[str, Any]:
    hash_ = {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
    return {"templates": [{"templateName": name}], "args": [hash_] if name == "success" else []}


def route(name: str) -> dict[str, Any]:
    sides = [(f"{name}-stable", 100), (f"{name}-canary", 0)]
    routes = [{"destination": {"host": host}, "weight": weight} for host, weight in sides]
    spec = {"hosts": [name], "http": [{"name": "primary", "route": routes}]}
    kind = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def _now() -> str:
    return clock.format_time(clock.SystemClock().now())


def test_a_blue_green_release_is_judged_by_prometheus_and_by_a_job(outside: Outside) -> None:
    strategy = {
        "activeService": "blue",
        "previewService": "blue-preview",
        "scaleDownDelaySeconds": 1,
        "prePromotionAnalysis": judged("job"),
        "postPromotionAnalysis": judged("success"),
    }
    services = [service("blue", "blue"), service("blue-preview", "blue")]
    outside.apply(*services, success_template(), job_template(), secret("0"), rollout("blue", {"blueGreen": strategy}))
    stable = outside.until_phase("blue", "Healthy")["status"]["stableRS"]

    outside.release("blue", BETTER)
    better = outside.until_phase("blue", "Healthy")["status"]["stableRS"]
    assert better != stable
    assert outside.selected("blue") == better
    assert outside.phases("PrePromotion") == outside.phases("PostPromotion") == {"Successful"}

    outside.release("blue", BAD)
    aborted = outside.until_phase("blue", "Degraded")
    assert aborted["status"]["stableRS"] == outside.selected("blue") == better
    assert "success" in aborted["status"]["message"]

    outside.apply(secret("3"))
    outside.release("blue", GOOD)
    aborted = outside.until_phase("blue", "Degraded")
    assert "job" in aborted["status"]["message"]
    assert outside.selected("blue") == better
    assert outside.phases("PrePromotion") == {"Successful", "Failed"}


def test_a_canary_moves_weights_and_goes_back_when_its_analysis_fails(outside: Outside) -> None:
    strategy = {
        "stableService": "green-stable",
        "canaryService": "green-canary",
        "trafficRouting": {"istio": {"virtualService": {"name": "green", "routes": ["primary"]}}},
        "steps": [{"setWeight": 25}, {"analysis": judged("success")}, {"setWeight": 60}, {"pause": {"duration": "1s"}}],
    }
    services = [service(name, "green") for name in ("green", "green-stable", "green-canary")]
    outside.apply(*services, success_template(), route("green"), rollout("green", {"canary": strategy}))
    outside.until_phase("green", "Healthy")

    outside.release("green", BETTER)
    better = outside.until_phase("green", "Healthy")["status"]["stableRS"]
    assert outside.weights("green") == [100, 0]
    assert outside.selected("green-stable") == better

    outside.release("green", BAD)
    aborted = outside.until_phase("green", "Degraded")
    assert outside.weights("green") == [100, 0]
    assert outside.selected("green-stable") == better == aborted["status"]["stableRS"]
    assert outside.phases("Step") == {"Successful", "Failed"}


def test_a_restart_evicts_the_pods_one_after_another(outside: Outside) -> None:
    outside.apply(service("again", "again"), rollout("again", {"canary": {}}))
    outside.until_phase("again", "Healthy")
    before = {pod["metadata"]["uid"] for pod in outside.read("pods", "-l", "app=again")["items"]}
    newest = max(pod["metadata"]["creationTimestamp"] for pod in outside.read("pods", "-l", "app=again")["items"])
    until("a later second", lambda: _now() > newest)
    outside.kubectl("patch", "rollout", "again", "--type=merge", "-p", json.dumps({"spec": {"restartAt": _now()}}))

    def all_new() -> bool:
        pods = outside.read("pods", "-l", "app=again")["items"]
        return len(pods) == 2 and not before & {pod["metadata"]["uid"] for pod in pods}

    until("all pods are new", all_new)
    outside.until_phase("again", "Healthy")


def test_when_the_leader_is_killed_another_finishes_its_release(outside: Outside) -> None:
    outside.start()
    steps = [{"setWeight": 50}, {"pause": {"duration": "3s"}}]
    outside.apply(service("heir", "heir"), rollout("heir", {"canary": {"steps": steps}}))
    outside.until_phase("heir", "Healthy")
    outside.release("heir", BETTER)
    outside.until_phase("heir", "Paused")

    first = outside.leader()
    os.kill(first.pid, signal.SIGKILL)
    first.wait(5)
    outside.until_phase("heir", "Healthy", TAKEOVER_SECONDS)
    assert outside.leader() is not first
    assert outside.read("lease", ACCOUNT, "-n", NAMESPACE)["spec"]["leaseTransitions"] >= 1


def test_it_was_never_refused_anything(outside: Outside) -> None:
    """The rights that the manifests give are enough for all that was done above."""
    assert "rollout controllers run (with Istio)" in outside.said()
    assert "forbidden" not in outside.said().lower()
    assert "Traceback" not in outside.said()


def test_its_rights_end_where_its_work_ends(outside: Outside) -> None:
    as_account = Kubectl(outside.kubectl.binary, outside.kubeconfig, outside.dabba.home)
    refused = ("delete pods", "create pods", "list secrets", "patch nodes", "create clusterroles", "delete rollouts")
    for asked in refused:
        assert as_account.run("auth", "can-i", *asked.split()).status == 1, asked
