from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import fieldset, schema

POD = schema.builtin("io.k8s.api.core.v1.Pod")


def _members(tree: fieldset.Tree, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, subtree in tree.items():
        if name != ".":
            path = (*prefix, name)
            found |= ({path} if fieldset.is_member(subtree) else set()) | _members(subtree, path)
    return found


def _tree(paths: set[tuple[str, ...]]) -> fieldset.Tree:
    result: fieldset.Tree = {}
    for path in paths:
        branch: fieldset.Tree = {"f:" + path[-1]: {}}
        for part in reversed(path[:-1]):
            branch = {"f:" + part: branch}
        result = fieldset.union(result, branch)
    return result


_sets = st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), max_size=6)


@settings(max_examples=200)
@given(_sets, _sets)
def test_trees_are_sets_of_paths(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> None:
    a, b = _tree(left), _tree(right)
    kept = orjson.dumps([a, b])
    named = [{tuple("f:" + part for part in path) for path in paths} for paths in (left, right)]
    assert _members(a) == named[0]
    assert _members(fieldset.union(a, b)) == named[0] | named[1]
    assert _members(fieldset.difference(a, b)) == named[0] - named[1]
    assert _members(fieldset.intersection(a, b)) == named[0] & named[1]
    assert orjson.dumps([a, b]) == kept


def test_an_applied_configuration_owns_its_leaves_items_and_entries() -> None:
    applied = {
        "metadata": {"labels": {"app": "web"}, "finalizers": ["x/y"]},
        "spec": {
            "containers": [{"name": "a", "ports": [{"containerPort": 80}], "command": ["x"], "resources": {}}],
            "tolerations": [{"key": "a"}],
            "nodeSelector": {"zone": "a"},
            "volumes": [],
        },
    }
    assert list(fieldset.paths(fieldset.from_applied(applied, POD))) == [
        '.metadata.finalizers[="x/y"]',
        ".metadata.labels.app",
        '.spec.containers[name="a"]',
        '.spec.containers[name="a"].command',
        '.spec.containers[name="a"].name',
        '.spec.containers[name="a"].ports[containerPort=80,protocol="TCP"]',
        '.spec.containers[name="a"].ports[containerPort=80,protocol="TCP"].containerPort',
        '.spec.containers[name="a"].resources',
        ".spec.nodeSelector",
        ".spec.tolerations",
    ]


def test_a_comparison_tells_added_modified_and_removed_apart() -> None:
    old = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
    new = {
        "metadata": {"labels": {"a": "9"}},
        "spec": {"containers": [{"name": "b"}, {"name": "a", "image": "y", "tty": True}]},
    }
    found = fieldset.compare(old, new, POD)
    assert list(fieldset.paths(found.added)) == [
        '.spec.containers[name="a"].tty',
        '.spec.containers[name="b"]',
        '.spec.containers[name="b"].name',
    ]
    assert list(fieldset.paths(found.modified)) == [".metadata.labels.a", '.spec.containers[name="a"].image']
    assert list(fieldset.paths(found.removed)) == [".metadata.labels.b"]


def test_moving_items_of_an_associative_list_changes_nothing() -> None:
    one, two = {"name": "a"}, {"name": "b"}
    found = fieldset.compare({"spec": {"containers": [one, two]}}, {"spec": {"containers": [two, one]}}, POD)
    assert found == ({}, {}, {})


def test_duplicates_in_a_live_list_are_tolerated() -> None:
    env: list[dict[str, Any]] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    container = {"name": "a", "env": env}
    tree = fieldset.whole({"spec": {"containers": [container]}}, POD)
    assert '.spec.containers[name="a"].env[name="A"].value' in set(fieldset.paths(tree))


_json = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from("xy"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.sampled_from("abc"), _json, max_size=3)


@settings(max_examples=150)
@given(_objects, _objects)
def test_a_comparison_and_its_reverse_mirror_each_other(old: Any, new: Any) -> None:
    forth, back = fieldset.compare(old, new, None), fieldset.compare(new, old, None)
    assert _members(forth.added) <= _members(back.removed)
    assert _members(forth.modified) == _members(back.modified)
    assert (forth == ({}, {}, {})) is (old == new)


@given(_objects)
def test_a_remembered_spec_has_the_fields_that_a_walk_finds(spec: Any) -> None:
    """With a schema and without one, the first time and again, short and too long to be remembered."""
    for padding in ("", "x" * fieldset.SPEC_BYTES_REMEMBERED):
        pod = {"metadata": {"labels": {"a": "b"}, "name": "p"}, "spec": {**_standing(spec), "hostname": padding}}
        for node in (POD, None):
            for _ in range(2):
                assert fieldset.of_created(pod, node) == fieldset.whole(pod, node, dots=False)


def _standing(spec: Any) -> dict[str, Any]:
    return {**spec, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}], "securityContext": {}}
