"""`/version`: what Kubernetes this server speaks."""

from __future__ import annotations

import platform

from dabbawala.apimachinery import clock, schema
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.plugins import Endpoint
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def info(build: str, started: str) -> Object:
    """version.Info. Clients compare major and minor as integers; the rest tells whose server it is."""
    kubernetes = schema.kubernetes_version()
    major, minor, *_ = kubernetes.split(".")
    machine = platform.machine()
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{kubernetes}+dabbawala.{build}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": started,
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{_GO_ARCHITECTURES.get(machine, machine)}",
    }


def endpoint(build: str, now: Clock) -> Endpoint:
    """Serves /version; `build` is the product's version."""
    answer = info(build, clock.format_time(now.now()))

    async def serve(request: Request) -> Response:
        return response.json(answer)

    return serve
