"""Labels and annotations that pods carry while their set plays a role, injected without a restart.

The set's template gets them for pods to come, its annotation remembers which they are, and live pods are patched.
Source: Argo Rollouts, rollout/ephemeralmetadata.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from dabbawala.api import apps_v1, core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import identity, keys, spec, state
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.sets import Set

FIELDS = ("labels", "annotations")


def wanted(situation: Situation, item: Set) -> Object:
    """What the pods of this set are to carry in its present role."""
    body, sets = spec.strategy(situation.rollout), situation.sets
    blue_green = spec.blue_green(situation.rollout) is not None
    stable = str(state.active_hash(situation.rollout) if blue_green else state.stable_hash(situation.rollout))
    names = ("activeMetadata", "previewMetadata") if blue_green else ("stableMetadata", "canaryMetadata")
    if item.hash == stable or (not stable and sets.new is not None and item.name == sets.new.name):
        return dict(body.get(names[0]) or {})
    if sets.new is not None and item.name == sets.new.name:
        return dict(body.get(names[1]) or {})
    return {}


def used(rollout: Object) -> bool:
    """The Rollout injects metadata, so its pods matter."""
    body = spec.strategy(rollout)
    return any(body.get(f"{role}Metadata") for role in ("active", "preview", "stable", "canary"))


def run(draft: Draft) -> None:
    """Bring every set that has pods, and those pods, to their role's metadata."""
    for item in draft.situation.sets.all:
        before, after = identity.ephemeral(item.object), wanted(draft.situation, item)
        if before != after and (item.spec or after):
            _template(draft, item, before, after)
        if after or before:
            _pods(draft, item, before, after)


def _template(draft: Draft, item: Set, before: Object, after: Object) -> None:
    change = _change((item.object["spec"]["template"].get("metadata") or {}), before, after)
    text = orjson.dumps(after, option=orjson.OPT_SORT_KEYS).decode() if after else None
    body: Object = {"metadata": {"annotations": {keys.EPHEMERAL_METADATA: text}}}
    if change:
        body["spec"] = {"template": {"metadata": change}}
    draft.act(Patch(apps_v1.REPLICA_SET, meta.key(item.object), body))


def _pods(draft: Draft, item: Set, before: Object, after: Object) -> None:
    for pod in draft.situation.world.pods:
        owner = meta.controller_of(pod)
        if owner is None or owner.get("uid") != meta.uid(item.object) or meta.is_deleting(pod):
            continue
        change = _change(meta.metadata(pod), before, after)
        if change:
            draft.act(Patch(core_v1.POD, meta.key(pod), {"metadata": change}))


def _change(current: Mapping[str, Any], before: Object, after: Object) -> Object:
    """A merge patch of metadata: what is to come, and None for what is to go."""
    change: Object = {}
    for field in FIELDS:
        has, old, new = current.get(field) or {}, before.get(field) or {}, after.get(field) or {}
        entries = {name: None for name in old if name not in new and name in has}
        entries |= {name: value for name, value in new.items() if has.get(name) != value}
        if entries:
            change[field] = entries
    return change
