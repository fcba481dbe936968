"""YAML from clients: what is JSON, what aliases may stand for, and how deep it may nest."""

from __future__ import annotations

import pytest

from dabbawala.apimachinery.status import BadRequest
from dabbawala.cluster.apiserver import rest_yaml
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, call

APPLY = "application/apply-patch+yaml"
HEAD = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def nested(levels: int, leaf: bytes = b"x", *, merged: bool = False) -> bytes:
    """Every level holds the one before ten times."""
    again = b"  z%d: {<<: [%s]}\n" if merged else b"  z%d: [%s]\n"
    first = b"{k: %s}" % leaf if merged else b"[%s]" % leaf
    lines = [b"data:\n  z0: &a0 " + first + b"\n"]
    for level in range(1, levels + 1):
        below = b",".join([b"*a%d" % (level - 1)] * 10)
        lines.append(again.replace(b": ", b": &a%d " % level, 1) % (level, below))
    return HEAD + b"".join(lines)


BOMBS = {
    "lists of lists": nested(10),
    "merged maps": nested(10, merged=True),
    "one long string": HEAD + b"data:\n  a: &a " + b"x" * 100_000 + b"\n  b: [" + b",".join([b"*a"] * 100) + b"]\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_aliases_that_stand_for_too_much_are_refused_by_every_verb(server: APIServer, bomb: str) -> None:
    for method, path, media in (
        ("POST", CONFIG_MAPS, "application/yaml"),
        ("PUT", f"{CONFIG_MAPS}/a", "application/yaml"),
        ("DELETE", f"{CONFIG_MAPS}/a", "application/yaml"),
        ("PATCH", f"{CONFIG_MAPS}/a?fieldManager=m", APPLY),
        ("PATCH", "/apis/apps/v1/namespaces/default/deployments/a/scale", "application/merge-patch+json"),
    ):
        answer = await call(server, method, path, BOMBS[bomb], content_type=media)
        assert (answer.status, answer.json["reason"]) == (400, "BadRequest"), method
        assert "document contains excessive aliasing" in answer.json["message"]


async def test_anchors_in_ordinary_use_work(server: APIServer) -> None:
    body = HEAD + b"data: &all\n  one: &text hello\n  two: *text\nlabels: {<<: *all, three: *text}\n"
    assert rest_yaml.parse(body)["labels"] == {"one": "hello", "two": "hello", "three": "hello"}
    body = HEAD + b"data:\n  one: &text hello\n  two: *text\n"
    for method, path, media in (
        ("POST", CONFIG_MAPS, "application/yaml"),
        ("PATCH", f"{CONFIG_MAPS}/a?fieldManager=m&force=true", APPLY),
    ):
        answer = await call(server, method, path, body, content_type=media)
        assert answer.json["data"] == {"one": "hello", "two": "hello"}


def test_a_document_without_aliases_has_no_limit_of_its_own() -> None:
    assert len(rest_yaml.parse(b"{" + b"a,b,c,d," * 1 + b"e}")) == 5
    dense = b"[" + b"'',1," * (rest_yaml.ALIASED_BYTES_MAX // 400) + b"&x 1,*x]"
    assert rest_yaml.parse(dense)[-2:] == [1, 1]


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{a: " * 100_000, b"- " * 100_000, b"? " * 100_000])
async def test_nesting_beyond_any_use_is_refused(server: APIServer, body: bytes) -> None:
    answer = await call(server, "POST", CONFIG_MAPS, body, content_type="application/yaml")
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


def test_nesting_within_bounds_is_read() -> None:
    depth = rest_yaml.DEPTH_MAX
    assert str(rest_yaml.parse(b"[a," * depth + b"]" * depth)).count("[") == depth
    with pytest.raises(BadRequest, match="exceeded max depth"):
        rest_yaml.parse(b"[a," * (depth + 1) + b"]" * (depth + 1))


@pytest.mark.parametrize(
    "body", [b"a: &a [*a]", b"a: &a {b: *a}", b"a: *nothing", b"a: 1\n---\nb: 2\n", b"a: !!binary aGk="]
)
def test_what_json_cannot_say_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="is not valid YAML"):
        rest_yaml.parse(body)


def test_json_sent_as_yaml_is_read_as_json() -> None:
    assert rest_yaml.parse(rb' {"a": 1e3, "b": "\ud83d\ude00", "c": "2026-01-01"}') == {
        "a": 1000.0, "b": "\N{GRINNING FACE}", "c": "2026-01-01",
    }  # fmt: skip


async def test_flow_yaml_is_yaml_and_its_duplicates_are_noticed(server: APIServer) -> None:
    flow = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: '1', a: '2'}}"
    url = f"{CONFIG_MAPS}/a?fieldManager=m&fieldValidation=Strict"
    answer = await call(server, "PATCH", url, flow, content_type=APPLY)
    assert answer.status == 400
    assert 'key "a" already set in map' in answer.json["message"]


async def test_a_doubled_key_behind_an_anchor_is_told_once(server: APIServer) -> None:
    body = HEAD + b"binaryData: {}\ndata: &d {k: a, k: b}\nimmutable: false\nunknown: [*d, *d, *d]\n"
    answer = await call(server, "POST", f"{CONFIG_MAPS}?fieldValidation=Strict", body, content_type="application/yaml")
    assert answer.json["message"].count('key "k" already set in map') == 1


def test_times_and_dates_stay_strings_as_everywhere_in_kubernetes() -> None:
    read = rest_yaml.parse(b"a: 22:30\nb: 1:30.5\nc: 2026-01-01\nd: 0x1f\ne: 1.5\nf: -12\n")
    assert read == {"a": "22:30", "b": "1:30.5", "c": "2026-01-01", "d": 31, "e": 1.5, "f": -12}
    with pytest.raises(BadRequest, match="base 60"):
        rest_yaml.parse(b"a: !!int 22" + b":30" * 500_000)
