"""Who goes when an owner goes."""

from __future__ import annotations

from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.garbagecollector.plan import FOREGROUND, ORPHAN, Item, Owner, plan
from dabbawala.reconcile.plan import Delete, Patch


def item(name: str, *owners: str, blocks: bool = True, **metadata: Any) -> Item:
    references = [{"uid": owner, "name": owner, "kind": "X", "blockOwnerDeletion": blocks} for owner in owners]
    found: Object = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "3", **metadata}
    if references:
        found["ownerReferences"] = references
    return Item(core_v1.CONFIG_MAP, {"metadata": found})


LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def test_an_object_whose_owners_are_all_gone_is_deleted() -> None:
    (action,) = plan(item("a", "x", "y"), {"x": Owner.GONE, "y": Owner.GONE}, []).actions
    assert isinstance(action, Delete)
    assert (action.uid, action.propagation_policy) == ("a", "Background")


def test_one_live_owner_is_enough_and_dead_references_are_removed() -> None:
    (action,) = plan(item("a", "x", "y"), {"x": Owner.GONE, "y": Owner.SOLID}, []).actions
    assert isinstance(action, Patch)
    assert [ref["uid"] for ref in action.body["metadata"]["ownerReferences"]] == ["y"]
    assert plan(item("a", "y"), {"y": Owner.SOLID}, []).actions == ()


def test_dependents_of_an_owner_that_waits_are_deleted_in_the_foreground_if_they_have_dependents() -> None:
    (action,) = plan(item("a", "x"), {"x": Owner.WAITING}, [item("child", "a")]).actions
    assert isinstance(action, Delete)
    assert action.propagation_policy == "Foreground"
    (leaf,) = plan(item("b", "x"), {"x": Owner.WAITING}, []).actions
    assert isinstance(leaf, Delete)
    assert leaf.propagation_policy == "Background"


def test_owners_that_wait_for_each_other_do_not_block_each_other() -> None:
    waiting = item("child", "a", finalizers=[FOREGROUND], **LEAVING)
    unblock, action = plan(item("a", "child"), {"child": Owner.WAITING}, [waiting]).actions
    assert isinstance(unblock, Patch)
    assert unblock.body["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is False
    assert isinstance(action, Delete)


def test_an_owner_in_foreground_deletion_goes_when_nobody_blocks_it_any_more() -> None:
    owner = item("x", finalizers=[FOREGROUND, "other"], **LEAVING)
    assert plan(owner, {}, [item("a", "x")]).actions == ()
    (action,) = plan(owner, {}, [item("a", "x", blocks=False)]).actions
    assert isinstance(action, Patch)
    assert action.body["metadata"]["finalizers"] == ["other"]


def test_orphaning_frees_the_dependents_first() -> None:
    owner = item("x", finalizers=[ORPHAN], **LEAVING)
    free, release = plan(owner, {}, [item("a", "x")]).actions
    assert isinstance(free, Patch)
    assert isinstance(release, Patch)
    assert free.body["metadata"]["ownerReferences"] is None
    assert release.key.name == "x"
