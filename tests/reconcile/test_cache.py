"""A cache and its indexes say the same as a look at every object would."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.cache import Cache

names = st.tuples(st.sampled_from("xy"), st.sampled_from("abcd"))


def make(namespace: str, name: str, revision: int, app: str, owner: str, node: str) -> Object:
    metadata = {
        "namespace": namespace,
        "name": name,
        "resourceVersion": str(revision),
        "labels": {"app": app} if app else {},
        "ownerReferences": [{"uid": owner}] if owner else [],
    }
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}}


steps = st.lists(
    st.tuples(names, st.sampled_from(["", "web", "db"]), st.sampled_from(["", "u1", "u2"]), st.sampled_from(["", "n"]),
              st.booleans()),
    max_size=30,
)  # fmt: skip


@settings(max_examples=80)
@given(steps)
def test_every_index_agrees_with_the_objects(changes: list[tuple[tuple[str, str], str, str, str, bool]]) -> None:
    cache, truth = Cache(), {}
    for revision, ((namespace, name), app, owner, node, gone) in enumerate(changes, start=1):
        obj = make(namespace, name, revision, app, owner, node)
        if gone:
            cache.remove(obj)
            truth.pop(meta.key(obj), None)
        else:
            cache.put(obj)
            truth[meta.key(obj)] = obj
        assert cache.revision == revision
        _agrees(cache, list(truth.values()))


def _agrees(cache: Cache, objects: list[Object]) -> None:
    def same(found: list[Object], wanted: list[Object]) -> bool:
        return sorted(map(meta.key, found)) == sorted(map(meta.key, wanted))

    web = [obj for obj in objects if meta.labels(obj).get("app") == "web"]
    assert same(cache.list(), objects)
    assert same(cache.list("x"), [obj for obj in objects if meta.namespace(obj) == "x"])
    assert same(cache.list(None, {"app": "web"}), web)
    assert same(
        cache.list("y", selectors.parse_label_selector("app in (web)")), [o for o in web if meta.namespace(o) == "y"]
    )
    assert same(cache.owned_by("u1"), [obj for obj in objects if meta.owner_references(obj) == [{"uid": "u1"}]])
    assert same(cache.where("spec.nodeName", "n"), [obj for obj in objects if obj["spec"].get("nodeName") == "n"])


def test_a_list_replaces_everything_and_tells_only_what_changed() -> None:
    cache = Cache()
    for name in "abc":
        cache.put(make("x", name, 1, "", "", ""))
    changes = list(cache.replace([make("x", "a", 1, "", "", ""), make("x", "b", 5, "", "", "")], 9))
    told = {(meta.name(change.object), change.old is None, change.new is None) for change in changes}
    assert told == {("b", False, False), ("c", False, True)}
    assert cache.revision == 9


def test_a_list_counts_only_when_it_is_in_whole() -> None:
    cache = Cache()
    cache.put(make("x", "a", 3, "", "", ""))
    changes = iter(cache.replace([make("x", name, 7, "", "", "") for name in "bc"], 9))
    for _ in range(3):
        next(changes)
        assert cache.revision == 3
    assert next(changes, None) is None
    assert cache.revision == 9


def test_the_list_of_a_restored_server_counts_although_its_revision_is_lower() -> None:
    cache = Cache()
    cache.put(make("x", "same", 4, "web", "", ""))
    cache.put(make("x", "other", 5, "web", "", ""))
    cache.advance(20)
    changes = list(cache.replace([make("x", "same", 4, "web", "", ""), make("x", "other", 5, "db", "", "")], 6))
    assert [meta.name(change.object) for change in changes] == ["other"], "the number is known, the state is not"
    assert cache.revision == 6
