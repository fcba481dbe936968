"""The workload that a Rollout refers to: once the Rollout has taken over, its old pods go.

`scaleDown: never` leaves it, `onsuccess` scales it down when the first revision is healthy, `progressively` as fast as
the Rollout's pods become available. Only the first revision migrates. Source: Argo Rollouts, rollout/sync.go.
"""

from __future__ import annotations

from dabbawala.api import apps_v1
from dabbawala.apimachinery import meta
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import spec, state
from dabbawala.rollout.draft import Draft

NEVER, ON_SUCCESS, PROGRESSIVELY = "never", "onsuccess", "progressively"


def migrate(draft: Draft) -> None:
    rollout, workload = draft.situation.rollout, draft.situation.world.workload
    reference = (rollout.get("spec") or {}).get("workloadRef") or {}
    mode = str(reference.get("scaleDown") or NEVER)
    if workload is None or workload.get("kind") != "Deployment" or mode not in (ON_SUCCESS, PROGRESSIVELY):
        return
    new = draft.situation.sets.new
    if new is None or new.revision > 1:
        return
    has = int((workload.get("spec") or {}).get("replicas") or 0)
    healthy = state.is_fully_promoted(rollout) and new.available >= spec.replicas(rollout)
    wanted = 0 if healthy else has
    if mode == PROGRESSIVELY and not healthy:
        wanted = min(has, max(0, spec.replicas(rollout) - new.available))
    if wanted != has:
        draft.act(Patch(apps_v1.DEPLOYMENT, meta.key(workload), {"spec": {"replicas": wanted}}))
