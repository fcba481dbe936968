"""Who may read the files of a volume: whoever its containers run as, under the umask that agents are started with."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from dabbawala.api import core_v1
from dabbawala.cluster.apiserver.core import Plugins
from dabbawala.cluster.apiserver.token_requests import TokenRequests
from dabbawala.cluster.apiserver.tokens import Signer
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.downward import Place
from dabbawala.cluster.kubelet.environment import Sources
from dabbawala.cluster.kubelet.volumes import content
from dabbawala.cluster.kubelet.volumes.content import File, Materials, TokenRequest
from tests.cluster.kubelet.node_world import NodeWorld, node_world
from tests.cluster.kubelet.pods import container, pod

TOKEN = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}


def token_file(pod_context: dict[str, Any], *contexts: dict[str, Any], **projected: Any) -> File:
    containers = [container(f"c{index}", securityContext=one) for index, one in enumerate(contexts)]
    made = pod(*containers, securityContext=pod_context)
    place = Place("node-1", "10.42.1.1", "10.42.1.2", nodes.this_machine())
    materials = Materials(Sources({}, ()), place, {TokenRequest("", 3600): b"t"})
    return content.files(made, {"name": "v", "projected": {"sources": [TOKEN], **projected}}, materials)["token"]


@pytest.mark.parametrize(
    ("of_pod", "of_containers", "expected"),
    [
        ({"runAsUser": 1000}, ({}, {}), (0o600, 1000, -1)),
        ({}, ({"runAsUser": 7}, {"runAsUser": 7}), (0o600, 7, -1)),
        ({"runAsUser": 7}, ({}, {"runAsUser": 0}), (0o644, -1, -1)),
        ({}, ({"runAsUser": 7}, {}), (0o644, -1, -1)),
        ({}, ({},), (0o644, -1, -1)),
        ({"fsGroup": 50}, ({},), (0o640, -1, 50)),
        ({"fsGroup": 50, "runAsUser": 7}, ({},), (0o640, 7, 50)),
    ],
)
def test_a_token_belongs_to_the_only_user_or_to_the_group_and_else_is_open(
    of_pod: dict[str, Any], of_containers: tuple[dict[str, Any], ...], expected: tuple[int, int, int]
) -> None:
    assert token_file(of_pod, *of_containers)[1:] == expected


def test_an_open_token_has_the_mode_of_its_volume() -> None:
    assert token_file({}, {}, defaultMode=0o440).mode == 0o440


@pytest_asyncio.fixture
async def world() -> AsyncIterator[NodeWorld]:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    old = os.umask(0o077)
    try:
        async with node_world(lambda core: Plugins(subresources=TokenRequests(core, signer, {}).handlers())) as made:
            account = {"metadata": {"name": "default"}, "automountServiceAccountToken": False}
            await made.client.create(core_v1.SERVICE_ACCOUNT, account, "default")
            yield made
    finally:
        os.umask(old)


async def test_a_container_that_is_not_root_reads_all_its_volumes(world: NodeWorld) -> None:
    client = world.client
    await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "settings"}, "data": {"a": "one"}}, "default")
    key = {"metadata": {"name": "key"}, "data": {"key": base64.b64encode(b"two").decode()}}
    await client.create(core_v1.SECRET, key, "default")
    labels = {"items": [{"path": "deep/er/name", "fieldRef": {"fieldPath": "metadata.name"}}]}
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "s", "secret": {"secretName": "key"}},
        {"name": "p", "projected": {"sources": [TOKEN, {"downwardAPI": labels}]}},
        {"name": "e", "emptyDir": {}},
    ]
    mounts = [
        *({"name": name, "mountPath": f"/{name}"} for name in "cspe"),
        {"name": "e", "mountPath": "/below", "subPath": "deep/er"},
    ]
    script = (
        "set -e; cat /c/a /s/key /p/deep/er/name; echo; test -s /p/token; stat -L -c '%a %u' /p/token; "
        "touch /e/file /e/deep/file /below/file; id -u"
    )
    await world.run("reads", script, volumes=volumes, volumeMounts=mounts, restartPolicy="Never",
                    securityContext={"runAsUser": 1000, "runAsGroup": 1000})  # fmt: skip
    made = await world.ended("reads")
    assert (await world.logs("reads")).splitlines() == ["onetworeads", "600 1000", "1000"]
    assert made["status"]["phase"] == "Succeeded"


async def test_two_users_read_the_same_token(world: NodeWorld) -> None:
    shown = {"image": "shell:v1", "args": ["test -s /p/token && stat -L -c %a /p/token"],
             "volumeMounts": [{"name": "p", "mountPath": "/p"}]}  # fmt: skip
    users = {"one": 1000, "two": 2000}
    await world.create("shares", {
        "restartPolicy": "Never", "volumes": [{"name": "p", "projected": {"sources": [TOKEN]}}],
        "containers": [{"name": name, **shown, "securityContext": {"runAsUser": user}} for name, user in users.items()],
    })  # fmt: skip
    assert (await world.ended("shares"))["status"]["phase"] == "Succeeded"
    for name in users:
        assert (await world.logs("shares", name)).split() == ["644"]
