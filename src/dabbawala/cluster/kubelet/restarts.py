"""Whether and when a container that ended is started again. Pure.

The first restart is immediate; the next ones wait 10 s, 20 s, 40 s … 5 min after the container's end. A run longer than
twice the longest wait forgives what was before it. Source: pkg/kubelet/kuberuntime doBackOff, client-go flowcontrol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.observed import Observed, Run


@dataclass(frozen=True, slots=True)
class BackOff:
    """Waits that double from `first` up to `longest`."""

    first: timedelta = timedelta(seconds=10)
    longest: timedelta = timedelta(minutes=5)

    def wait(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row; nothing after the first crash."""
        if failures <= 0:
            return timedelta()
        doublings: int = min(failures - 1, 16)
        return min(self.longest, self.first * (1 << doublings))


def should_restart(pod: Mapping[str, Any], container: Object, run: Run) -> bool:
    """What the restart policy says of a run that has exited. Sidecars always restart."""
    if pod_spec.is_sidecar(container):
        return True
    policy = pod_spec.restart_policy(pod)
    init = any(item["name"] == container["name"] for item in pod_spec.init_containers(pod))
    if policy == "Never":
        return False
    if policy == "OnFailure" or init:
        return run.exit_code != 0
    return True


def crashes(observed: Observed, name: str, back_off: BackOff) -> int:
    """Starts after an exit in a row, as of the last run; a long run forgives."""
    run = observed.last(name)
    if run is None or run.finished_at is None:
        return 0
    if run.finished_at - run.started_at > 2 * back_off.longest:
        return 0
    return observed.crashes.get(name, run.attempt)


def restart_at(observed: Observed, name: str, back_off: BackOff) -> datetime | None:
    """When the container may start again; None when it has not exited."""
    run = observed.last(name)
    if run is None or run.finished_at is None:
        return None
    return run.finished_at + back_off.wait(crashes(observed, name, back_off))


def describe_wait(wait: timedelta) -> str:
    """Go's way of writing a duration: `10s`, `2m40s`, `5m0s`."""
    seconds = int(wait.total_seconds())
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
