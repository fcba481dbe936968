"""The nodes whose pods are real processes: the holder, a network for each node, and on each an agent and netd.

All of them are found running when the control plane comes back after a kill; then they are only watched again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.sandbox.spec import ProcessSpec
from dabbawala.cluster.supervisor import keeper
from dabbawala.cluster.supervisor.options import Options
from dabbawala.cluster.supervisor.paths import Paths

ZONES = ("a", "b", "c")
REGION = "local"
NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull}
"""Our processes trust nobody of the host's list, which an HTTP library would read at import: a tenth of a start."""
WITHOUT = "`dabba up --nodes 0 --simulated-nodes 1`"


class NoProcessPods(Exception):
    """This machine forbids what process pods need; the message says what, and how to allow it."""


@dataclass(frozen=True, slots=True)
class Node:
    """`index` counts from 1; `address` is the node's own in the cluster's network."""

    name: str
    index: int
    address: str
    zone: str


def names(count: int) -> list[str]:
    return [f"node-{index}" for index in range(1, count + 1)]


async def create(holder: HolderClient, paths: Paths, options: Options) -> list[Node]:
    """Start the holder, or find it, and make the nodes' networks. Raises NoProcessPods."""
    try:
        await holder.start()
    except RuntimeError as error:
        raise NoProcessPods(f"{error} Without them: {WITHOUT}.") from error
    made = []
    for index, name in enumerate(names(options.nodes), 1):
        address = await holder.create_node(name, index)
        for folder in (paths.node_data(name), paths.node_run(name)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made.append(Node(name, index, address, ZONES[(index - 1) % len(ZONES)]))
    return made


async def keep(holder: HolderClient, node: Node, paths: Paths, options: Options, clock: Clock) -> None:
    """Keep a node's processes running until cancelled."""
    from dabbawala.cluster.dataplane.controller import Settings

    agent = agent_process(node, paths, options)
    table = str(Settings(paths.run, paths.logs).dns_table)
    log = str(paths.logs / f"netd-{node.name}.log")

    async def netd() -> int:
        return await holder.spawn_netd(node.name, node.address, table, log)

    async with asyncio.TaskGroup() as kept:
        kept.create_task(keeper.keep(holder, agent.name, keeper.spawning(holder, agent), clock))
        kept.create_task(keeper.keep(holder, f"netd-{node.name}", netd, clock))


def agent_process(node: Node, paths: Paths, options: Options) -> ProcessSpec:
    offered = [("--cpu", options.cpu), ("--memory", options.memory)]
    settings = {
        "--node": node.name,
        "--address": node.address,
        "--zone": node.zone,
        "--region": REGION,
        "--run-dir": str(paths.run),
        "--data-dir": str(paths.data),
        "--images": str(paths.images),
        "--token-file": str(paths.token(node.name)),
        **{flag: value for flag, value in offered if value},
    }
    words = [word for pair in settings.items() for word in pair]
    return ProcessSpec(
        name=f"agent-{node.name}",
        argv=(sys.executable, "-m", "dabbawala.cluster.kubelet", *words),
        log_path=str(paths.logs / f"agent-{node.name}.log"),
        env=NO_AUTHORITIES,
        node=node.name,
    )


def monitoring_process(node: Node, paths: Paths) -> ProcessSpec:
    # Its environment is clean and its user id another one, so it cannot find the run directory by itself.
    where = ("--name", paths.name, "--data-dir", str(paths.data), "--run-dir", str(paths.run))
    words = ("monitoring", *where, "--address", node.address)
    return ProcessSpec(
        name="monitoring",
        argv=(sys.executable, "-m", "dabbawala.cli.main", *words),
        log_path=str(paths.logs / "monitoring.log"),
        env=NO_AUTHORITIES,
        node=node.name,
    )
