"""Raw calls to a server in memory, and small objects to call it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer

MERGE = "application/merge-patch+json"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def call(
    server: APIServer,
    method: str,
    url: str,
    body: object = None,
    *,
    content_type: str = "application/json",
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    path, _, query = url.partition("?")
    pairs = [tuple(part.partition("=")[::2]) for part in query.split("&") if part]
    sent = {"content-type": content_type, "user-agent": "test/1", **dict(headers)}
    data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    response = await server.transport().request(
        method, path, query=[(str(name), str(value)) for name, value in pairs], headers=sent, body=data
    )
    return Answer(response.status, dict(response.headers), await response.read())


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "app:1"}], **spec},
    }


def deployment(name: str, replicas: int = 1) -> Object:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }
