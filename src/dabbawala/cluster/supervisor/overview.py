"""What runs in a cluster, for a person: `dabba status`."""

from __future__ import annotations

from dabbawala.api import core_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.client.client import Client
from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.supervisor import daemon
from dabbawala.cluster.supervisor.paths import Paths


async def status(paths: Paths, record: daemon.Record, client: Client) -> list[tuple[str, str]]:
    """Rows of name and value."""
    nodes = (await client.list(core_v1.NODE)).items
    pods = (await client.list(core_v1.POD)).items
    ready = [meta.name(node) for node in nodes if conditions.is_true(node, "Ready")]
    rows = [
        ("cluster", paths.name),
        ("API server", f"{record.server} (pid {record.pid}, dabbawala {record.version})"),
        ("nodes", f"{len(ready)} of {len(nodes)} ready"),
        ("pods", f"{sum(conditions.is_true(pod, 'Ready') for pod in pods)} of {len(pods)} ready"),
    ]
    holder = HolderClient(paths.run)
    if holder.running():
        processes = await holder.processes()
        rows += [(name, "running" if found.running else "ended") for name, found in sorted(processes.items())]
    return [*rows, ("state", str(paths.data)), ("kubeconfig", str(paths.kubeconfig))]
