"""Rollouts with bad luck and Rollouts that cannot be: each ends in the right phase, and says whose fault it is.

Each is tried twice: on virtual time, where deadlines of minutes pass at once, and carried by a process of its own over
TLS with the rights of `manifests/rollout`, with shorter ones. What a user reads is read with the real kubectl.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Invalid
from dabbawala.rollout import keys
from tests.e2e import outside as places
from tests.e2e.outside import Outside
from tests.e2e.rollout_hosts import Host, VirtualHost, process_host
from tests.e2e.virtual_cluster import PROMETHEUS, ROLLOUT, virtual_cluster

NAME = "shop"
MISSING = "invalid.example/shop:non-existent"
RUN = argoproj_v1alpha1.ANALYSIS_RUN


@pytest.fixture(scope="module")
def outside(process_pods: None, binaries: dict[str, Path]) -> Iterator[Outside]:
    """The real node is there for Prometheus alone; pods run on the simulated one, so that no image is needed."""
    with places.outside(binaries["kubectl"], "--nodes", "1", "--simulated-nodes", "1") as made:
        made.kubectl("cordon", "node-1")
        yield made


@pytest.fixture(scope="module")
def namespaces() -> Iterator[str]:
    return (f"bad-luck-{number}" for number in itertools.count(1))


@pytest.fixture
async def virtual(tmp_path: Path, binaries: dict[str, Path]) -> AsyncIterator[VirtualHost]:
    async with virtual_cluster(tmp_path) as made:
        yield VirtualHost(made, binaries["kubectl"])


@pytest.fixture(params=["virtual time", "own process"])
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, binaries: dict[str, Path], namespaces: Iterator[str]
) -> AsyncIterator[Host]:
    if request.param == "virtual time":
        async with virtual_cluster(tmp_path) as made:
            yield VirtualHost(made, binaries["kubectl"])
        return
    async with process_host(request.getfixturevalue("outside"), next(namespaces)) as host:
        yield host


def rollout(strategy: Object, **spec: Any) -> Object:
    pod = {"containers": [{"name": "shop", "image": "shop:v1", "ports": [{"containerPort": 8080}]}]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": {"app": "shop"}},
            "strategy": strategy,
            "template": {"metadata": {"labels": {"app": "shop"}}, "spec": pod},
            **spec,
        },
    }


def service(name: str, app: str = "shop") -> Object:
    spec = {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def analysis_template(query: str, *, address: str = PROMETHEUS, **metric: Any) -> Object:
    provider = {"prometheus": {"address": address, "query": query}}
    asked = {"name": "success", "interval": "10s", "count": 3, "successCondition": "result[0] > 0.9", **metric}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "success"},
        "spec": {"metrics": [{**asked, "provider": provider}]},
    }


JUDGED = {"canary": {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "success"}]}}]}}
BLUE_GREEN = {"blueGreen": {"activeService": "active", "previewService": "preview"}}


def events(cluster: Host) -> dict[str, str]:
    """Reason -> the last message, of the Rollout's events."""
    found = cluster.list(core_v1.EVENT)
    return {item["reason"]: item["message"] for item in found if item["involvedObject"].get("kind") == "Rollout"}


def replica_sets(cluster: Host) -> list[Object]:
    return cluster.list(apps_v1.REPLICA_SET)


async def healthy(cluster: Host, *objects: Object) -> Object:
    await cluster.apply(*objects)
    return await cluster.until_phase(NAME, "Healthy")


async def test_a_missing_service_is_named_and_the_release_goes_on_when_it_comes(cluster: Host) -> None:
    await cluster.apply(service("preview"), rollout(BLUE_GREEN))
    found = await cluster.until_phase(NAME, "Degraded")
    expected = 'The Rollout "shop" is invalid: spec.strategy.blueGreen.activeService: '
    assert expected in found["status"]["message"]
    assert 'service "active" not found' in found["status"]["message"]
    assert replica_sets(cluster) == []
    told = ("Phase: Degraded", "Warning InvalidSpec", 'service "active" not found')
    await cluster.until_described("rollout", NAME, *told)

    await cluster.apply(service("active"))
    found = await cluster.until_phase(NAME, "Healthy")
    assert conditions.find(found, "InvalidSpec") is None


