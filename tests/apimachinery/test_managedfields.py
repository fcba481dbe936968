import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import fieldset, managedfields, schema
from dabbawala.apimachinery.managedfields import Writer
from dabbawala.apimachinery.status import BadRequest, Conflict

DEPLOYMENT = schema.builtin("io.k8s.api.apps.v1.Deployment")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _writer(manager: str, seconds: int = 0, **more: Any) -> Writer:
    return Writer(manager, "apps/v1", NOW + timedelta(seconds=seconds), **more)


def _deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def _template(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def _apply(live: Any, applied: Any, manager: str, *, force: bool = False, seconds: int = 0, **more: Any) -> Any:
    kept = orjson.dumps([live, applied])
    result = managedfields.apply(live, applied, _writer(manager, seconds, **more), schema=DEPLOYMENT, force=force)
    assert orjson.dumps([live, applied]) == kept
    return _stored(result)


def _stored(obj: Any) -> Any:
    result = copy.deepcopy(obj)
    result["metadata"]["resourceVersion"] = "1"
    return result


def _update(live: Any, new: Any, manager: str, seconds: int = 0, **more: Any) -> Any:
    new = copy.deepcopy(new)
    new["metadata"]["managedFields"] = managedfields.update(live, new, _writer(manager, seconds, **more), DEPLOYMENT)
    return _stored(new)


def _owners(obj: Any) -> dict[str, list[str]]:
    return {
        f"{entry['manager']}/{entry['operation']}": list(fieldset.paths(entry["fieldsV1"]))
        for entry in obj["metadata"]["managedFields"]
    }


def test_a_created_object_belongs_to_its_creator() -> None:
    made = _update(None, _deployment(replicas=1, template=_template({"name": "a", "image": "x"})), "curl")
    assert made["metadata"]["managedFields"] == [
        {
            "manager": "curl",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:spec": {
                    "f:replicas": {},
                    "f:template": {
                        "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}}}}
                    },
                }
            },
        }
    ]


def test_an_update_takes_what_it_changes_from_everybody_else() -> None:
    made = _update(None, _deployment(replicas=1, paused=True), "a")
    changed = _deployment(replicas=2)
    after = _update(made, changed, "b", 5)
    assert _owners(after) == {"b/Update": [".spec.replicas"]}
    assert after["metadata"]["managedFields"][0]["time"] == "2026-01-01T00:00:05Z"


def test_an_update_that_changes_nothing_moves_no_time() -> None:
    made = _update(None, _deployment(replicas=1), "a")
    assert _update(made, made, "a", 9)["metadata"]["managedFields"] == made["metadata"]["managedFields"]


def test_subresources_have_entries_of_their_own() -> None:
    made = _update(None, _deployment(replicas=1), "a")
    status = {**made, "status": {"replicas": 1}}
    after = _update(made, status, "a", 1, subresource="status")
    assert [(entry["manager"], entry.get("subresource")) for entry in after["metadata"]["managedFields"]] == [
        ("a", None),
        ("a", "status"),
    ]


def test_an_empty_list_resets_the_managed_fields_and_no_list_keeps_them() -> None:
    made = _update(None, _deployment(replicas=1), "a")
    reset = copy.deepcopy(made)
    reset["metadata"]["managedFields"] = [{}]
    assert managedfields.update(made, reset, _writer("b"), DEPLOYMENT) == []
    absent = copy.deepcopy(made)
    del absent["metadata"]["managedFields"]
    kept = managedfields.update(made, absent, _writer("b"), DEPLOYMENT)
    assert kept == made["metadata"]["managedFields"]


def test_an_object_that_was_never_tracked_stays_untracked_until_it_is_applied() -> None:
    live = _stored(_deployment(replicas=1))
    assert managedfields.update(live, _deployment(replicas=2), _writer("a"), DEPLOYMENT) == []
    after = _apply(live, _deployment(paused=True), "a")
    assert _owners(after) == {"a/Apply": [".spec.paused"], "before-first-apply/Update": [".spec.replicas"]}


