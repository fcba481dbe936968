"""Rollouts on a real cluster, by pods that are real: carried by the control plane, and by a process of its own over TLS
with the rights of `manifests/rollout` alone, as on a cluster that is not ours. What both must do is one test for both.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dabbawala.apimachinery import clock
from tests.e2e import outside as places
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.e2e.outside import ACCOUNT, NAMESPACE, ROOT, Cluster, Outside
from tests.kubectl import Kubectl

TESTDATA = Path(__file__).with_name("testdata")
GOOD, BETTER, BAD, SHELL = "shop:v1", "shop:v2", "shop:v3", "shop/shell:v1"
TAKEOVER_SECONDS = 40.0
PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"
SIZE = ("--nodes", "1", "--scrape-interval", "0.5")


@pytest.fixture(scope="module")
def embedded(process_pods: None, binaries: dict[str, Path]) -> Iterator[Cluster]:
    with places.embedded(binaries["kubectl"], *SIZE) as made:
        _build_images(made.dabba)
        yield made


@pytest.fixture(scope="module")
def outside(process_pods: None, binaries: dict[str, Path]) -> Iterator[Outside]:
    with places.outside(binaries["kubectl"], *SIZE) as made:
        _build_images(made.dabba)
        yield made


@pytest.fixture(params=["embedded", "outside"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Both ways, one after the other."""
    made: Cluster = request.getfixturevalue(request.param)
    return made


def _build_images(dabba: Dabba) -> None:
    python = f"PYTHON={sys.version_info.major}.{sys.version_info.minor}"
    shop = str(TESTDATA / "shop")
    for tag, success in ((GOOD, "1"), (BETTER, "0.99"), (BAD, "0.4")):
        dabba("image", "build", shop, "-t", tag, "--build-arg", python, "--build-arg", f"SUCCESS={success}")
    dabba("image", "build", str(TESTDATA / "shell"), "-t", SHELL)


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


def test_a_blue_green_release_is_judged_by_prometheus_and_by_a_job(cluster: Cluster) -> None:
    strategy = {
        "activeService": "blue",
        "previewService": "blue-preview",
        "scaleDownDelaySeconds": 1,
        "prePromotionAnalysis": judged("job"),
        "postPromotionAnalysis": judged("success"),
    }
    services = [service("blue", "blue"), service("blue-preview", "blue")]
    cluster.apply(*services, success_template(), job_template(), secret("0"), rollout("blue", {"blueGreen": strategy}))
    stable = cluster.until_phase("blue", "Healthy")["status"]["stableRS"]

    cluster.release("blue", BETTER)
    better = cluster.until_phase("blue", "Healthy")["status"]["stableRS"]
    assert better != stable
    assert cluster.selected("blue") == better
    assert cluster.phases("PrePromotion") == cluster.phases("PostPromotion") == {"Successful"}

    cluster.release("blue", BAD)
    aborted = cluster.until_phase("blue", "Degraded")
    assert aborted["status"]["stableRS"] == cluster.selected("blue") == better
    assert "success" in aborted["status"]["message"]

    cluster.apply(secret("3"))
    cluster.release("blue", GOOD)
    aborted = cluster.until_phase("blue", "Degraded")
    assert "job" in aborted["status"]["message"]
    assert cluster.selected("blue") == better
    assert cluster.phases("PrePromotion") == {"Successful", "Failed"}


def test_a_canary_moves_weights_and_goes_back_when_its_analysis_fails(cluster: Cluster) -> None:
    strategy = {
        "stableService": "green-stable",
        "canaryService": "green-canary",
        "trafficRouting": {"istio": {"virtualService": {"name": "green", "routes": ["primary"]}}},
        "steps": [{"setWeight": 25}, {"analysis": judged("success")}, {"setWeight": 60}, {"pause": {"duration": "1s"}}],
    }
    services = [service(name, "green") for name in ("green", "green-stable", "green-canary")]
    cluster.apply(*services, success_template(), route("green"), rollout("green", {"canary": strategy}))
    cluster.until_phase("green", "Healthy")

    cluster.release("green", BETTER)
    better = cluster.until_phase("green", "Healthy")["status"]["stableRS"]
    _until_settled(cluster, better)

    cluster.release("green", BAD)
    aborted = cluster.until_phase("green", "Degraded")
    assert aborted["status"]["stableRS"] == better
    _until_settled(cluster, better)
    assert cluster.phases("Step") == {"Successful", "Failed"}


def _until_settled(cluster: Cluster, stable: str) -> None:
    """The pass that promotes or aborts publishes the phase; the next one writes the route, as in Argo Rollouts."""
    until(
        f"all of green goes to {stable}",
        lambda: cluster.weights("green") == [100, 0] and cluster.selected("green-stable") == stable,
    )