async def test_a_service_of_other_pods_is_refused(cluster: Host) -> None:
    await cluster.apply(service("active", app="other"), service("preview"), rollout(BLUE_GREEN))
    found = await cluster.until_phase(NAME, "Degraded")
    assert 'Service "active" has unmatch label "app" in rollout' in found["status"]["message"]


async def test_metrics_that_never_come_stop_the_release(cluster: Host) -> None:
    before = await healthy(
        cluster, analysis_template("nobody_exports_this", consecutiveErrorLimit=cluster.errors), rollout(JUDGED)
    )
    await cluster.set_image(NAME, "shop:v2")
    found = await cluster.until_phase(NAME, "Degraded")
    assert found["status"]["stableRS"] == before["status"]["stableRS"]
    assert "RolloutAborted" in found["status"]["message"]
    assert 'Metric "success" assessed Error' in found["status"]["message"]
    run = cluster.list(RUN)[0]
    measured = run["status"]["metricResults"][0]["measurements"]
    assert {item["phase"] for item in measured} == {"Error"}
    assert all(item.get("message") for item in measured)
    await cluster.until_described("rollout", NAME, "Warning RolloutAborted")
    await cluster.until("only old pods", lambda: _alive(cluster) == {before["status"]["stableRS"]: 2})


async def test_a_prometheus_that_is_down_stops_the_release_and_is_named(cluster: Host) -> None:
    address = "http://prometheus.nowhere.svc.cluster.local:9090"
    await healthy(
        cluster, analysis_template("up", address=address, consecutiveErrorLimit=cluster.errors), rollout(JUDGED)
    )
    await cluster.set_image(NAME, "shop:v2")
    found = await cluster.until_phase(NAME, "Degraded")
    assert 'Metric "success" assessed Error' in found["status"]["message"]
    assert "prometheus.nowhere" in found["status"]["message"]
    run = meta.name(cluster.list(RUN)[0])
    await cluster.until_described("analysisrun", run, "prometheus.nowhere")


