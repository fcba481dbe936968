"""Are the pods of a canary where its step wants them? One chain of checks, for steps, weights and `explain`."""

from __future__ import annotations

from dabbawala.rollout import attachment, spec, weights
from dabbawala.rollout.draft import Blocker
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.sets import Set
from dabbawala.rollout.weights import Counts


def desired(situation: Situation, seen_weight: int) -> Counts:
    """The counts that the current step ends with."""
    rollout = situation.rollout
    if spec.routing(rollout) is not None:
        return weights.routed_counts(rollout, _stable_weight(situation, seen_weight))
    surge, _ = spec.surge_and_unavailable(rollout)
    return weights.basic_counts(spec.replicas(rollout), weights.set_weight(rollout), surge)


def _stable_weight(situation: Situation, seen_weight: int) -> int:
    """What the stable set must be able to take: what it is sent, and everything while the route is to be emptied of
    an earlier canary, for then it is the only one that can."""
    stable, maximum = situation.sets.stable, spec.max_weight(situation.rollout)
    if stable is None:
        return maximum - seen_weight
    if seen_weight and attachment.leads_elsewhere(situation):
        return maximum
    return attachment.share(situation, stable, seen_weight)


def needed(situation: Situation) -> int:
    """Available canary pods that the step asks for, less what `replicaProgressThreshold` lets pass."""
    count = desired(situation, 0).canary
    threshold = spec.progress_threshold(situation.rollout)
    if threshold is None:
        return count
    value = int(threshold.get("value") or 0)
    if threshold.get("type") == "Percentage" or threshold.get("type") == "Percent":
        return min(count, -(-count * value // 100))
    return min(count, value)


def blocker(situation: Situation, seen_weight: int) -> Blocker | None:
    """Why the counts of the current step are not reached; None when they are."""
    new, stable = situation.sets.new, situation.sets.stable
    if new is None:
        return Blocker("NoReplicaSet", "the new ReplicaSet does not exist yet")
    counts = desired(situation, seen_weight)
    need = needed(situation)
    if new.spec != counts.canary or new.sure < need or new.sure > counts.canary:
        text = f"ReplicaSet {new.name} has {new.sure} of {need} available pods ({new.spec} asked for)"
        return Blocker("CanaryNotReady", text)
    if situation.sets.two_sided and stable is not None and spec.routing(situation.rollout) is None:
        return _basic_blocker(situation, stable, counts)
    return None


def _basic_blocker(situation: Situation, stable: Set, counts: Counts) -> Blocker | None:
    wanted = counts.stable if counts.stable else min(stable.spec, _held_for_its_service(situation, stable))
    if stable.spec != wanted or stable.replicas != wanted:
        text = f"ReplicaSet {stable.name} has {stable.replicas} pods on its way to {wanted}"
        return Blocker("StableNotReady", text)
    left = [item.name for item in situation.sets.others if item.available]
    if left:
        return Blocker("OldPodsLeft", f"ReplicaSet {left[0]} still has pods")
    return None


def _held_for_its_service(situation: Situation, stable: Set) -> int:
    """The pod that a set keeps for as long as a Service selects it, where a surge leaves room for it."""
    surge, _ = spec.surge_and_unavailable(situation.rollout)
    return 1 if surge > 0 and attachment.referenced(situation, stable) is not None else 0
