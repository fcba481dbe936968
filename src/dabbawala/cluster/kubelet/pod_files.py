"""Where the files of a node's pods are. Everything of a pod is below one directory, which goes with the pod."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PodFiles:
    """`root` is the node's directory; `protected` may never be shown to a pod (the cluster's state, its sockets);
    `local_volumes` is where local persistent volumes live."""

    root: Path
    protected: tuple[Path, ...] = ()
    local_volumes: Path | None = None

    def pod(self, uid: str) -> Path:
        return self.root / "pods" / uid

    def state(self, uid: str) -> Path:
        return self.pod(uid) / "state"

    def volumes(self, uid: str) -> Path:
        return self.pod(uid) / "volumes"

    def logs(self, uid: str, container: str) -> Path:
        return self.pod(uid) / "logs" / container

    def log(self, uid: str, container: str, attempt: int) -> Path:
        """The CRI log of one run."""
        return self.logs(uid, container) / f"{attempt}.log"

    def uids(self) -> list[str]:
        """The pods that have files here."""
        folder = self.root / "pods"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def is_protected(self, path: Path) -> bool:
        """Whether showing the path would show, or be inside, something protected."""
        real = path.resolve()
        guarded = [one.resolve() for one in self.protected]
        return any(real.is_relative_to(one) or one.is_relative_to(real) for one in guarded)

    def remove_runs(self, uid: str, container: str, before: int) -> None:
        """Logs and records of the container's runs with a lower number."""
        for folder, prefix in ((self.logs(uid, container), ""), (self.state(uid), f"{container}-")):
            for entry in list(folder.glob(f"{prefix}[0-9]*.*")):
                number = entry.name.removeprefix(prefix).partition(".")[0]
                if number.isdecimal() and int(number) < before:
                    entry.unlink(missing_ok=True)

    def remove_volumes(self, uid: str) -> None:
        """What volumes the pod has of its own. Links to persistent volumes go, the volumes stay."""
        shutil.rmtree(self.volumes(uid), ignore_errors=True)

    def remove(self, uid: str) -> None:
        shutil.rmtree(self.pod(uid), ignore_errors=True)