async def test_an_analysis_without_a_verdict_pauses_the_release_until_somebody_decides(cluster: Host) -> None:
    template = analysis_template("vector(0.5)", interval="1s", failureCondition="result[0] < 0.1")
    await healthy(cluster, template, rollout(JUDGED))
    await cluster.set_image(NAME, "shop:v2")
    found = await cluster.until_phase(NAME, "Paused")
    assert found["status"]["pauseConditions"][0]["reason"] == "InconclusiveAnalysisRun"


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            {},
            "spec.strategy.strategy: Required value: Rollout has missing field '.spec.strategy.canary or",
        ),
        ({**BLUE_GREEN, "canary": {}}, "Multiple Strategies can not be listed"),
        (
            {"blueGreen": {"activeService": "active", "previewService": "active"}},
            "uses the same service for the active and preview services",
        ),
        (
            {"canary": {"stableService": "active", "canaryService": "active"}},
            "uses the same service for the stable and canary services",
        ),
        ({"canary": {"steps": [{"setWeight": 101}]}}, "steps[0].setWeight: Invalid value: 101: SetWeight needs to be"),
        ({"canary": {"steps": [{"setWeight": -1}]}}, "SetWeight needs to be between 0 and 100"),
        ({"canary": {"steps": [{"setCanaryScale": {"weight": 5}}]}}, "SetCanaryScale requires TrafficRouting"),
        ({"canary": {"steps": [{}]}}, "Step must have one of the following set"),
        ({"canary": {"steps": [{"pause": {"duration": "soon"}}]}}, "steps[0].pause.duration"),
        ({"canary": {"maxSurge": 0, "maxUnavailable": 0}}, "MaxSurge and MaxUnavailable both can not be zero"),
        ({"canary": {"dynamicStableScale": True}}, "dynamicStableScale can only be used with traffic routing"),
        ({"canary": {"trafficRouting": {"nginx": {"stableIngress": "web"}}}}, "traffic router nginx is not supported"),
        (
            {"canary": {"trafficRouting": {"istio": {"virtualService": {"name": "web"}}}}},
            "Canary service and Stable service must to be set to use Traffic Routing",
        ),
        (
            {"canary": {"steps": [{"analysis": {"templates": [{"templateName": "unheard-of"}]}}]}},
            "unheard-of",
        ),
    ],
)
async def test_a_contradictory_rollout_is_refused_with_its_field(cluster: Host, strategy: Object, message: str) -> None:
    await cluster.apply(service("active"), rollout(strategy))
    found = await cluster.until_phase(NAME, "Degraded")
    assert found["status"]["message"].startswith('InvalidSpec: The Rollout "shop" is invalid: spec.')
    assert message in found["status"]["message"]
    await cluster.until("the event", lambda: events(cluster).get("InvalidSpec"))
    assert events(cluster)["InvalidSpec"] in found["status"]["message"]
    assert replica_sets(cluster) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": "many"}, "spec.replicas"),
        ({"strategy": {"canary": {"steps": [{"setWeight": "half"}]}}}, "spec.strategy.canary.steps[0].setWeight"),
        ({"selector": "app=shop"}, "spec.selector"),
    ],
)
async def test_a_malformed_rollout_never_gets_in(cluster: Host, spec: Object, field: str) -> None:
    made = rollout({"canary": {}})
    with pytest.raises(Invalid) as refused:
        await cluster.client.create(ROLLOUT, {**made, "spec": {**made["spec"], **spec}}, cluster.namespace)
    assert field in str(refused.value)


async def test_a_selector_that_misses_its_own_pods_is_refused(cluster: Host) -> None:
    await cluster.apply(rollout({"canary": {}}, selector={"matchLabels": {"app": "other"}}))
    found = await cluster.until_phase(NAME, "Degraded")
    assert "`selector` does not match template `labels`" in found["status"]["message"]


async def test_an_image_that_does_not_exist_runs_into_the_deadline_and_the_old_version_stays(cluster: Host) -> None:
    before = await healthy(cluster, rollout({"canary": {}}, progressDeadlineSeconds=cluster.deadline))
    await cluster.set_image(NAME, MISSING)
    found = await cluster.until_phase(NAME, "Degraded")
    new = found["status"]["currentPodHash"]
    assert found["status"]["message"].startswith(
        f'ProgressDeadlineExceeded: ReplicaSet "{NAME}-{new}" has timed out progressing. '
    )
    assert f"`dabba rollout explain {NAME} -n {cluster.namespace}`" in found["status"]["message"]
    assert not found["status"].get("abort")
    assert _ready(cluster).get(before["status"]["stableRS"], 0) >= 1
    pod = next(pod for pod in cluster.list(core_v1.POD) if meta.labels(pod)[keys.HASH] == new)
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] in ("ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull")
    await cluster.until_described("rollout", NAME, "Warning ProgressDeadlineExceeded")

    await cluster.set_image(NAME, "shop:v2")
    await cluster.until_phase(NAME, "Healthy")


async def test_with_progress_deadline_abort_the_old_version_comes_back_by_itself(cluster: Host) -> None:
    services = (service("active"), service("preview"))
    strategy = {"blueGreen": {**BLUE_GREEN["blueGreen"], "abortScaleDownDelaySeconds": 1}}
    before = await healthy(
        cluster, *services, rollout(strategy, progressDeadlineAbort=True, progressDeadlineSeconds=cluster.deadline)
    )
    await cluster.set_image(NAME, MISSING)
    found = await cluster.until_phase(NAME, "Degraded")
    assert found["status"]["abort"] is True
    assert "RolloutAborted" in found["status"]["message"]
    assert "has timed out progressing" in found["status"]["message"]
    active = cluster.read(core_v1.SERVICE, "active")
    assert active["spec"]["selector"][keys.HASH] == before["status"]["stableRS"]
    await cluster.until("the preview is gone", lambda: _alive(cluster) == {before["status"]["stableRS"]: 2})


