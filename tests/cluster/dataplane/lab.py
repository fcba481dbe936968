"""A data plane on loopback addresses: the real API server in memory, the real controller, real Envoys, small programs
behind the Services, and visitors that count honestly (no retries, every answer by name). Services have ports that every
user may listen on."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import conditions
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver import addresses, admission_services
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.dataplane import admin
from dabbawala.cluster.dataplane.controller import DataPlane, Settings
from dabbawala.cluster.dataplane.keeper import Launch
from dabbawala.cluster.dataplane.translate import Fixtures
from dabbawala.reconcile.apply import Executor
from dabbawala.reconcile.informer import Informers
from dabbawala.reconcile.recorder import EventRecorder

SERVED_SECONDS = 10.0
NAMESPACE = "shop"
AGENT = {"dabbawala.dev/kubelet-socket": "/nowhere"}


def network(number: int) -> str:
    """A /16 of loopback that no other test run on this machine uses at the same time."""
    return f"127.{64 + os.getpid() % 128}.{number}"


class LocalSpawner:
    """Envoys as children of the test."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.starts: Counter[str] = Counter()
        self.refusal = ""
        self.program = ""
        """What is started in Envoy's place, when this is not empty."""

    async def start(self, launch: Launch) -> None:
        if self.refusal:
            raise OSError(self.refusal)
        known = self.running.get(launch.name)
        if known is not None and known.returncode is None:
            return
        self.starts[launch.name] += 1
        argv = (self.program or launch.argv[0], *launch.argv[1:])
        with open(launch.log_path, "ab") as log:
            self.running[launch.name] = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)

    async def wait(self, name: str) -> int:
        status = await self.running[name].wait()
        return 128 - status if status < 0 else status

    async def stop(self, name: str) -> None:
        if name in self.running and self.running[name].returncode is None:
            self.running[name].terminate()
            await self.running[name].wait()

    def kill(self, name: str) -> None:
        self.running[name].kill()

    async def close(self) -> None:
        for name in list(self.running):
            with suppress(ProcessLookupError):
                self.running[name].kill()
            await self.running[name].wait()


