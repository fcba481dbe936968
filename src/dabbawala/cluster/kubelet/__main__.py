"""`python -m dabbawala.cluster.kubelet`: the agent of one node, as a process of its own.

The supervisor starts it through the holder, in the node's network. It holds no state: killed at any moment, the next
one takes its pods over.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.client.client import Client
from dabbawala.client.http import over_socket
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.assembly import NodeAgent, NodePlan
from dabbawala.cluster.kubelet.images.store import ImageStore
from dabbawala.cluster.kubelet.node import Machine
from dabbawala.cluster.sandbox.client import HolderClient


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="dabbawala.cluster.kubelet", description=__doc__)
    made.add_argument("--node", required=True, help="the node's name")
    made.add_argument(
        "--address", required=True, help="the node's address, 10.42.k.1; its pods get the rest of 10.42.k.0/24"
    )
    made.add_argument("--api", default="", help="where the API server listens (unix:PATH); default: RUN_DIR/api.sock")
    made.add_argument("--token-file", type=Path, required=True, help="the node's bearer token")
    made.add_argument("--run-dir", type=Path, required=True, help="the cluster's sockets")
    made.add_argument("--data-dir", type=Path, required=True, help="the cluster's state")
    made.add_argument("--images", type=Path, required=True, help="the local image store")
    made.add_argument("--zone", default="", help="topology.kubernetes.io/zone")
    made.add_argument("--region", default="", help="topology.kubernetes.io/region")
    made.add_argument("--cpu", default="", help="the CPU to offer, a quantity; default: the machine's")
    made.add_argument("--memory", default="", help="the memory to offer, a quantity; default: the machine's")
    made.add_argument(
        "--max-pods", type=int, default=110, help="pods that the node takes (at most 253 have an address)"
    )
    return made


def node_plan(given: argparse.Namespace) -> NodePlan:
    return NodePlan(
        name=given.node, address=given.address, run_dir=given.run_dir, data_dir=given.data_dir, zone=given.zone,
        region=given.region, machine=_machine(given), labels={"dabbawala.dev/runtime": "process"},
    )  # fmt: skip


def _machine(given: argparse.Namespace) -> Machine:
    real = nodes.this_machine(pods=given.max_pods, storage_path=str(given.data_dir))
    cpu = int(quantity.parse(given.cpu) * 1000) if given.cpu else real.cpu_milli
    memory = int(quantity.parse(given.memory)) if given.memory else real.memory_bytes
    return nodes.with_offer(real, cpu_milli=cpu, memory_bytes=memory)


async def run(given: argparse.Namespace) -> None:
    api = given.api or f"unix:{given.run_dir / 'api.sock'}"
    client = Client(over_socket(Path(api.removeprefix("unix:")), given.token_file))
    agent = NodeAgent(node_plan(given), client, HolderClient(given.run_dir), ImageStore(given.images), SystemClock())
    gc.freeze()
    work = asyncio.create_task(agent.run(), name=f"agent of {given.node}")
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        logging.getLogger("dabbawala.kubelet").info("asked to stop; pods go on without an agent")
    finally:
        await client.close()


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