async def test_pods_whose_readiness_flaps_are_never_promoted(virtual: VirtualHost) -> None:
    """Over minutes, so on virtual time alone."""
    services = (service("active"), service("preview"))
    before = await healthy(virtual, *services, rollout(BLUE_GREEN, minReadySeconds=20))
    await virtual.set_image(NAME, "shop:v2")
    for _ in range(12):
        await _for(virtual, 5)
        for pod in virtual.list(core_v1.POD):
            if meta.labels(pod)[keys.HASH] != before["status"]["stableRS"]:
                await _flap(virtual, pod)
        active = virtual.read(core_v1.SERVICE, "active")
        assert active["spec"]["selector"][keys.HASH] == before["status"]["stableRS"]
    await _for(virtual, 5)
    found = await virtual.until_phase(NAME, "Degraded")
    assert "ProgressDeadlineExceeded" in found["status"]["message"]


async def test_another_argo_controller_keeps_its_rollouts(cluster: Host) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argo"}}
    await cluster.apply(namespace, argo(1))
    await cluster.until("Argo runs", lambda: cluster.read(apps_v1.DEPLOYMENT, "argo-rollouts", "argo").get(
        "status", {}).get("readyReplicas"))  # fmt: skip
    await cluster.apply(rollout({"canary": {}}))
    await cluster.until("it is left alone", lambda: conditions.find(_rollout(cluster), "ForeignController"))
    condition = conditions.find(_rollout(cluster), "ForeignController") or {}
    assert "the Argo Rollouts controller argo/argo-rollouts owns this Rollout; scale it to 0" in condition["message"]
    assert replica_sets(cluster) == []
    await cluster.until_described("rollout", NAME, "Warning ForeignController", "scale it to 0")

    await cluster.apply(argo(0))
    found = await cluster.until_phase(NAME, "Healthy")
    assert conditions.find(found, "ForeignController") is None


def argo(replicas: int) -> Object:
    pod = {"containers": [{"name": "argo-rollouts", "image": "quay.io/argoproj/argo-rollouts:v1.9.1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "argo-rollouts", "namespace": "argo"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "argo"}},
            "template": {"metadata": {"labels": {"app": "argo"}}, "spec": pod},
        },
    }


# What is seen and done.


def _rollout(cluster: Host) -> Object:
    return cluster.read(ROLLOUT, NAME)


def _count(cluster: Host, counts: Callable[[Object], bool]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in cluster.list(core_v1.POD):
        if counts(pod) and not meta.is_deleting(pod):
            hash_ = meta.labels(pod)[keys.HASH]
            found[hash_] = found.get(hash_, 0) + 1
    return found


def _alive(cluster: Host) -> dict[str, int]:
    return _count(cluster, lambda pod: True)


def _ready(cluster: Host) -> dict[str, int]:
    return _count(cluster, lambda pod: conditions.is_true(pod, "Ready"))


async def _for(virtual: VirtualHost, seconds: float) -> None:
    end = virtual.cluster.clock.monotonic() + seconds
    while virtual.cluster.clock.monotonic() < end:
        await virtual.cluster.pass_time()


async def _flap(virtual: VirtualHost, pod: Object) -> None:
    """Not ready, and a second later ready again."""
    for status in ("False", "True"):
        now = virtual.cluster.clock.now()
        listed = virtual.read(core_v1.POD, meta.name(pod))["status"].get("conditions") or ()
        changed = conditions.put(listed, conditions.Condition("Ready", status, "Flapping"), now)
        await virtual.client.patch(
            core_v1.POD, meta.name(pod), virtual.namespace, {"status": {"conditions": changed}}, subresource="status"
        )
        await _for(virtual, 1)