def test_at_most_ten_managers_by_update_are_kept() -> None:
    live = _update(None, _deployment(replicas=0), "m0")
    for number in range(1, 15):
        new = copy.deepcopy(live)
        new["metadata"].setdefault("labels", {})[f"l{number}"] = "x"
        live = _update(live, new, f"m{number}", number)
    entries = live["metadata"]["managedFields"]
    assert len(entries) == managedfields.MAX_UPDATE_MANAGERS
    assert entries[0]["manager"] == "ancient-changes"
    assert ".spec.replicas" in _owners(live)["ancient-changes/Update"]
    assert sum(len([path for path in paths if ".labels.l" in path]) for paths in _owners(live).values()) == 14


def test_apply_merges_with_what_others_own() -> None:
    one = _apply(None, _deployment(replicas=1, template=_template({"name": "a", "image": "x"})), "one")
    two = _apply(one, _deployment(template=_template({"name": "b"}, {"name": "a", "tty": True})), "two", seconds=5)
    assert two["spec"]["template"]["spec"]["containers"] == [{"name": "b"}, {"name": "a", "image": "x", "tty": True}]
    assert two["spec"]["replicas"] == 1
    assert '.spec.template.spec.containers[name="a"].tty' in _owners(two)["two/Apply"]
    assert '.spec.template.spec.containers[name="a"].image' in _owners(two)["one/Apply"]


def test_applied_items_keep_their_order_and_others_their_place() -> None:
    live = _update(None, _deployment(template=_template({"name": "a"}, {"name": "b"}, {"name": "c"})), "m")
    after = _apply(live, _deployment(template=_template({"name": "d"}, {"name": "b"})), "x")
    names = [item["name"] for item in after["spec"]["template"]["spec"]["containers"]]
    assert names == ["a", "d", "b", "c"]


def test_a_change_of_anothers_field_conflicts_in_the_words_of_upstream() -> None:
    live = _update(None, _deployment(replicas=1), "kubectl-client-side-apply")
    with pytest.raises(Conflict) as caught:
        _apply(live, _deployment(replicas=2), "ci")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
    )
    assert caught.value.details["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-client-side-apply" using apps/v1',
            "field": ".spec.replicas",
        }
    ]


def test_several_conflicts_are_listed_by_manager() -> None:
    live = _apply(None, _deployment(replicas=1), "one")
    live = _update(live, {**live, "spec": {"replicas": 1, "paused": True}}, "two", subresource="x")
    with pytest.raises(Conflict) as caught:
        _apply(live, _deployment(replicas=2, paused=False), "ci")
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.replicas\n'
        'conflicts with "two" with subresource "x" using apps/v1:\n- .spec.paused'
    )


def test_the_same_value_is_shared_without_conflict() -> None:
    live = _apply(None, _deployment(replicas=1), "one")
    after = _apply(live, _deployment(replicas=1), "two", seconds=3)
    assert _owners(after) == {"one/Apply": [".spec.replicas"], "two/Apply": [".spec.replicas"]}


def test_force_takes_the_field_over() -> None:
    live = _update(None, _deployment(replicas=1, paused=True), "one")
    after = _apply(live, _deployment(replicas=2), "two", force=True)
    assert after["spec"]["replicas"] == 2
    assert _owners(after) == {"two/Apply": [".spec.replicas"], "one/Update": [".spec.paused"]}


def test_what_is_no_longer_applied_goes_unless_somebody_else_owns_it() -> None:
    first = _deployment(replicas=1, paused=True, template=_template({"name": "a", "image": "x"}, {"name": "b"}))
    live = _apply(None, first, "one")
    live = _apply(live, _deployment(paused=True), "two", seconds=1)
    after = _apply(live, _deployment(template=_template({"name": "a"})), "one", seconds=2)
    assert after["spec"] == {"paused": True, "template": _template({"name": "a"})}


