"""What a cluster is started with. Kept beside its state, so that `dabba up` resumes a cluster as it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

NODES_MAX = 16
PORT_MAX = 65_535
SCRAPE_SECONDS = 15.0
CAPABILITIES = ("rollout",)
"""What a cluster runs beside its own parts, unless told not to."""


class BadOptions(Exception):
    """Options that cannot be, or a record of them that cannot be read."""


@dataclass(frozen=True, slots=True)
class Options:
    """`simulated_nodes` are further nodes whose pods run no process. `api_port` 0 takes a free one, then keeps it.
    `cpu` and `memory` are what each node offers, as quantities; empty offers the whole machine's on every node.
    `without` names the capabilities that run elsewhere, as processes of their own, or not at all."""

    nodes: int = 1
    simulated_nodes: int = 0
    api_port: int = 0
    scrape_seconds: float = SCRAPE_SECONDS
    host_address: str = "127.0.0.1"
    cpu: str = ""
    memory: str = ""
    without: tuple[str, ...] = ()

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
        for name in self.without:
            if name not in CAPABILITIES:
                raise BadOptions(f"--without {name}: there is no such capability, only {', '.join(CAPABILITIES)}")


def write(options: Options, path: Path) -> None:
    path.write_text(json.dumps(asdict(options), indent=1) + "\n")


def read(path: Path) -> Options:
    """What an earlier start wrote. Raises BadOptions when it cannot be read."""
    known = {field.name for field in fields(Options)}
    try:
        found = {name: value for name, value in json.loads(path.read_text()).items() if name in known}
        return Options(**{**found, "without": tuple(found.get("without") or ())})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadOptions(f"{path}: {error}; delete the file to start with defaults, or use --fresh") from error