class Program:
    """An HTTP/1.1 program that answers with its name; a path `/wait/X` is answered after X seconds."""

    def __init__(self, name: str, address: str, port: int = 8080) -> None:
        self.name, self.address, self.port = name, address, port
        self.answered = 0
        self.open = 0
        self.heads: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                path = head.split(" ", 2)[1]
                if path.startswith("/wait/"):
                    await asyncio.sleep(float(path.removeprefix("/wait/")))
                self.answered += 1
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        except (EOFError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Visitor:
    """One kept-alive connection. Anything but an answer raises."""

    def __init__(self, address: str, port: int) -> None:
        self._where = (address, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: test\r\n{extra}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split(" ", 2)[1])
        length = int(head.split("content-length: ")[1].split("\r\n")[0]) if "content-length: " in head else 0
        body = (await reader.readexactly(length)).decode()
        if "connection: close" in head:
            self.leave()
        return status, body

    def leave(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask(address: str, port: int, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    visitor = Visitor(address, port)
    try:
        return await visitor.ask(path, headers)
    finally:
        visitor.leave()


class Crowd:
    """Visitors at a steady total rate. `seen` counts answers by body, `failed` everything that is not a 200."""

    def __init__(self, address: str, port: int, *, visitors: int = 4, per_second: float = 400.0) -> None:
        self.seen: Counter[str] = Counter()
        self.failed: list[str] = []
        self._where = (address, port)
        self._pause = visitors / per_second
        self._visitors = visitors
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._tasks = [asyncio.create_task(self._visit(number)) for number in range(self._visitors)]
        return self

    async def __aexit__(self, *ignored: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, holds: Callable[[], bool]) -> None:
        await eventually(holds)

    async def _visit(self, number: int) -> None:
        visitor, dice = Visitor(*self._where), random.Random(number)
        try:
            while True:
                if dice.random() < 0.1:
                    visitor.leave()
                try:
                    status, body = await visitor.ask()
                    self.seen[body] += 1
                    if status != 200:
                        self.failed.append(f"{status} {body}")
                except (OSError, EOFError) as error:
                    self.failed.append(repr(error))
                    visitor.leave()
                await asyncio.sleep(self._pause)
        finally:
            visitor.leave()


async def eventually(holds: Callable[[], Any], seconds: float = SERVED_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)


class Lab:
    def __init__(self, client: Client, spawner: LocalSpawner, settings: Settings) -> None:
        self.client, self.spawner = client, spawner
        self.programs: list[Program] = []
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self.start_control_plane()

    def start_control_plane(self) -> None:
        clock = SystemClock()
        self.informers = Informers(self.client, clock)
        recorder = EventRecorder(self.client, clock, component="dataplane")
        executor = Executor(self.client, recorder, field_manager="dataplane")
        self.plane = DataPlane(self.informers, executor, self.spawner, clock, self._settings)
        self._tasks = [asyncio.create_task(self.plane.run()), asyncio.create_task(recorder.run())]

    async def stop_control_plane(self) -> None:
        failed = [task.exception() for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.informers.stop()
        assert not failed, failed

    async def restart_control_plane(self) -> None:
        await self.stop_control_plane()
        self.start_control_plane()

    async def program(self, name: str, address: str) -> Program:
        program = Program(name, address)
        await program.start()
        self.programs.append(program)
        return program

    async def node(self, name: str, address: str) -> None:
        node = await self.client.create(core_v1.NODE, {"metadata": {"name": name, "annotations": AGENT}})
        node["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
        await self.client.update(core_v1.NODE, node, "status")

    async def service(self, name: str, address: str, port: int = 8000, **spec: Any) -> Object:
        ports = spec.pop("ports", [{"port": port, "targetPort": 8080}])
        body = {
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"clusterIP": address, "ports": ports, **spec},
        }
        return await self.client.create(core_v1.SERVICE, body, NAMESPACE)

    async def endpoints(
        self,
        service: str,
        programs: Mapping[str, Mapping[str, str]] | list[Program],
        *,
        ports: list[Object] | None = None,
        **more: Any,
    ) -> None:
        """Make the Service's slice hold these programs, or addresses with the labels of their pods."""
        if isinstance(programs, list):
            programs = {program.address: {} for program in programs}
        entries = []
        for address, labels in programs.items():
            entry: Object = {"addresses": [address], "conditions": {"ready": True}}
            if labels:
                pod = await self._pod(address, labels)
                entry["targetRef"] = {"kind": "Pod", "name": pod, "namespace": NAMESPACE}
            entries.append({**entry, **more})
        piece = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": service, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": entries,
            "ports": ports or [{"name": "", "port": 8080, "protocol": "TCP"}],
        }  # fmt: skip
        await self.client.writing_as("test").apply(discovery_v1.ENDPOINT_SLICE, piece)

    async def reflect(self, service: str, generation: int) -> None:
        """Have the slice say which generation of the Service it was made from."""
        body = {"metadata": {"annotations": {"dabbawala.dev/service-generation": str(generation)}}}
        await self.client.patch(discovery_v1.ENDPOINT_SLICE, service, NAMESPACE, body)

    async def _pod(self, address: str, labels: Mapping[str, str]) -> str:
        name = "pod-" + address.replace(".", "-")
        pod = {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels)},
            "spec": {"containers": [{"name": "program", "image": "program"}]},
        }
        if self.informers.get(core_v1.POD, ObjectKey(NAMESPACE, name)) is None:
            await self.client.create(core_v1.POD, pod, NAMESPACE)
        return name

    async def virtual_service(self, name: str, **spec: Any) -> Object:
        obj = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"hosts": [name], **spec},
        }
        return await self.client.writing_as("test").apply(istio_networking_v1.VIRTUAL_SERVICE, obj)

    async def destination_rule(self, name: str, subsets: Mapping[str, Mapping[str, str]], **spec: Any) -> None:
        listed = [{"name": subset, "labels": dict(labels)} for subset, labels in subsets.items()]
        obj = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"host": name, "subsets": listed, **spec},
        }
        await self.client.writing_as("test").apply(istio_networking_v1.DESTINATION_RULE, obj)

    async def said(
        self, kind: Kind, name: str, type_: str, *, status: str = "True", namespace: str = NAMESPACE
    ) -> Object:
        """The condition, once it has that status for the object's present generation."""
        async with asyncio.timeout(SERVED_SECONDS):
            while True:
                obj = await self.client.get(kind, name, namespace)
                found = conditions.find(obj, type_)
                current = found and found["observedGeneration"] == obj["metadata"].get("generation", 0)
                if found and current and found["status"] == status:
                    return found
                await asyncio.sleep(0.002)

    async def routed(self, name: str, *shares: tuple[str, int]) -> Object:
        """Weights of the subsets of a Service, in force."""
        route = [{"destination": {"host": name, "subset": subset}, "weight": weight} for subset, weight in shares]
        await self.virtual_service(name, http=[{"route": route}])
        return await self.said(istio_networking_v1.VIRTUAL_SERVICE, name, "Programmed")

    async def runs(self, run: Path, cluster: str, address: str) -> None:
        """Wait until the Envoy has this address, and no other, behind the cluster."""
        async with asyncio.timeout(SERVED_SECONDS):
            while True:
                text = await admin.get(run / "nodes" / "node-1" / "envoy-admin.sock", "/clusters")
                hosts = [line.split("::") for line in text.splitlines() if "::rq_total::" in line]
                if [parts[1].split(":")[0] for parts in hosts if parts[0] == cluster] == [address]:
                    return
                await asyncio.sleep(0.002)

    async def served(self, name: str) -> Object:
        return await self.said(core_v1.SERVICE, name, "dabbawala.dev/Programmed")


@contextmanager
def _services_on_loopback() -> Iterator[None]:
    """Service addresses where no namespace is needed to listen on them."""
    own = ipaddress.IPv4Network(f"{network(0)}.0/16", strict=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "SERVICE_RANGE", own)
        patch.setattr(admission_services, "SERVICE_RANGE", own)
        yield


@asynccontextmanager
async def lab(run: Path, *, node: str = "", edge_address: str = "127.0.0.1", sockets: Any = None) -> AsyncIterator[Lab]:
    spawner = LocalSpawner()
    async with AsyncExitStack() as stack:
        stack.enter_context(_services_on_loopback())
        server = await stack.enter_async_context(APIServer.in_memory(KINDS, namespaces=("default", NAMESPACE)))
        settings = Settings(run, run / "logs", Fixtures(sockets or {}), edge_address)
        stack.push_async_callback(spawner.close)
        made = Lab(server.client(), spawner, settings)
        stack.push_async_callback(made.stop_control_plane)
        if node:
            await made.node("node-1", node)
        try:
            yield made
        finally:
            for program in made.programs:
                await program.close()
