import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import patch, schema
from dabbawala.apimachinery.status import BadRequest, Invalid

POD = schema.builtin("io.k8s.api.core.v1.Pod")
DEPLOYMENT = schema.builtin("io.k8s.api.apps.v1.Deployment")

_json = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.sampled_from("abcd"), _json, max_size=4)


@pytest.mark.parametrize(
    ("document", "change", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_examples_of_its_rfc(document, change, expected) -> None:
    assert patch.merge_patch(document, change) == expected


@settings(max_examples=80)
@given(_objects, _objects)
def test_the_created_merge_patch_leads_from_old_to_new_and_changes_neither(old, new) -> None:
    before = orjson.dumps([old, new])
    change = patch.create_merge_patch(old, new)
    assert patch.same(patch.merge_patch(old, change), new)
    assert patch.create_merge_patch(new, new) == {}
    assert orjson.dumps([old, new]) == before


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 9}], {"a": [9, 2]}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": {"~": 1}}, [{"op": "test", "path": "/a~1b/~0", "value": 1.0}], {"a/b": {"~": 1}}),
        ({"a": 1}, [{"op": "add", "path": "", "value": {"x": 1}}], {"x": 1}),
        ({"a": None}, [{"op": "test", "path": "/gone", "value": None}], {"a": None}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_json_patch_applies_each_operation(document, operations, expected) -> None:
    kept = copy.deepcopy(document)
    assert patch.json_patch(document, operations) == expected
    assert document == kept


def test_later_operations_change_neither_the_values_given_nor_what_was_copied() -> None:
    document = {"a": [1]}
    operations = [
        {"op": "add", "path": "/b", "value": [2]},
        {"op": "add", "path": "/b/-", "value": 3},
        {"op": "copy", "from": "/a", "path": "/c"},
        {"op": "add", "path": "/c/-", "value": 4},
        {"op": "move", "from": "/b", "path": "/d"},
        {"op": "add", "path": "/d/0", "value": 5},
    ]
    for _ in range(2):
        assert patch.json_patch(document, operations) == {"a": [1], "c": [1, 4], "d": [5, 2, 3]}
    assert document == {"a": [1]}


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "replace", "path": "/x", "value": 1}, "missing path: '/x'"),
        ({"op": "remove", "path": "/a/9"}, "missing path"),
        ({"op": "add", "path": "/x/y", "value": 1}, "missing path"),
        ({"op": "add", "path": "/a/9", "value": 1}, "out of bounds"),
        ({"op": "add", "path": "/a/01", "value": 1}, "out of bounds"),
        ({"op": "test", "path": "/a", "value": [2]}, "testing value /a failed"),
        ({"op": "test", "path": "/n", "value": True}, "testing value /n failed"),
        ({"op": "move", "from": "/a", "path": "/a/0"}, "into itself"),
    ],
)
def test_a_json_patch_that_does_not_apply_is_invalid_and_says_where(operation, message) -> None:
    with pytest.raises(Invalid, match=message):
        patch.json_patch({"a": [1], "n": 1}, [operation])


def test_copies_of_copies_are_refused_before_they_fill_the_memory() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(35)]
    with pytest.raises(Invalid, match=r"Unable to complete the copy, the accumulated size increase of copy is \d+, "):
        patch.json_patch({"a": ["x" * 40]}, doubling)
    inwards = [{"op": "copy", "from": "", "path": "/a"} for _ in range(400)]
    with pytest.raises(Invalid):
        patch.json_patch({"a": 1}, inwards)


def test_copies_within_the_limit_are_made_however_many_they_are() -> None:
    size = patch.COPIED_BYTES_MAX // 100 - 2
    copies = [{"op": "copy", "from": "/a", "path": f"/b{index}"} for index in range(100)]
    assert len(patch.json_patch({"a": "x" * size}, copies)) == 101
    with pytest.raises(Invalid, match=f"exceeding the limit {patch.COPIED_BYTES_MAX}"):
        patch.json_patch({"a": "x" * (size + 1)}, copies)


