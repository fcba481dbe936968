"""What a workload's past shows: which revisions served, and which came back.

Read off its ReplicaSets, as its controller left them: a switch and a rollback leave their marks there.

Sources: Argo Rollouts and the deployment controller, annotations `revision` and `revision-history`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness.observed import Observed

PREFIXES = ("rollout.argoproj.io/", "deployment.kubernetes.io/")
HASHES = ("rollouts-pod-template-hash", "pod-template-hash")


@dataclass(frozen=True, slots=True)
class Revision:
    """A ReplicaSet of the workload. `earlier` are numbers that it had before it was taken up again."""

    number: int
    earlier: tuple[int, ...]
    hash: str
    made: datetime
    object: Object


def revisions(observed: Observed) -> list[Revision]:
    """Newest first."""
    if observed.workload is None:
        return []
    uid = meta.uid(observed.workload)
    own = [obj for obj in observed.all(apps_v1.REPLICA_SET) if (meta.controller_of(obj) or {}).get("uid") == uid]
    return sorted((_revision(obj) for obj in own), key=lambda item: item.number, reverse=True)


def _revision(obj: Object) -> Revision:
    given = meta.annotations(obj)
    number = next((given[name + "revision"] for name in PREFIXES if name + "revision" in given), "0")
    history = next((given[name + "revision-history"] for name in PREFIXES if name + "revision-history" in given), "")
    earlier = tuple(int(part) for part in history.split(",") if part.isdigit())
    hash_ = next((meta.labels(obj)[name] for name in HASHES if name in meta.labels(obj)), "")
    made = clock.parse_time(str(meta.metadata(obj).get("creationTimestamp")))
    return Revision(int(number) if number.isdigit() else 0, earlier, hash_, made, obj)


def serving(observed: Observed) -> Revision | None:
    """The revision that all traffic goes to: of a Rollout its stable one, if that is also the active one."""
    found = revisions(observed)
    state = (observed.workload or {}).get("status") or {}
    stable = str(state.get("stableRS") or "")
    if not stable:
        return found[0] if found and not _is_rollout(observed) else None
    active = str((state.get("blueGreen") or {}).get("activeSelector") or stable)
    return next((item for item in found if item.hash == stable == active), None)


def runs(observed: Observed) -> list[Object]:
    """The workload's AnalysisRuns."""
    uid = meta.uid(observed.workload or {})
    found = observed.all(argoproj_v1alpha1.ANALYSIS_RUN)
    return [obj for obj in found if uid and (meta.controller_of(obj) or {}).get("uid") == uid]


def _is_rollout(observed: Observed) -> bool:
    return (observed.workload or {}).get("kind") == argoproj_v1alpha1.ROLLOUT.kind
