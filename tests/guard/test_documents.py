"""Manifests become objects as kubectl would send them, and each field knows where it is written."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.guard import documents
from dabbawala.guard.documents import Document
from dabbawala.guard.findings import Problem

DEPLOYMENT = """\
# A web server.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app.kubernetes.io/name: web
spec:
  template:
    spec:
      initContainers:
        - name: prepare
          image: registry.example.com/prepare:1
      containers:
        - image: registry.example.com/web:1.2.3
          name: web
          command: ["sh", "-c", "sleep 1"]
        - name: proxy
          image: >-
            registry.example.com/proxy:2

      # nothing follows
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
"""


def read(text: str | bytes, file: str = "a.yaml") -> list[Document]:
    reading = documents.read(file, text.encode() if isinstance(text, str) else text)
    assert not reading.problems, reading.problems
    return reading.documents


def one(text: str) -> Any:
    return read(text)[0].object


def problem(text: str | bytes, file: str = "a.yaml") -> Problem:
    reading = documents.read(file, text.encode() if isinstance(text, str) else text)
    assert len(reading.problems) == 1, reading.problems
    found = reading.problems[0]
    assert found.message
    assert found.remedy
    assert found.place.file == file
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", True), ("on", True), ("y", True), ("No", False), ("OFF", False), ("n", False), ("true", True),
        ("~", None), ("", None), ("null", None), ("'yes'", "yes"), ('"1"', "1"), ("!!str 1", "1"), ("!!int '5'", 5),
        ("014", 12), ("0o14", 12), ("0x1F", 31), ("0b11", 3), ("-0x10", -16), ("1_000", 1000), ("+7", 7), ("08", 8),
        ("1e3", 1000), ("1.0", 1), ("1.5", 1.5), (".5", 0.5), ("-.5e1", -5), ("1.", 1), ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709551615), ("18446744073709551616", 18446744073709551616.0),
        ("2024-01-01", "2024-01-01"), ("22:30", "22:30"), ("2001-12-14t21:59:43.10-05:00",) * 2,
        ("100m", "100m"), ("1.2.3", "1.2.3"), ("-", None), ("truE", "truE"), ("0o9", "0o9"), ("1__", 1), ("_1", "_1"),
        ("!!binary aGVsbG8=", "hello"), ("!local 1", "1"), ("!!float 3", 3), ("- a", ["a"]), ("=", "="),
    ],
)  # fmt: skip
def test_plain_words_mean_what_they_mean_to_kubectl(written: str, meant: Any) -> None:
    if written == "-":
        meant = [None]
    value = one(f"a:\n  {written}\n")["a"]
    assert value == meant
    assert type(value) is type(meant)


def test_keys_become_names_as_in_json() -> None:
    assert one("on: 1\n5: 2\n1.5: 3\n") == {"true": 1, "5": 2, "1.5": 3}


@pytest.mark.parametrize("word", [".inf", "-.Inf", ".nan", "!!int x", "!!bool 1", "!!binary '%%%a'", "!!float yes"])
def test_values_that_json_cannot_hold_are_refused_where_they_stand(word: str) -> None:
    found = problem(f"kind: X\nspec:\n  a: {word}\n")
    assert (found.code, found.place.line) == ("yaml-value", 3)


def test_merge_keys_count_where_they_stand() -> None:
    base = "base: &base {a: 1, b: 1}\nother: &other {b: 2, c: 2}\n"
    assert one(base + "x: {<<: *base, b: 3}")["x"] == {"a": 1, "b": 3}
    assert one(base + "x: {b: 3, <<: *base}")["x"] == {"a": 1, "b": 1}
    assert one(base + "x: {<<: [*base, *other]}")["x"] == {"a": 1, "b": 1, "c": 2}
    assert one('x: {"<<": 1}')["x"] == {"<<": 1}
    assert problem("x: {<<: 1}").code == "yaml-merge"


def test_aliases_are_values_of_their_own() -> None:
    found = one("a: &x {b: [1]}\nc: *x\n")
    found["a"]["b"].append(2)
    assert found["c"] == {"b": [1]}
    assert one("&k key: v\nother: {*k : w}\nlast: *k\n") == {"key": "v", "other": {"key": "w"}, "last": "key"}


@pytest.mark.parametrize(
    ("path", "line", "column", "end"),
    [
        ("spec.template.spec.containers[web].image", 15, 11, (15, 48)),
        ("spec.template.spec.containers[0].image", 15, 11, (15, 48)),
        ("spec.template.spec.containers[web]", 15, 11, (17, 43)),
        ("spec.template.spec.containers[prepare].image", 13, 11, (13, 48)),
        ("spec.template.spec.containers[proxy].image", 19, 11, (20, 41)),
        ("spec.template.spec.containers[web].command[2]", 17, 33, (17, 42)),
        ("metadata.labels['app.kubernetes.io/name']", 7, 5, (7, 32)),
        ('metadata.labels["app.kubernetes.io/name"]', 7, 5, (7, 32)),
        ("metadata.labels[app.kubernetes.io/name]", 7, 5, (7, 32)),
        ("metadata.labels.app.kubernetes.io/name", 7, 5, (7, 32)),
        (".kind", 3, 1, (3, 17)),
        ("spec.template.spec", 10, 5, (20, 41)),
    ],
)
def test_a_field_is_found_where_it_is_written(path: str, line: int, column: int, end: tuple[int, int]) -> None:
    found = read(DEPLOYMENT)[0].position(path)
    assert (found.line, found.column, (found.end_line, found.end_column), found.exact) == (line, column, end, True)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("spec.template.spec.containers[web].securityContext.privileged", 15),
        ("spec.template.spec.containers[absent].image", 14),
        ("spec.template.spec.containers[7].image", 14),
        ("spec.template.spec.hostNetwork", 10),
        ("metadata.namespace", 4),
        ("status.phase", 2),
        ("spec.template.spec.containers[web].image.tag", 15),
    ],
)
def test_an_absent_field_is_where_its_nearest_ancestor_is(path: str, line: int) -> None:
    found = read(DEPLOYMENT)[0].position(path)
    assert (found.line, found.exact) == (line, False)


def test_positions_go_on_through_the_documents_of_a_file() -> None:
    service = read(DEPLOYMENT)[1]
    assert (service.index, service.line) == (1, 24)
    assert service.position("metadata.namespace")[:4] == (26, 23, 26, 38)
    assert service.source_line(26).startswith("metadata:")
    assert service.place("kind").line == 25


@pytest.mark.parametrize(
    "text", [DEPLOYMENT, '{"kind": "A", "b": [\n1]}', "kind: List\nitems:\n- {kind: A}\n- {b: 1}\n"]
)
@pytest.mark.parametrize("kept", [0, 1000])
def test_a_packed_document_says_the_same(text: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "ROWS_KEPT_MAX", kept)
    plain, packed = read(text), read(text)
    for one_of, other in zip(plain, packed, strict=True):
        other.pack()
        other.pack()
        assert other.object == one_of.object
        assert [other.position(path) for path in paths(one_of.object)] == [
            one_of.position(path) for path in paths(one_of.object)
        ]


def test_items_of_lists_keep_their_positions() -> None:
    text = "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  apiVersion: v1\n- kind: Node\n  metadata: {name: x}\n"
    pod, node = read(text)
    assert (pod.object["kind"], pod.line, node.line, node.position("metadata.name").line) == ("Pod", 4, 6, 7)
    typed = read(json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}))
    assert typed[0].object == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    reading = documents.read("a", b"kind: List\nitems:\n- 1\n- kind: Pod\n")
    assert (len(reading.documents), reading.problems[0].place.line) == (1, 3)


def test_a_field_from_a_merged_mapping_is_where_that_is_written() -> None:
    text = "x-base: &base\n  image: a\nspec:\n  <<: *base\n  name: b\nagain: *base\n"
    (document,) = read(text)
    assert document.object["spec"] == {"image": "a", "name": "b"}
    assert document.position("spec.image").line == 2
    assert document.position("spec.name").line == 5
    assert document.position("again.image").line == 2


def test_a_key_given_twice_is_reported_with_both_lines_and_the_last_one_counts() -> None:
    reading = documents.read("a.yaml", b"kind: X\nspec:\n  a: 1\n  b: 2\n  a: 3\n")
    assert reading.documents[0].object["spec"] == {"a": 3, "b": 2}
    assert reading.documents[0].position("spec.a").line == 5
    (found,) = reading.problems
    assert (found.code, found.place.line) == ("duplicate-key", 5)
    assert "line 3" in found.message
    reading = documents.read("a.json", b'{"kind": "X",\n "a": {"b": 1},\n "a": {"b": 2}}')
    assert (reading.problems[0].place.line, reading.documents[0].position("a.b").line) == (3, 3)


def test_a_bad_document_does_not_hide_its_neighbours() -> None:
    text = "kind: A\n---\nkind: 'B\n---\nkind: C\n--- # comment\n- 1\n---\nkind: D\n"
    reading = documents.read("a.yaml", text.encode())
    assert [document.object["kind"] for document in reading.documents] == ["A", "C", "D"]
    assert [(found.code, found.place.line) for found in reading.problems] == [("yaml-syntax", 4), ("not-an-object", 7)]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n# a\n---\n", "---\n...\n", "\ufeff"])
def test_nothing_is_nothing_and_no_problem(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    "data",
    [
        DEPLOYMENT.encode("utf-16"), DEPLOYMENT.encode("utf-8-sig"), DEPLOYMENT.encode("utf-32"),
        b"%YAML 1.1\n---\n" + DEPLOYMENT.encode(), DEPLOYMENT.replace("\n", "\r\n").encode(),
    ],
)  # fmt: skip
def test_encodings_directives_and_ends_of_lines_do_not_matter(data: bytes) -> None:
    found = read(data)
    assert [document.object for document in found] == [document.object for document in read(DEPLOYMENT)]
    shift = 2 if data.startswith(b"%") else 0
    assert found[1].position("metadata.namespace").line == 26 + shift


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n",
        "kind: Pod\n{{- if .Values.on }}\nspec: {}\n{{- end }}\n",
        "{{- range .Values.items }}\nkind: Pod\n{{- end }}\n",
    ],
)
def test_a_template_is_called_one_with_the_way_to_scan_it(text: str) -> None:
    found = problem(text)
    assert found.code == "template"
    assert "chart's folder" in found.remedy
    assert "{{" in text.splitlines()[found.place.line - 1]


def test_braces_in_quotes_are_no_template() -> None:
    assert one('a: "{{args.service}}"\n')["a"] == "{{args.service}}"


def test_json_may_stand_one_behind_the_other() -> None:
    text = '{"kind": "A", "a\\u0062": "\\ud83d\\ude00"}\n{"kind": "B",\n "spec": {"x": [1, {"name": "n", "y": 2}]}}'
    first, second = read(text, "a.json")
    assert first.object["ab"] == "\U0001f600"
    assert first.position("ab").column == 15
    assert second.position("spec.x[n].y")[:2] == (3, 34)
    assert problem('{"kind": "A",\n "b": }', "a.json").place.line == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=25,
)


def paths(value: Any, path: str = "") -> list[str]:
    found = [path] if path else []
    if isinstance(value, list):
        return found + [deep for index, item in enumerate(value) for deep in paths(item, f"{path}[{index}]")]
    if isinstance(value, dict):
        return found + [deep for key, item in value.items() for deep in paths(item, f"{path}[{key!r}]")]
    return found


@settings(max_examples=60)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), JSON, min_size=1, max_size=5))
def test_json_and_its_yaml_read_alike(value: dict[str, Any]) -> None:
    plain = orjson.loads(orjson.dumps(value))
    (as_json,) = read(json.dumps(plain), "a.json")
    assert as_json.object == plain
    (as_yaml,) = read(yaml.safe_dump(plain, default_style='"', allow_unicode=True))
    assert as_yaml.object == json.loads(json.dumps(plain), parse_float=_go_number)


def _go_number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


WORDS = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
NESTED = st.recursive(
    WORDS, lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(WORDS, inner, min_size=1, max_size=3)
)


@settings(max_examples=60)
@given(st.dictionaries(WORDS, NESTED, min_size=1, max_size=4), st.sampled_from([True, False, None]))
def test_every_field_of_any_document_has_its_exact_place(value: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, sort_keys=False)
    (document,) = read(text)
    for path in paths(document.object):
        found = document.position(path)
        assert found.exact
        lines = text.splitlines(keepends=True)
        cut = "".join(lines[found.line - 1 : found.end_line])
        tail = len(lines[found.end_line - 1]) - found.end_column + 1
        cut = cut[found.column - 1 : len(cut) - tail]
        assert cut == cut.strip()
        assert cut


def test_many_places_are_where_each_of_them_is() -> None:
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  labels: {a.b/c: d, e: f, g.h.i: j}\n  annotations: {a: b}\n"
        "spec:\n  initContainers:\n  - name: first.one\n    image: i\n    ports: [{name: p.q, containerPort: 1}]\n"
        "  containers:\n  - name: web\n    image: &i j\n    env: [{name: K, value: v}]\n  - {name: '0', image: *i}\n"
    )
    (document,) = documents.read("x.yaml", text.encode()).documents
    fields = ["name", "image", "ports[0].containerPort", "ports[p.q]", "env[K].value", "env[K].valueFrom.x", "x.y.z"]
    paths = [
        "", "spec", "spec.x", "spec.containers",
        "metadata.labels['a.b/c']", "metadata.labels.a.b/c", "metadata.labels.e", "metadata.labels.g.h.i",
        "metadata.labels.a.b/d", "metadata.labels.g.h.x", "metadata.annotations.a.b",
        "metadata.annotations[a]", "x.y.z", "spec..x", "[", "a]b.c",
        *(f"spec.containers[{name}].{field}" for name in ("web", "0", "1", "first.one", "none") for field in fields),
        *(f"spec.initContainers[{name}]" for name in ("web", "0", "first.one", "'first.one'")),
    ]  # fmt: skip
    for order in (paths, paths[::-1]):
        placing = document.placing()
        assert [placing(path) for path in order] == [document.place(path) for path in order]
