"""Events as sources would make them, with little to write."""

from __future__ import annotations

from typing import Any

from dabbawala.guard.runtime import events, rules
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.engine import Engine
from dabbawala.guard.runtime.events import Container, Event, File, Peer, Process, Workload
from dabbawala.guard.runtime.rules import Rule

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
CONTAINER = Container("uid-1/web/0", "uid-1", "web", "uid-1/web/0")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop", "uid": "uid-1"}}
WORKLOAD = Workload("shop", "web-0", "web", "uid-1/web/0", "registry.example.com/shop/web:v1", {"app": "web"}, POD)
PAYMENT = Workload(
    "shop", "pay-0", "web", "uid-1/web/0", "registry.example.com/shop/pay:v1", {"app": "payment-service"}, POD
)


def shim() -> Process:
    return Process(90, name="dabba-shim")


def server(**fields: Any) -> Process:
    """The container's own program."""
    init = Process(91, name="dabba-init", parent=shim())
    return Process(100, 91, **{"name": "python3", "exepath": "/usr/bin/python3", "argv": ("python3", "app.py"),
                               "parent": init, **fields})  # fmt: skip


def program(*argv: str, **fields: Any) -> Process:
    """A program that the container's own program started."""
    name = argv[0].rpartition("/")[2]
    return Process(200, 100, **{"name": name[:15], "exepath": f"/usr/bin/{name}", "argv": argv, "uid": 0,
                                "parent": server(), **fields})  # fmt: skip


def entered(*argv: str, **fields: Any) -> Process:
    """A command that somebody ran from outside."""
    return program(*argv, **{"entered": True, "parent": shim(), **fields})


def started(process: Process, **fields: Any) -> Event:
    return happened(events.EXECVE, process, **fields)


def happened(kind: str, process: Process | None, **fields: Any) -> Event:
    given = {"at": NOON, "container": CONTAINER, "workload": WORKLOAD, "node": "node-1", **fields}
    return Event(kind, process=process, **given)


def read(path: str, process: Process | None, **fields: Any) -> Event:
    return happened(events.OPEN, process, file=File(path, read=True), **fields)


def written(path: str, process: Process | None, *, emptied: bool = False, **fields: Any) -> Event:
    return happened(events.OPEN, process, file=File(path, written=True, emptied=emptied), **fields)


def removed(path: str, process: Process | None, **fields: Any) -> Event:
    return happened(events.UNLINK, process, file=File(path), **fields)


def connected(remote: str, port: int, process: Process | None, **fields: Any) -> Event:
    return happened(events.CONNECT, process, peer=Peer("tcp", "10.42.1.2", 40_000, remote, port), **fields)


def built(text: str) -> tuple[Rule, ...]:
    return rules.build(rules.read(text.encode(), "rules.yaml"))


def said(found: tuple[Rule, ...], event: Event) -> list[Alert]:
    return Engine(found).evaluate(event)
