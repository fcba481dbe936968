"""The four Python clients use the cluster through their ordinary calls: list, watch, create, patch, delete.

Each works in a namespace of its own; kubectl looks at the world afterwards.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import kr8s
import kr8s.asyncio
import kubernetes
import lightkube
import pytest
from kr8s.asyncio.objects import ConfigMap, Deployment, Pod
from kubernetes import client as k8s
from kubernetes import dynamic, stream, utils, watch
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources import apps_v1 as lightkube_apps
from lightkube.resources import core_v1 as lightkube_core
from lightkube.types import PatchType

from tests.e2e import session as terminal
from tests.e2e.session import SHELL, WEB_V2, Session, config_map, deployment, eventually, pod

GREETING: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "greetings.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "greetings", "singular": "greeting", "kind": "Greeting", "shortNames": ["gr"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Words", "type": "string", "jsonPath": ".spec.words"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["words"],
                                "properties": {
                                    "words": {"type": "string", "maxLength": 20},
                                    "times": {"type": "integer", "default": 1},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


# --- kubernetes ------------------------------------------------------------------------------------------------


@pytest.fixture
def api(k: Session) -> Iterator[k8s.ApiClient]:
    with kubernetes.config.new_client_from_config(str(k.kubectl.kubeconfig)) as made:
        yield made


def test_kubernetes_creates_lists_patches_and_deletes(k: Session, api: k8s.ApiClient) -> None:
    core, apps = k8s.CoreV1Api(api), k8s.AppsV1Api(api)
    core.create_namespaced_config_map(k.namespace, config_map("one", a="1"))
    typed = k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name="two", labels={"set": "b"}), data={"b": "2"})
    core.create_namespaced_config_map(k.namespace, typed)
    found = core.list_namespaced_config_map(k.namespace, label_selector="set=b")
    assert [(one.metadata.name, one.data) for one in found.items] == [("two", {"b": "2"})]
    core.patch_namespaced_config_map("two", k.namespace, {"data": {"b": None, "c": "3"}})
    assert k.read("configmap", "two")["data"] == {"c": "3"}
    with pytest.raises(k8s.ApiException) as conflict:
        core.create_namespaced_config_map(k.namespace, config_map("one"))
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")
    utils.create_from_dict(api, deployment("web", replicas=2), namespace=k.namespace)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": WEB_V2}]}}}}
    patched = apps.patch_namespaced_deployment("web", k.namespace, image)
    assert patched.spec.template.spec.containers[0].readiness_probe.http_get.path == "/"
    eventually(lambda: apps.read_namespaced_deployment_status("web", k.namespace).status.available_replicas == 2)
    apps.patch_namespaced_deployment_scale("web", k.namespace, {"spec": {"replicas": 0}})
    eventually(lambda: not core.list_namespaced_pod(k.namespace).items)
    core.delete_collection_namespaced_config_map(k.namespace, label_selector="set=b")
    core.delete_namespaced_config_map("one", k.namespace)
    assert k.names("configmaps") == {"configmap/kube-root-ca.crt"}


def test_kubernetes_watches_from_where_it_listed(k: Session, api: k8s.ApiClient) -> None:
    core = k8s.CoreV1Api(api)
    start = core.list_namespaced_config_map(k.namespace).metadata.resource_version
    k("create", "configmap", "seen")
    k("label", "configmap", "seen", "new=yes")
    k("delete", "configmap", "seen")
    told = []
    follower = watch.Watch()
    for event in follower.stream(
        core.list_namespaced_config_map, k.namespace, resource_version=start, timeout_seconds=10
    ):
        told.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            follower.stop()
    assert told == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")]


def test_kubernetes_executes_in_a_pod_and_reads_its_log(k: Session, api: k8s.ApiClient) -> None:
    core = k8s.CoreV1Api(api)
    core.create_namespaced_pod(k.namespace, pod("box", "sh", "-c", "echo started; exec sleep 1000"))
    k("wait", "--for=condition=Ready", "pod/box", "--timeout=20s")
    with kubernetes.config.new_client_from_config(str(k.kubectl.kubeconfig)) as own:
        said = stream.stream(
            k8s.CoreV1Api(own).connect_get_namespaced_pod_exec, "box", k.namespace,
            command=["sh", "-c", "echo out; echo err >&2"], stdout=True, stderr=True, stdin=False, tty=False,
        )  # fmt: skip
    assert sorted(said.split()) == ["err", "out"]
    eventually(lambda: core.read_namespaced_pod_log("box", k.namespace) == "started\n")


def test_kubernetes_finds_kinds_by_itself_with_the_dynamic_client(k: Session, api: k8s.ApiClient) -> None:
    found = dynamic.DynamicClient(api).resources.get(api_version="argoproj.io/v1alpha1", kind="Rollout")
    assert found.namespaced
    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    maps.server_side_apply(config_map("applied", a="1"), namespace=k.namespace, field_manager="python")
    assert maps.get(name="applied", namespace=k.namespace).data.a == "1"
    maps.delete(name="applied", namespace=k.namespace)
    assert k.gone("configmap", "applied")


# --- kr8s ------------------------------------------------------------------------------------------------------

# kr8s knows Kubernetes up to 1.35 by name, and says so.
ignore_newer_version = pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported")


@pytest.fixture
async def kr8s_api(k: Session) -> AsyncIterator[Any]:
    """kr8s never closes its connections; the collector would complain of them at any later moment, in any test."""
    api = await kr8s.asyncio.api(kubeconfig=str(k.kubectl.kubeconfig), namespace=k.namespace)
    yield api
    if api._session is not None:
        await api._session.aclose()


@ignore_newer_version
async def test_kr8s_creates_lists_watches_patches_and_deletes(k: Session, kr8s_api: Any) -> None:
    told: list[tuple[str, str]] = []
    listening = asyncio.Event()

    async def listen() -> None:
        async for event, one in kr8s_api.watch("configmaps", namespace=k.namespace):
            listening.set()
            told.append((event, one.name))
            if event == "DELETED":
                return

    listener = asyncio.create_task(listen())
    await asyncio.wait_for(listening.wait(), 10)
    made = await ConfigMap(config_map("cm", a="1"), api=kr8s_api, namespace=k.namespace)
    await made.create()
    await made.patch({"data": {"b": "2"}})
    await made.label({"tier": "front"})
    assert (made.data, made.labels) == ({"a": "1", "b": "2"}, {"tier": "front"})
    names = [one.name async for one in kr8s_api.get("configmaps", namespace=k.namespace, label_selector="tier=front")]
    assert names == ["cm"]
    await made.delete()
    await asyncio.wait_for(listener, 10)
    assert [event for event, name in told if name == "cm"] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert not await made.exists()


@ignore_newer_version
async def test_kr8s_scales_waits_and_executes(k: Session, kr8s_api: Any) -> None:
    web = await Deployment(deployment("web"), api=kr8s_api, namespace=k.namespace)
    await web.create()
    await asyncio.wait_for(web.wait("condition=Available"), 20)
    await web.scale(2)
    assert k.read("deployment", "web")["spec"]["replicas"] == 2
    box = await Pod(pod("box", "sleep", "1000"), api=kr8s_api, namespace=k.namespace)
    await box.create()
    await asyncio.wait_for(box.wait("condition=Ready"), 20)
    done = await box.exec(["echo", "namaste"])
    assert (done.returncode, done.stdout) == (0, b"namaste\n")
    serving = next(one for one in await web.pods() if one.status.phase == "Running")
    async with serving.portforward(remote_port=8080, local_port="auto") as port, aiohttp.ClientSession() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/")
        assert (await answer.text()).startswith("v1 hello from web-")
    await web.delete(propagation_policy="Foreground")
    await asyncio.wait_for(web.wait("delete"), 20)
    assert k.gone("pods", "-l", "app=web")


# --- lightkube -------------------------------------------------------------------------------------------------


def test_lightkube_creates_lists_watches_patches_and_deletes(k: Session) -> None:
    loaded = lightkube.KubeConfig.from_file(str(k.kubectl.kubeconfig))
    client = lightkube.Client(config=loaded.get(), namespace=k.namespace, field_manager="lightkube")
    maps = lightkube_core.ConfigMap
    client.create(maps(metadata=ObjectMeta(name="cm", labels={"set": "x"}), data={"a": "1"}))
    start = client.list(maps)
    assert {one.metadata.name for one in start} == {"cm", "kube-root-ca.crt"}
    client.patch(maps, "cm", {"data": {"a": "2"}}, patch_type=PatchType.MERGE)
    client.apply(maps(metadata=ObjectMeta(name="cm"), data={"b": "3"}), force=True)
    assert k.read("configmap", "cm")["data"] == {"a": "2", "b": "3"}
    client.delete(maps, "cm")
    told = []
    for event, one in client.watch(maps, resource_version=start.resourceVersion):
        told.append((event, one.data))
        if event == "DELETED":
            break
    assert [event for event, _ in told] == ["MODIFIED", "MODIFIED", "DELETED"]
    with pytest.raises(lightkube.ApiError, match='configmaps "cm" not found'):
        client.get(maps, "cm")
    web = client.create(lightkube_apps.Deployment.from_dict(deployment("web")))
    client.wait(lightkube_apps.Deployment, web.metadata.name, for_conditions=["Available"])
    scale = client.get(lightkube_apps.Deployment.Scale, "web")
    scale.spec.replicas = 2
    client.replace(scale, "web")
    assert k.read("deployment", "web")["spec"]["replicas"] == 2
    box = lightkube_core.Pod(
        metadata=ObjectMeta(name="box"),
        spec=PodSpec(restartPolicy="Never", containers=[Container("main", image=SHELL, command=["echo", "namaste"])]),
    )
    client.create(box)
    k("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/box", "--timeout=20s")
    assert list(client.log("box")) == ["namaste\n"]


# --- kopf ------------------------------------------------------------------------------------------------------


@contextmanager
def operating(k: Session, ready: Callable[[str], bool]) -> Iterator[None]:
    """`kopf run` as a user runs it; what it logged is in the failure."""
    argv = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", k.namespace, "--verbose"]
    operator = subprocess.Popen(
        [*argv, str(Path(terminal.TESTDATA) / "greeting_operator.py")],
        env={**os.environ, **k.kubectl.environment, "PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[str] = []
    assert operator.stderr is not None
    reader = threading.Thread(target=told.extend, args=(operator.stderr,), daemon=True)
    reader.start()
    try:
        eventually(lambda: ready("".join(told)))
        yield
    except AssertionError as failed:
        raise AssertionError(f"{failed}\n{''.join(told)}") from failed
    finally:
        operator.terminate()
        operator.wait(20)
        reader.join(5)
        operator.stderr.close()


def test_a_kopf_operator_follows_a_custom_resource_through_its_life(k: Session) -> None:
    k("apply", "-f", k.file("crd.json", GREETING))
    k("wait", "--for=condition=Established", "crd/greetings.example.com", "--timeout=10s")
    greeting = {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "hi"}}
    with operating(k, lambda log: "Starting the watch-stream for greetings.v1.example.com" in log):
        k("apply", "-f", k.file("hi.json", {**greeting, "spec": {"words": "namaste"}}))
        eventually(lambda: k.read("greeting", "hi").get("status", {}).get("created") == {"said": "namaste"})
        assert k.read("greeting", "hi")["spec"] == {"words": "namaste", "times": 1}
        made = k.read("configmap", "hi")
        assert (made["data"], made["metadata"]["ownerReferences"][0]["kind"]) == ({"words": "namaste"}, "Greeting")
        assert k("get", "gr", "--no-headers").split()[:2] == ["hi", "namaste"]
        k("patch", "greeting", "hi", "--type=merge", "-p", '{"spec":{"words":"vanakkam"}}')
        eventually(lambda: k.read("configmap", "hi")["data"] == {"words": "vanakkam"})
        assert "spec.words" in k.refused("patch", "gr", "hi", "--type=merge", "-p", '{"spec":{"words":7}}')
        k("delete", "greeting", "hi", "--timeout=20s")
        assert k.names("configmap", "hi-was-here") == {"configmap/hi-was-here"}
        eventually(lambda: k.gone("configmap", "hi"))
    k("delete", "crd", "greetings.example.com")
    eventually(lambda: "could not find the requested resource" in k.run("get", "--raw", "/apis/example.com/v1").err)
