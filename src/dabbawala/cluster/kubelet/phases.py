"""The phase of a pod, from its containers. Pure. Source: pkg/kubelet getPhase.

Pending ──► Running ──► Succeeded
   │           │
   └───────────┴──────► Failed          Succeeded and Failed are final
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec, restarts
from dabbawala.cluster.kubelet.observed import Observed, Run


def init_done(pod: Mapping[str, Any], observed: Observed) -> bool:
    """Whether the ordinary containers may run: every init container has completed or, a sidecar, has started.
    Once an ordinary container of this sandbox has started that stays so, whatever becomes of a sidecar."""
    return not incomplete_inits(pod, observed)


def incomplete_inits(pod: Mapping[str, Any], observed: Observed) -> list[str]:
    if any(_of_this_sandbox(observed.last(item["name"])) for item in pod_spec.containers(pod)):
        return []
    return [item["name"] for item in pod_spec.init_containers(pod) if not is_init_complete(item, observed)]


def _of_this_sandbox(run: Run | None) -> bool:
    return run is not None and not run.stale


def is_init_complete(item: Object, observed: Observed) -> bool:
    run = observed.last(item["name"])
    if run is None or run.stale:
        return False
    if pod_spec.is_sidecar(item):
        return observed.is_started(item["name"])
    return not run.is_running and run.exit_code == 0


def failed_init(pod: Mapping[str, Any], observed: Observed) -> str | None:
    """The init container whose failure is final (restart policy Never)."""
    for item in pod_spec.init_containers(pod):
        run = observed.last(item["name"])
        ended = run is not None and not run.is_running and not run.stale
        if ended and run is not None and run.exit_code != 0 and not restarts.should_restart(pod, item, run):
            return str(item["name"])
    return None


def is_over(pod: Mapping[str, Any], observed: Observed) -> bool:
    """Nothing of the pod will run again: every ordinary container has ended for good, or an init container failed."""
    if failed_init(pod, observed) is not None:
        return not any(observed.running(item["name"]) for item in pod_spec.containers(pod))
    runs = [(item, observed.last(item["name"])) for item in pod_spec.containers(pod)]
    return all(run is not None and not run.is_running and not restarts.should_restart(pod, item, run)
               for item, run in runs)  # fmt: skip


def phase(pod: Mapping[str, Any], observed: Observed, *, ending: bool) -> str:
    """`ending`: the pod is being deleted or has exceeded its deadline, so nothing restarts any more."""
    if pod_spec.is_terminal(pod):
        return pod_spec.phase(pod)
    runs = [observed.last(item["name"]) for item in pod_spec.containers(pod)]
    if failed_init(pod, observed) is not None:
        return "Failed"
    if ending:
        return _ending_phase(pod, observed, runs)
    if is_over(pod, observed):
        return "Succeeded" if all(run is not None and run.exit_code == 0 for run in runs) else "Failed"
    return "Pending" if None in runs or not init_done(pod, observed) else "Running"


def _ending_phase(pod: Mapping[str, Any], observed: Observed, runs: list[Run | None]) -> str:
    if observed.any_running():
        return pod_spec.phase(pod)
    return "Succeeded" if all(run is not None and run.exit_code == 0 for run in runs) else "Failed"
