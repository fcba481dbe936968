"""`spec.restartAt`: every pod older than that moment is evicted, a few at a time, so that budgets hold.

Source: Argo Rollouts, rollout/restart.go.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods
from dabbawala.reconcile.plan import Evict
from dabbawala.rollout import spec, state
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.sets import Set

RETRY = timedelta(seconds=30)


def pending(rollout: Object, now: datetime) -> datetime | None:
    """The moment whose older pods must go; None when there is nothing to restart, or not yet."""
    wanted = rollout["spec"].get("restartAt")
    if not wanted:
        return None
    moment, done = clock.parse_time(wanted), state.of(rollout).get("restartedAt")
    return None if moment > now or (done and clock.parse_time(done) >= moment) else moment


def run(draft: Draft) -> None:
    """Evict as many as may be unavailable, in the order stable, new, others; note when all are done. Pods that serve
    nobody are evicted at once: nobody misses them, and they may be why somebody restarts."""
    rollout, now = draft.situation.rollout, draft.situation.now
    wanted = rollout["spec"].get("restartAt")
    if wanted and clock.parse_time(wanted) > now:
        draft.look_at(clock.parse_time(wanted))
    moment = pending(rollout, now)
    if moment is None:
        return
    old = [pod for item in draft.situation.sets.all for pod in _older(draft, item, moment)]
    if not old:
        draft.status["restartedAt"] = wanted
        return
    _, unavailable = spec.surge_and_unavailable(rollout)
    missing = sum(max(0, item.spec - _serving(draft, item)) for item in draft.situation.sets.all)
    staying = [pod for pod in old if not meta.is_deleting(pod)]
    idle = [pod for pod in staying if not pods.is_ready(pod)]
    busy = [pod for pod in staying if pods.is_ready(pod)]
    for pod in (*idle, *busy[: max(0, max(unavailable, 1) - missing)]):
        draft.act(Evict(meta.key(pod)))
    draft.block("Restarting", f"{len(old)} pods are older than {wanted}", now + RETRY)


def _serving(draft: Draft, item: Set) -> int:
    """Pods of the set that are available, by its status and by the pods themselves: either may be heard of later."""
    ready = sum(pods.is_ready(pod) and pods.is_active(pod) for pod in _of(draft, item))
    return min(item.available, ready)


def _of(draft: Draft, item: Set) -> list[Object]:
    uid = meta.uid(item.object)
    return [pod for pod in draft.situation.world.pods if (meta.controller_of(pod) or {}).get("uid") == uid]


def _older(draft: Draft, item: Set, moment: datetime) -> list[Object]:
    found = []
    for pod in _of(draft, item):
        created = meta.metadata(pod).get("creationTimestamp")
        if created and not pods.is_finished(pod) and clock.parse_time(str(created)) < moment:
            found.append(pod)
    return sorted(found, key=lambda pod: (str(meta.metadata(pod).get("creationTimestamp")), meta.name(pod)))
