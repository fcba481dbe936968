"""What a cluster is started with. Kept beside its state, so that `dabba up` resumes a cluster as it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

NODES_MAX = 16
SCRAPE_SECONDS = 15.0


class BadOptions(Exception):
    """Options that cannot be, or a record of them that cannot be read."""


@dataclass(frozen=True, slots=True)
class Options:
    """`simulated_nodes` are further nodes whose pods run no process. `api_port` 0 takes a free one, then keeps it.
    `cpu` and `memory` are what each node offers, as quantities; empty divides the machine's between the nodes."""

    nodes: int = 1
    simulated_nodes: int = 0
    api_port: int = 0
    scrape_seconds: float = SCRAPE_SECONDS
    host_address: str = "127.0.0.1"
    cpu: str = ""
    memory: str = ""

    def check(self) -> None:
        if not 0 <= self.nodes <= NODES_MAX:
            raise BadOptions(f"--nodes {self.nodes}: from 0 to {NODES_MAX} on one machine; more with --simulated-nodes")
        if self.nodes + self.simulated_nodes < 1:
            raise BadOptions("a cluster needs a node: --nodes or --simulated-nodes must be at least 1")
        if self.scrape_seconds < 0.1:
            raise BadOptions(f"--scrape-interval {self.scrape_seconds}: at least 0.1 s")


def write(options: Options, path: Path) -> None:
    path.write_text(json.dumps(asdict(options), indent=1) + "\n")


def read(path: Path) -> Options:
    """What an earlier start wrote. Raises BadOptions when it cannot be read."""
    known = {field.name for field in fields(Options)}
    try:
        return Options(**{name: value for name, value in json.loads(path.read_text()).items() if name in known})
    except (OSError, ValueError, TypeError) as error:
        raise BadOptions(f"{path}: {error}; delete the file to start with defaults, or use --fresh") from error
