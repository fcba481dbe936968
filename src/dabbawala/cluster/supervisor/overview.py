"""What runs in a cluster, for a person: `dabba status`."""

from __future__ import annotations

from dabbawala.api import core_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.dataplane.plan import DATA_PLANE_READY, REACHABLE
from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.sandbox.spec import ProcessStatus
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
        rows += [(name, _shown(found)) for name, found in sorted(processes.items())]
    troubles = [(meta.name(node), found["message"]) for node in nodes if (found := _trouble(node, DATA_PLANE_READY))]
    services = (await client.list(core_v1.SERVICE)).items
    troubles += [(str(meta.key(each)), found["message"]) for each in services if (found := _trouble(each, REACHABLE))]
    return [*rows, *troubles, ("state", str(paths.data)), ("kubeconfig", str(paths.kubeconfig))]


def _shown(process: ProcessStatus) -> str:
    if process.running:
        return "running"
    how = f"signal {process.signal}" if process.signal else f"status {process.exit_code}"
    return f"ended with {how}; `dabba logs {process.name}` says more"


def _trouble(obj: Object, type_: str) -> Object | None:
    """The condition, when it is False."""
    found = conditions.find(obj, type_)
    return found if found is not None and found.get("status") == "False" else None