def test_defaults_inside_a_dropped_structure_go_with_it() -> None:
    live = _apply(None, _deployment(strategy={"type": "RollingUpdate"}, replicas=1), "one")
    live["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1}
    after = _apply(live, _deployment(replicas=1), "one")
    assert after["spec"] == {"replicas": 1}


def test_labels_that_became_empty_are_absent() -> None:
    with_labels = _deployment(replicas=1)
    with_labels["metadata"]["labels"] = {"a": "1"}
    live = _apply(None, with_labels, "one")
    after = _apply(live, _deployment(replicas=1), "one")
    assert "labels" not in after["metadata"]


def test_applying_the_same_again_changes_nothing_at_all() -> None:
    applied = _deployment(replicas=1, template=_template({"name": "a"}))
    live = _apply(None, applied, "one")
    assert _apply(live, applied, "one", seconds=60) == live


def test_status_is_not_owned_through_the_main_resource() -> None:
    applied = {**_deployment(replicas=1), "status": {"replicas": 5}}
    after = _apply(None, applied, "one", ignored=("status",))
    assert _owners(after) == {"one/Apply": [".spec.replicas"]}


def test_a_list_item_named_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match=r'\.spec\.template\.spec\.containers: duplicate entries for key \[name="a"\]'):
        _apply(None, _deployment(template=_template({"name": "a"}, {"name": "a"})), "one")


def test_kubectl_takes_over_what_it_had_applied_client_side() -> None:
    stated = _deployment(replicas=1)
    live = _deployment(replicas=1)
    live["metadata"]["annotations"] = {managedfields.LAST_APPLIED: orjson.dumps(stated).decode()}
    live = _update(None, live, "kubectl-client-side-apply")
    with pytest.raises(Conflict):
        _apply(live, _deployment(replicas=3), "somebody-else")
    after = _apply(live, _deployment(replicas=3), "kubectl", seconds=1)
    assert after["spec"]["replicas"] == 3
    assert orjson.loads(after["metadata"]["annotations"][managedfields.LAST_APPLIED])["spec"] == {"replicas": 3}


def test_kubectl_does_not_take_over_what_changed_since() -> None:
    live = _deployment(replicas=7)
    live["metadata"]["annotations"] = {managedfields.LAST_APPLIED: orjson.dumps(_deployment(replicas=1)).decode()}
    live = _update(None, live, "autoscaler")
    with pytest.raises(Conflict, match="autoscaler"):
        _apply(live, _deployment(replicas=3), "kubectl")


_values = st.sampled_from(["x", "y"])
_containers = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from(["image", "workingDir"]), _values), min_size=1, max_size=3
).map(lambda found: _template(*({"name": name, **fields} for name, fields in found.items())))
_labels = st.dictionaries(st.sampled_from("pqr"), _values, max_size=3)


@st.composite
def _applied(draw: Any) -> dict[str, Any]:
    spec = draw(st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 2), "template": _containers}))
    obj = _deployment(**spec)
    if labels := draw(_labels):
        obj["metadata"]["labels"] = labels
    return obj


_steps = st.lists(st.tuples(st.sampled_from(["one", "two"]), _applied()), min_size=1, max_size=5)


@settings(max_examples=120)
@given(_steps)
def test_after_any_forced_applies_the_object_holds_what_its_managers_last_said_and_nothing_else(steps: Any) -> None:
    live = None
    for number, (manager, applied) in enumerate(steps):
        live = _apply(live, applied, manager, force=True, seconds=number)
    manager, applied = steps[-1]
    again = _apply(live, applied, manager, seconds=99)
    assert again == live
    said = set(fieldset.paths(fieldset.from_applied(applied, DEPLOYMENT)))
    there = set(fieldset.paths(fieldset.from_applied({k: live[k] for k in live if k != "metadata"}, DEPLOYMENT)))
    there |= {f".metadata.labels.{key}" for key in live["metadata"].get("labels", {})}
    owned = {path for paths in _owners(live).values() for path in paths}
    server = {".apiVersion", ".kind", ".metadata.name"}
    assert {path for path in said if path not in server} <= owned
    empty = {path for path in there if path.endswith((".containers", ".spec", ".template"))}
    assert there - server - empty <= owned
