"""The counts and names that a Rollout's status shows: HPA, `kubectl get` and the phase table read them."""

from __future__ import annotations

from dabbawala.apimachinery import meta, selectors
from dabbawala.rollout import keys, phases, spec, state
from dabbawala.rollout.draft import Draft


def counts(draft: Draft) -> None:
    """Fill in what this observation says. A blue-green Rollout is as ready and as large as its active set."""
    situation, status = draft.situation, draft.status
    rollout, sets = situation.rollout, situation.sets
    status |= {
        "replicas": sum(item.replicas for item in sets.all),
        "updatedReplicas": sets.new.replicas if sets.new is not None else 0,
        "readyReplicas": sum(item.ready for item in sets.all),
        "availableReplicas": sum(item.side.available for item in sets.all),
    }
    status["HPAReplicas"] = status["replicas"]
    chosen = selectors.from_label_selector(rollout["spec"].get("selector"))
    text = str(chosen)
    if spec.blue_green(rollout) is not None:
        active = sets.by_hash(str((status.get("blueGreen") or {}).get("activeSelector") or ""))
        status |= {
            "HPAReplicas": active.replicas if active else 0,
            "readyReplicas": active.ready if active else 0,
            "availableReplicas": active.side.available if active else 0,
        }
        if active is not None:
            text = f"{text},{keys.HASH}={active.hash}"
    status["selector"] = text
    status["observedGeneration"] = str(meta.generation(rollout))
    if situation.world.workload is not None:
        status["workloadObservedGeneration"] = str(meta.generation(situation.world.workload))


def phase(draft: Draft) -> None:
    """Phase and message of the status to come."""
    rollout = {**draft.situation.rollout, "status": draft.status}
    found, message = phases.phase(rollout)
    draft.status["phase"] = found
    if message:
        draft.status["message"] = message
    else:
        draft.status.pop("message", None)


def is_scaling_event(draft: Draft) -> bool:
    """`spec.replicas` has changed since the sets were last sized: then sizes come first, and steps wait."""
    count = spec.replicas(draft.situation.rollout)
    return state.is_observed_once(draft.situation.rollout) and any(
        item.spec > 0 and item.desired is not None and item.desired != count for item in draft.situation.sets.all
    )