@pytest.mark.parametrize(
    "operations",
    [
        {},
        ["x"],
        [{"path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "fly", "path": ""}],
    ],
)
def test_what_is_no_json_patch_is_a_bad_request(operations) -> None:
    with pytest.raises(BadRequest):
        patch.json_patch({}, operations)


@settings(max_examples=80)
@given(_objects, _objects)
def test_a_strategic_merge_without_lists_to_merge_is_a_merge_patch(document, change) -> None:
    assert patch.strategic_merge(document, change, None) == patch.merge_patch(document, change)


def _pod(**spec):
    return {"spec": spec}


def _names(items):
    return [item["name"] for item in items]


def test_containers_merge_by_name_and_new_ones_come_first() -> None:
    live = _pod(containers=[{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}])
    kept = copy.deepcopy(live)
    change = _pod(containers=[{"name": "c", "tty": None}, {"name": "a", "image": "a:2", "env": [{"name": "Y"}]}])
    result = patch.strategic_merge(live, change, POD)["spec"]["containers"]
    assert _names(result) == ["c", "a", "b"]
    assert result[0] == {"name": "c"}
    assert result[1] == {"name": "a", "image": "a:2", "env": [{"name": "Y"}, {"name": "X", "value": "1"}]}
    assert live == kept


def test_an_item_can_be_deleted_and_a_list_replaced() -> None:
    live = _pod(containers=[{"name": "a"}, {"name": "b"}])
    gone = patch.strategic_merge(live, _pod(containers=[{"name": "a", "$patch": "delete"}]), POD)
    assert _names(gone["spec"]["containers"]) == ["b"]
    new = patch.strategic_merge(live, _pod(containers=[{"$patch": "replace"}, {"name": "z"}]), POD)
    assert _names(new["spec"]["containers"]) == ["z"]


def test_maps_can_be_replaced_and_emptied() -> None:
    live = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    replaced = patch.strategic_merge(live, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}, POD)
    assert replaced["metadata"]["labels"] == {"c": "3"}
    emptied = patch.strategic_merge(live, {"metadata": {"labels": {"$patch": "delete"}}}, POD)
    assert emptied["metadata"]["labels"] == {}


def test_scalar_lists_merge_as_sets_and_lose_what_the_directive_names() -> None:
    live = {"metadata": {"finalizers": ["a", "b", "c"]}}
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d", "a"]}}
    assert patch.strategic_merge(live, change, POD)["metadata"]["finalizers"] == ["d", "a", "c"]


def test_atomic_lists_are_replaced() -> None:
    live = _pod(tolerations=[{"key": "a"}])
    assert patch.strategic_merge(live, _pod(tolerations=[{"key": "b"}]), POD) == _pod(tolerations=[{"key": "b"}])


def test_the_order_asked_for_is_kept_and_the_servers_own_items_stay_in_place() -> None:
    live = _pod(containers=[{"name": "sidecar"}, {"name": "a"}, {"name": "b"}])
    change = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b"}]}}
    assert _names(patch.strategic_merge(live, change, POD)["spec"]["containers"]) == ["sidecar", "b", "a"]
    bare = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert _names(patch.strategic_merge(live, bare, POD)["spec"]["containers"]) == ["sidecar", "b", "a"]


def test_an_order_that_leaves_out_a_patched_item_is_refused() -> None:
    change = {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}
    with pytest.raises(BadRequest, match="doesn't match"):
        patch.strategic_merge(_pod(containers=[{"name": "a"}]), change, POD)


def test_retain_keys_clears_the_other_members_of_a_union() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patch.strategic_merge(live, change, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}
    volumes = _pod(volumes=[{"name": "v", "emptyDir": {}}])
    moved = _pod(volumes=[{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}])
    assert patch.strategic_merge(volumes, moved, POD) == _pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}])


def test_replace_strategy_of_the_schema_replaces_a_whole_map() -> None:
    budget = schema.builtin("io.k8s.api.policy.v1.PodDisruptionBudget")
    live = {"spec": {"selector": {"matchLabels": {"a": "1"}}}}
    change = {"spec": {"selector": {"matchLabels": {"b": "2"}}}}
    assert patch.strategic_merge(live, change, budget) == change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pod(containers=[{"image": "x"}]), "does not contain declared merge key: name"),
        (_pod(containers=["x", {"name": "b"}]), "is no object"),
        ({"spec": {"$patch": "shred"}}, "Unknown patch type found: shred"),
        ({"spec": {"$retainKeys": ["a"], "b": 1}}, "does not list the field 'b'"),
        ([1], "is an object"),
    ],
)
def test_a_strategic_patch_that_contradicts_itself_is_refused(change, message) -> None:
    with pytest.raises(BadRequest, match=message):
        patch.strategic_merge(_pod(containers=[{"name": "a"}]), change, POD)


_containers = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5).map(
    lambda found: [{"name": n} for n in found]
)


@settings(max_examples=100)
@given(_containers, _containers)
def test_a_merged_list_has_everything_once_and_the_patch_in_its_own_order(live, change) -> None:
    result = _names(patch.strategic_merge(_pod(containers=live), _pod(containers=change), POD)["spec"]["containers"])
    assert sorted(result) == sorted({*_names(live), *_names(change)})
    assert [name for name in result if name in _names(change)] == _names(change)
    untouched = [name for name in _names(live) if name not in _names(change)]
    assert [name for name in result if name in untouched] == untouched