def test_a_restart_evicts_the_pods_one_after_another(cluster: Cluster) -> None:
    cluster.apply(service("again", "again"), rollout("again", {"canary": {}}))
    cluster.until_phase("again", "Healthy")
    before = {pod["metadata"]["uid"] for pod in cluster.read("pods", "-l", "app=again")["items"]}
    newest = max(pod["metadata"]["creationTimestamp"] for pod in cluster.read("pods", "-l", "app=again")["items"])
    until("a later second", lambda: _now() > newest)
    cluster.kubectl("patch", "rollout", "again", "--type=merge", "-p", json.dumps({"spec": {"restartAt": _now()}}))

    def all_new() -> bool:
        pods = cluster.read("pods", "-l", "app=again")["items"]
        return len(pods) == 2 and not before & {pod["metadata"]["uid"] for pod in pods}

    until("all pods are new", all_new)
    cluster.until_phase("again", "Healthy")


def test_when_the_leader_is_killed_another_finishes_its_release(outside: Outside) -> None:
    outside.start("--metrics-address", "127.0.0.1:0")
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


def test_it_was_never_refused_anything(cluster: Cluster) -> None:
    """The rights of the manifests are enough for all that was done above; the embedded cluster gives the same."""
    assert "rollout controllers run (with Istio)" in cluster.said()
    assert "forbidden" not in cluster.said().lower()
    assert "Traceback" not in cluster.said()


def test_its_rights_end_where_its_work_ends(outside: Outside) -> None:
    as_account = Kubectl(outside.kubectl.binary, outside.kubeconfig, outside.dabba.home)
    refused = ("delete pods", "create pods", "list secrets", "patch nodes", "create clusterroles", "delete rollouts")
    for asked in refused:
        assert as_account.run("auth", "can-i", *asked.split()).status == 1, asked


def test_its_numbers_are_served_under_argos_names(outside: Outside) -> None:
    outside.apply(service("counted", "counted"), rollout("counted", {"canary": {}}))
    outside.until_phase("counted", "Healthy")
    bound = re.findall(r"metrics are served at (\S+)", outside.said())
    assert bound

    def pages() -> list[str]:
        return [_get(f"http://{address}/metrics") for address in bound if _alive(address)]

    about = 'namespace="default",name="counted"'
    wanted = (
        f'rollout_info{{{about},strategy="canary",traffic_router="",phase="Healthy"}} 1',
        f"rollout_info_replicas_available{{{about}}} 2",
        f'rollout_events_total{{{about},type="Normal",reason="RolloutCompleted"}} 1',
    )
    until("the numbers tell of it", lambda: any(all(line in page.splitlines() for line in wanted) for page in pages()))


def test_an_address_that_is_taken_is_said_with_what_to_do(outside: Outside) -> None:
    kubeconfig = ("--kubeconfig", str(outside.kubeconfig))
    with places.taken() as address:
        refused = outside.dabba.run("controller", *kubeconfig, "--metrics-address", address)
    assert refused.returncode == 2
    assert f"metrics cannot be served at {address}" in refused.stderr
    assert "choose another address with --metrics-address" in refused.stderr


def test_monitoring_has_the_numbers_of_an_embedded_cluster(embedded: Cluster) -> None:
    embedded.apply(service("counted", "counted"), rollout("counted", {"canary": {}}))
    embedded.until_phase("counted", "Healthy")
    asked = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query=rollout_info"

    def told() -> dict[str, str]:
        found = json.loads(embedded.kubectl("get", "--raw", asked))["data"]["result"]
        return {sample["metric"]["name"]: sample["metric"]["phase"] for sample in found}

    until("Prometheus has scraped it", lambda: told().get("counted") == "Healthy")


def test_the_deployment_of_the_manifests_is_taken_and_its_probes_are_answered(outside: Outside) -> None:
    manifest = ROOT / "manifests" / "rollout" / "deployment.yaml"
    text = outside.kubectl("apply", "--dry-run=server", "-f", str(manifest), "-o", "json")
    (container,) = json.loads(text)["spec"]["template"]["spec"]["containers"]
    options = outside.dabba("controller", "--help")
    assert container["args"][0] == "controller"
    assert all(argument.partition("=")[0] in options for argument in container["args"][1:])
    assert container["ports"][0]["containerPort"] == int(container["args"][1].rpartition(":")[2])
    paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"/healthz"}
    bound = re.findall(r"metrics are served at (\S+)", outside.said())
    assert any(_alive(address) for address in bound)


def _alive(address: str) -> bool:
    try:
        return _get(f"http://{address}/healthz") == "ok\n"
    except OSError:
        return False


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())
