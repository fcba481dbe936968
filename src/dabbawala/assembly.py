"""The one file that knows every part: which controllers run in a cluster, and which capabilities.

Nothing registers itself; what runs is what is listed here. Whoever waits for an API server waits for no import that it
does not need: an HTTP client and the capabilities are imported where they are used.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery.clock import Clock, SystemClock
from dabbawala.client.client import Client
from dabbawala.client.dialer import Dialer
from dabbawala.cluster.controllers.admissionpolicy.controller import AdmissionPolicyController
from dabbawala.cluster.controllers.clusterrole.controller import ClusterRoleController
from dabbawala.cluster.controllers.daemonset.controller import DaemonSetController
from dabbawala.cluster.controllers.deployment.controller import DeploymentController
from dabbawala.cluster.controllers.disruption.controller import DisruptionController
from dabbawala.cluster.controllers.endpoints.controller import EndpointsController
from dabbawala.cluster.controllers.endpointslice.controller import EndpointSliceController
from dabbawala.cluster.controllers.job.controller import JobController
from dabbawala.cluster.controllers.namespace.controller import NamespaceController
from dabbawala.cluster.controllers.nodelifecycle.controller import NodeLifecycleController
from dabbawala.cluster.controllers.replicaset.controller import ReplicaSetController
from dabbawala.cluster.controllers.serviceaccount.controller import ServiceAccountController
from dabbawala.cluster.controllers.volumes.controller import ClaimController, VolumeController
from dabbawala.cluster.kubelet.images import build
from dabbawala.cluster.kubelet.images.dockerfile import BadDockerfile as BadDockerfile
from dabbawala.cluster.kubelet.images.store import Image, ImageStore
from dabbawala.cluster.supervisor import daemon, lifecycle, options, overview, paths
from dabbawala.cluster.supervisor.control_plane import ClientOf, ControlPlane, Surroundings
from dabbawala.cluster.supervisor.paths import Paths
from dabbawala.reconcile.controller import Controller

if TYPE_CHECKING:
    from dabbawala.client.kubeconfig import Connection


class CouldNotRun(click.ClickException):
    """What was asked for could not be tried; exit status 2."""

    exit_code = 2


def version() -> str:
    return importlib.metadata.version("dabbawala")


def controllers(around: Surroundings) -> Sequence[Controller]:
    """The built-in controllers of a cluster."""

    def path_of(volume: str) -> str:
        return str(around.paths.volumes / volume)

    async def erase(path: str) -> None:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    return (
        NamespaceController(around.client),
        ServiceAccountController(around.root_ca),
        ClusterRoleController(),
        AdmissionPolicyController(),
        NodeLifecycleController(around.clock.now()),
        DeploymentController(),
        ReplicaSetController(),
        DaemonSetController(),
        JobController(),
        EndpointSliceController(),
        EndpointsController(),
        DisruptionController((apps_v1.DEPLOYMENT, argoproj_v1alpha1.ROLLOUT)),
        ClaimController(path_of),
        VolumeController(around.client, erase, path_of),
    )


def capabilities(
    client_of: ClientOf, clock: Clock, where: Paths
) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
    """The capabilities of the embedded cluster, each with its own rights; its monitoring reads their numbers."""
    from dabbawala.rollout import main as rollout

    client = client_of("system:dabbawala:rollout")
    settings = rollout.Settings(identity="control-plane", metrics=where.rollout_metrics, version=version())
    return {"rollout": lambda: rollout.run(client, clock, Dialer(client.transport), settings)}


async def run_controller(connection: Connection, *, lease_namespace: str, metrics: str) -> None:
    """The capabilities as a process of their own, against any cluster, until interrupted. `metrics` is the address of
    the page of its numbers, or empty. Raises CouldNotRun when it cannot be had."""
    from dabbawala.client import http, kubeconfig
    from dabbawala.rollout import main as rollout

    _log_to_stderr()
    client = Client(http.HTTPTransport(connection))
    inside = connection.token_file == kubeconfig.SERVICE_ACCOUNT / "token"
    identity = f"{socket.gethostname()}-{os.getpid()}"
    try:
        async with Dialer(client.transport, inside=inside) as dialer:
            settings = rollout.Settings(
                identity=identity, lease_namespace=lease_namespace, metrics=metrics, version=version()
            )
            await _until_stopped(rollout.run(client, SystemClock(), dialer, settings))
    except rollout.CannotListen as taken:
        raise CouldNotRun(f"{taken} with --metrics-address") from taken
    finally:
        await client.close()


def images() -> ImageStore:
    """The user's local image store, shared by all clusters."""
    return ImageStore(paths.resolve("default", None, dict(os.environ)).images)


def build_image(context: Path, tag: str, arguments: Mapping[str, str]) -> Image:
    """Build a folder's Dockerfile. Raises BadDockerfile."""
    return build.build(images(), context, tag, arguments, SystemClock().now())


async def up(
    where: Paths, wanted: dict[str, Any], *, fresh: bool, heard: Callable[[dict[str, Any]], None]
) -> daemon.Record:
    """Start or resume a cluster, and wait until its API and its nodes are ready."""
    return await lifecycle.up(where, wanted, fresh=fresh, heard=heard)


async def down(where: Paths) -> bool:
    """Stop a cluster with everything it started; False when nothing ran."""
    return await lifecycle.down(where)


async def status(where: Paths, record: daemon.Record) -> list[tuple[str, str]]:
    """Rows for a person."""
    client = admin_client(where)
    try:
        return await overview.status(where, record, client)
    finally:
        await client.close()


def admin_client(where: Paths) -> Client:
    from dabbawala.client import http, kubeconfig

    return Client(http.HTTPTransport(kubeconfig.load(where.kubeconfig)))


def control_plane(where: Paths) -> None:
    """Run the control plane in this process until SIGTERM; `dabba up` starts it."""
    _log_to_stderr()
    progress = daemon.Progress(dict(os.environ))
    plane = ControlPlane(where, SystemClock(), progress, version(), controllers=controllers, capabilities=capabilities)
    uvloop.run(_until_stopped(plane.run()))


def monitoring(where: Paths, address: str) -> None:
    """Run the cluster's monitoring in this process until SIGTERM; the control plane starts it."""
    _log_to_stderr()
    uvloop.run(_until_stopped(_monitoring(where, address)))


async def _monitoring(where: Paths, address: str) -> None:
    from dabbawala.client import http
    from dabbawala.cluster.dataplane import mesh
    from dabbawala.cluster.monitoring import process as monitoring_process
    from dabbawala.cluster.monitoring import targets

    client = Client(http.over_socket(where.api_socket, where.token("monitoring")))
    chosen = options.read(where.options)
    fixed = () if "rollout" in chosen.without else (targets.of_capability("argo-rollouts", where.rollout_metrics),)
    settings = monitoring_process.Settings(address, where.run, chosen.scrape_seconds, fixed)
    try:
        await monitoring_process.Monitoring(client, SystemClock(), settings, mesh.derive).run()
    finally:
        await client.close()


def _log_to_stderr() -> None:
    form = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)


async def _until_stopped(work: Awaitable[None]) -> None:
    """Run until done, SIGTERM or SIGINT; a signal cancels, and is no failure."""
    task = asyncio.ensure_future(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
