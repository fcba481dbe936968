"""What a cluster is started with. Kept beside its state, so that `dabba up` resumes a cluster as it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dabbawala.apimachinery import quantity

NODES_MAX = 16
PORT_MAX = 65_535
ANY_PORT = 0
SCRAPE_SECONDS = 15.0
CAPABILITIES = ("rollout",)
"""What a cluster runs beside its own parts, unless told not to."""


class BadOptions(Exception):
    """Options that cannot be, or a record of them that cannot be read."""


@dataclass(frozen=True, slots=True)
class Options:
    """`simulated_nodes` are further nodes whose pods run no process. `api_port` 0 takes a free one, then keeps it.
    `cpu` and `memory` are what each node offers, as quantities; empty offers the whole machine's on every node.
    `without` names the capabilities that run elsewhere, as processes of their own, or not at all. `host_ports` are the
    ports of this machine that pods may reach; 0 stands for none, to take back what an earlier start allowed."""

    nodes: int = 1
    simulated_nodes: int = 0
    api_port: int = ANY_PORT
    scrape_seconds: float = SCRAPE_SECONDS
    host_address: str = "127.0.0.1"
    cpu: str = ""
    memory: str = ""
    without: tuple[str, ...] = ()
    host_ports: tuple[int, ...] = ()

    def check(self) -> None:
        if not 0 <= self.nodes <= NODES_MAX:
            raise BadOptions(f"--nodes {self.nodes}: from 0 to {NODES_MAX} on one machine; more with --simulated-nodes")
        if self.simulated_nodes < 0:
            raise BadOptions(f"--simulated-nodes {self.simulated_nodes}: not fewer than none")
        if not 0 <= self.api_port <= PORT_MAX:
            raise BadOptions(f"--api-port {self.api_port}: a port is from 1 to {PORT_MAX}; 0 takes a free one")
        if self.nodes + self.simulated_nodes < 1:
            raise BadOptions("a cluster needs a node: --nodes or --simulated-nodes must be at least 1")
        if self.scrape_seconds < 0.1:
            raise BadOptions(f"--scrape-interval {self.scrape_seconds}: at least 0.1 s")
        for port in self.host_ports:
            if not 0 <= port <= PORT_MAX:
                raise BadOptions(f"--host-port {port}: a port is from 1 to {PORT_MAX}; 0 allows none any more")
        for flag, offered in (("--cpu", self.cpu), ("--memory", self.memory)):
            if offered and not _is_amount(offered):
                raise BadOptions(f"{flag} {offered}: a quantity above 0, like 2, 500m or 4Gi")
        for name in self.without:
            if name not in CAPABILITIES:
                raise BadOptions(f"--without {name}: there is no such capability, only {', '.join(CAPABILITIES)}")


def _is_amount(text: str) -> bool:
    try:
        return quantity.parse(text) > 0
    except ValueError:
        return False


def write(options: Options, path: Path) -> None:
    """All of it or nothing, also on a full disk. Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(options), indent=1) + "\n")
    fresh.replace(path)


def read(path: Path) -> Options:
    """What an earlier start wrote. Raises BadOptions when it cannot be read."""
    known = {field.name for field in fields(Options)}
    try:
        found = {name: value for name, value in json.loads(path.read_text()).items() if name in known}
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return Options(**{**found, **lists})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadOptions(f"{path}: {error}; delete the file to start with defaults, or use --fresh") from error
