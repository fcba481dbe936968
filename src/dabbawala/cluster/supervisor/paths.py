"""Where a cluster keeps what.

State that must survive is under DATA (`--data-dir`, or one folder a cluster in the user's data home). Sockets are under
RUN, whose path is short, because the path of a unix socket may have 107 bytes. Both are the user's own, mode 0700.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
SOCKET_PATH_MAX = 107
OTHERS = 0o077
LONGEST_SOCKET = "nodes/node-1000/envoy-admin.sock"


class BadPath(Exception):
    """A name or a folder that a cluster cannot use; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Paths:
    name: str
    data: Path
    run: Path
    images: Path

    @property
    def state(self) -> Path:
        return self.data / "state.db"

    @property
    def options(self) -> Path:
        return self.data / "options.json"

    @property
    def pki(self) -> Path:
        return self.data / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.data / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def volumes(self) -> Path:
        return self.data / "volumes"

    @property
    def record(self) -> Path:
        """The running control plane: pid, start time, addresses."""
        return self.run / "controlplane.json"

    @property
    def claim(self) -> Path:
        """Locked by whoever starts or stops the cluster, for as long as that takes."""
        return self.data / "claim"

    @property
    def api_socket(self) -> Path:
        return self.run / "api.sock"

    @property
    def api_tls_socket(self) -> Path:
        return self.run / "api-tls.sock"

    @property
    def rollout_metrics(self) -> Path:
        """Where the rollout capability serves its numbers to the cluster's monitoring."""
        return self.run / "rollout-metrics.sock"

    def token(self, component: str) -> Path:
        return self.pki / "tokens" / component

    def node_data(self, node: str) -> Path:
        return self.data / "nodes" / node

    def node_run(self, node: str) -> Path:
        return self.run / "nodes" / node

    def make(self) -> None:
        """Create what is missing. Raises BadPath where the user may not."""
        state = (self.data, self.pki, self.pki / "tokens", self.logs, self.volumes, self.images)
        for folder in (*state, self.run.parent, self.run):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise BadPath(f"{folder}: {error.strerror}; choose another folder with --data-dir") from error
            refuse_foreign(self)
        for folder in (self.run.parent, self.run, self.data):
            if stat.S_IMODE(folder.stat().st_mode) & OTHERS:
                folder.chmod(0o700)


def refuse_foreign(paths: Paths) -> None:
    """Raises BadPath when RUN is not the user's own. Its name can be foretold, and in /tmp anybody may have made it
    first: the sockets and records in it would be that one's."""
    for folder in (paths.run.parent, paths.run):
        try:
            found = folder.lstat()
        except OSError:
            return
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            why = f"{folder} is not a folder of your own: somebody else may have made it"
            raise BadPath(f"{why}; set XDG_RUNTIME_DIR to one that is")


def resolve(name: str, data_dir: Path | None, environment: dict[str, str]) -> Paths:
    """The paths of the cluster `name`. Raises BadPath for a name or a folder that cannot be used."""
    if not NAME.fullmatch(name):
        raise BadPath(f"cluster name {name!r}: lower-case letters, digits and '-', at most 32, as in a DNS label")
    home = Path(environment.get("XDG_DATA_HOME") or Path(environment.get("HOME", "/")) / ".local/share") / "dabbawala"
    data = (data_dir or home / "clusters" / name).absolute()
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:8]
    runtime = environment.get("XDG_RUNTIME_DIR")
    runtime_home = Path(runtime) / "dabbawala" if runtime else Path(f"/tmp/dabbawala-{os.getuid()}")
    run = runtime_home / f"{name}-{digest}"
    if len(str(run / LONGEST_SOCKET)) > SOCKET_PATH_MAX:
        raise BadPath(f"{run} is too long for a unix socket; set XDG_RUNTIME_DIR to a shorter folder")
    return Paths(name, data, run, home / "images")


def clusters(environment: dict[str, str]) -> list[str]:
    """Names of the clusters in the user's data home."""
    home = resolve("default", None, environment).data.parent
    return sorted(folder.name for folder in home.iterdir() if folder.is_dir()) if home.is_dir() else []
