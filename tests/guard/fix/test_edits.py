"""An edit changes the words that it is about, in every style of YAML that people write, and no other byte."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dabbawala.guard import documents
from dabbawala.guard.fix.changes import REMOVED, Change, changed, same
from dabbawala.guard.fix.rewriting import Refusal, Wish, rewrite

HEAD = "apiVersion: v1\nkind: Pod\n"


class Style(NamedTuple):
    """A text (below HEAD), a change, and the text that it must become."""

    why: str
    before: str
    path: tuple[str | int, ...]
    value: Any
    after: str


STYLES = [
    Style("a word", "spec:\n  hostPID: true\n", ("spec", "hostPID"), False, "spec:\n  hostPID: false\n"),
    Style("a word with a comment behind it", "spec:\n  hostPID: true   # why\t!\n  a: b\n", ("spec", "hostPID"), False,
          "spec:\n  hostPID: false   # why\t!\n  a: b\n"),
    Style("a word in quotes", "spec: {a: 'x', b: \"y\"}\n", ("spec", "a"), "no", 'spec: {a: "no", b: "y"}\n'),
    Style("a word of YAML 1.1", "spec:\n  a: yes\n", ("spec", "a"), False, "spec:\n  a: false\n"),
    Style("a word with a tag", "spec:\n  a: !!str true # t\n", ("spec", "a"), True, "spec:\n  a: true # t\n"),
    Style("a text over several lines", "spec:\n  a: one\n    two\n  b: 1\n", ("spec", "a"), "x",
          "spec:\n  a: x\n  b: 1\n"),
    Style("a literal text", "spec:\n  a: |  # lines\n    one\n    # two\n\n  b: 1\n", ("spec", "a"), 1,
          "spec:\n  a: 1\n\n  b: 1\n"),
    Style("a field behind a literal text", "spec:\n  a: |\n    one\n\n# end\n", ("spec", "b"), True,
          "spec:\n  a: |\n    one\n  b: true\n\n# end\n"),
    Style("a field behind a literal text that keeps its newlines", "spec:\n  c: 0\n  a: |+\n    one\n\n", ("spec", "b"),
          True, "spec:\n  c: 0\n  b: true\n  a: |+\n    one\n\n"),
    Style("a new field", "spec:\n    a: 1 # a\n    # more\nmore: 1\n", ("spec", "b"), True,
          "spec:\n    a: 1 # a\n    b: true\n    # more\nmore: 1\n"),
    Style("a new field below comments that belong deeper", "spec:\n  c:\n    - x\n    # - y\n\n# end\n", ("spec", "b"),
          1, "spec:\n  c:\n    - x\n    # - y\n  b: 1\n\n# end\n"),
    Style("new parents", "spec:\n  boxes:\n  - name: a\n", ("spec", "boxes", 0, "sc", "caps", "drop"), ["ALL"],
          "spec:\n  boxes:\n  - name: a\n    sc:\n      caps:\n        drop: [ALL]\n"),
    Style("new parents, indented as the file is", "spec:\n    a:\n        b: 1\n", ("spec", "c", "d"), {"e": 1},
          "spec:\n    a:\n        b: 1\n    c:\n        d:\n            e: 1\n"),
    Style("a list of mappings", "spec:\n  a:\n  - x\n", ("spec", "b"), [{"c": 1, "d": [{"e": 2}]}, {"c": 3}],
          "spec:\n  a:\n  - x\n  b:\n  - c: 1\n    d:\n    - e: 2\n  - c: 3\n"),
    Style("nothing at all behind a key", "spec:\n  sc: # none yet\n  a: 1\n", ("spec", "sc", "b"), True,
          "spec:\n  sc: # none yet\n    b: true\n  a: 1\n"),
    Style("nothing at the end of the file", "spec:", ("spec", "b"), True, "spec:\n  b: true"),
    Style("nothing becomes a word", "spec:\n  a:\n  b: 1\n", ("spec", "a"), "x", "spec:\n  a: x\n  b: 1\n"),
    Style("an explicit null", "spec:\n  sc: ~  # none\n", ("spec", "sc", "b"), 1, "spec:\n  sc:  # none\n    b: 1\n"),
    Style("empty braces", "spec:\n  sc: {} # none\n", ("spec", "sc", "b"), 1, "spec:\n  sc: # none\n    b: 1\n"),
    Style("a new field in braces", "spec: {a: 1}\n", ("spec", "b", "c"), ["x"], "spec: {a: 1, b: {c: [x]}}\n"),
    Style("a new field in braces over lines", "spec: {\n  a: 1, # a\n  b: 2 # b\n}\n", ("spec", "c"), 3,
          "spec: {\n  a: 1, # a\n  b: 2, # b\n  c: 3\n}\n"),
    Style("a comma at the end", "spec: {\n  a: 1,\n}\n", ("spec", "c"), 3, "spec: {\n  a: 1,\n  c: 3\n}\n"),
    Style("no newline at the end", "spec:\n  a: 1", ("spec", "b"), 2, "spec:\n  a: 1\n  b: 2"),
    Style("a key that must be quoted", "spec:\n  a: 1\n", ("spec", "on"), "yes", 'spec:\n  a: 1\n  "on": "yes"\n'),
    Style("an item at the end of a list", "spec:\n  a:\n    # x\n    - x # y\n  b: 1\n", ("spec", "a", 1),
          {"c": 1, "d": 2}, "spec:\n  a:\n    # x\n    - x # y\n    - c: 1\n      d: 2\n  b: 1\n"),
    Style("an item at the end of brackets", "spec: [a, b]\n", ("spec", 2), "c: d", 'spec: [a, b, "c: d"]\n'),
    Style("a list that is another one", "spec:\n  drop:\n  - A # a\n  - B\n  x: 1\n", ("spec", "drop"), ["ALL"],
          "spec:\n  drop:\n  - ALL\n  x: 1\n"),
    Style("a mapping that becomes a word", "spec:\n  a: # head\n    b: 1\n    c: 2\nd: 1\n", ("spec", "a"), "x",
          "spec:\n  a: x # head\nd: 1\n"),
    Style("a word that becomes a mapping", "spec:\n  a: x # head\n  d: 1\n", ("spec", "a"), {"b": 1},
          "spec:\n  a: # head\n    b: 1\n  d: 1\n"),
    Style("a removed field and its comments", "spec:\n  a: 1\n\n  # about b\n  b: # b\n    c: 1\n    # in b\n  # of d\n"
          "  d: 1\n", ("spec", "b"), REMOVED, "spec:\n  a: 1\n\n  # of d\n  d: 1\n"),
    Style("the first field behind a dash", "spec:\n- a: 1 # a\n  b: 2\n", ("spec", 0, "a"), REMOVED, "spec:\n- b: 2\n"),
    Style("the first field behind a dash, a comment below", "spec:\n- a: 1\n  # of b\n  b: 2\n", ("spec", 0, "a"),
          REMOVED, "spec:\n-\n  # of b\n  b: 2\n"),
    Style("the only field", "spec:\n  sc: # head\n    a: 1\nb: 1\n", ("spec", "sc", "a"), REMOVED,
          "spec:\n  sc: {} # head\nb: 1\n"),
    Style("the only field behind a dash", "spec:\n- a: 1\n- b: 2\n", ("spec", 0, "a"), REMOVED,
          "spec:\n- {}\n- b: 2\n"),
    Style("the last field of a file without newline", "spec:\n  a: 1\n  b: 2", ("spec", "b"), REMOVED, "spec:\n  a: 1"),
    Style("a removed item", "spec:\n  - a\n  # about b\n  - b: 1\n    c: 2 # c\n  - d\n", ("spec", 1), REMOVED,
          "spec:\n  - a\n  - d\n"),
    Style("the only item", "spec:\n  a:\n  - b: 1\n    c: 2\n  d: 1\n", ("spec", "a", 0), REMOVED,
          "spec:\n  a: []\n  d: 1\n"),
    Style("an item of a list in a list", "spec:\n- - a\n  - b\n", ("spec", 0, 0), REMOVED, "spec:\n- - b\n"),
    Style("the first in braces", "spec: {a: 1, b: 2}\n", ("spec", "a"), REMOVED, "spec: {b: 2}\n"),
    Style("the last in braces", "spec: {a: 1, b: 2}\n", ("spec", "b"), REMOVED, "spec: {a: 1}\n"),
    Style("the only one in braces", "spec: { a: 1 } # x\n", ("spec", "a"), REMOVED, "spec: {} # x\n"),
    Style("an item of brackets over lines", "spec: [\n  a,\n  b, # b\n  c\n]\n", ("spec", 1), REMOVED,
          "spec: [\n  a,\n  c\n]\n"),
    Style("the last of brackets over lines", "spec: [\n  a, # a\n  b # b\n]\n", ("spec", 1), REMOVED,
          "spec: [\n  a, # a # b\n]\n"),
    Style("an alias that becomes a word", "x: &x true\nspec:\n  a: *x # a\n", ("spec", "a"), False,
          "x: &x true\nspec:\n  a: false # a\n"),
    Style("an anchor that nobody uses", "spec: &s\n  a: 1\n", ("spec", "a"), 2, "spec: &s\n  a: 2\n"),
    Style("a field behind an anchor", "spec: &s\n  a: 1\n", ("spec", "b"), 2, "spec: &s\n  a: 1\n  b: 2\n"),
    Style("what comes by a merge key", "x: &x {a: true}\nspec:\n  <<: *x\n  b: 1\n", ("spec", "a"), False,
          "x: &x {a: true}\nspec:\n  <<: *x\n  b: 1\n  a: false\n"),
    Style("what only comes by a merge key", "x: &x\n  a:\n    b: 1\nspec:\n  <<: *x\n", ("spec", "a", "c"), 2,
          "x: &x\n  a:\n    b: 1\nspec:\n  <<: *x\n  a:\n    b: 1\n    c: 2\n"),
    Style("characters beyond ASCII", "spec:\n  a: é # ü\n", ("spec", "b"), "जय\t", 'spec:\n  a: é # ü\n  b: "जय\\t"\n'),
    Style("directly below the dashes of the document", "spec:\n  a: 1\n...\n", ("spec", "b"), 2,
          "spec:\n  a: 1\n  b: 2\n...\n"),
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES, ids=[style.why for style in STYLES])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_an_edit_is_written_as_the_file_is(style: Style, newline: str) -> None:
    before, after = ((HEAD + text).replace("\n", newline) for text in (style.before, style.after))
    done = rewrite("a.yaml", before, [Wish(0, Change(style.path, style.value))])
    assert not done.refused
    assert done.text == after


def pod(*containers: str) -> str:
    return HEAD + "containers:\n" + "".join(containers)


SHARED = pod("- name: a\n  sc: &sc\n    x: true # why\n", "- name: b\n  sc: *sc\n")


def test_an_anchor_is_edited_where_all_its_uses_get_the_same() -> None:
    wishes = [Wish(0, Change(("containers", index, "sc", "x"), False)) for index in (0, 1)]
    assert rewrite("a.yaml", SHARED, wishes).text == SHARED.replace("true # why", "false # why")


def test_an_edit_that_another_use_of_an_anchor_would_feel_is_refused_with_the_anchor() -> None:
    for index in (0, 1):
        wish = Wish(0, Change(("containers", index, "sc", "x"), False))
        done = rewrite("a.yaml", SHARED, [wish])
        assert done.text == SHARED
        assert done.refused == [
            Refusal(wish, "it is written at the anchor &sc (line 5), which other places use too")
        ]  # fmt: skip


def test_a_value_whose_anchor_is_used_elsewhere_is_not_removed() -> None:
    done = rewrite("a.yaml", SHARED, [Wish(0, Change(("containers", 0, "sc"), REMOVED))])
    assert done.text == SHARED
    assert done.refused[0].reason == "it is written at the anchor &sc (line 5), which other places use too"
    done = rewrite("a.yaml", SHARED, [Wish(0, Change(("containers", 0), REMOVED))])
    assert done.refused[0].reason == "the anchor &sc (line 5) is in it, which other places use too"


def test_one_refusal_spoils_no_other_edit() -> None:
    good = [Wish(0, Change(("containers", 0, "new"), 1)), Wish(0, Change(("kind",), "Job"))]
    bad = [Wish(0, Change(("containers", 0, "sc", "x"), 0)), Wish(0, Change(("kind", "deeper"), 1))]
    done = rewrite("a.yaml", SHARED, [bad[0], good[0], bad[1], good[1]])
    assert done.text == SHARED.replace("    x: true # why\n", "    x: true # why\n  new: 1\n").replace("Pod", "Job")
    assert done.made == good
    assert [refusal.reason for refusal in done.refused] == [
        "it is written at the anchor &sc (line 5), which other places use too",
        "kind is no mapping, so that deeper cannot stand in it",
    ]


def test_other_documents_stay_as_they_are() -> None:
    text = f"# first\n{HEAD}a: 1\n---\n# second\n{HEAD}a: 1 # x\n--- # third\n{HEAD}a: 1\n"
    done = rewrite("a.yaml", text, [Wish(1, Change(("a",), 2)), Wish(1, Change(("b",), 3))])
    assert done.text == text.replace("a: 1 # x\n", "a: 2 # x\nb: 3\n")


def test_the_items_of_a_list_are_documents_of_their_own() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  apiVersion: v1\n  a: 1\n- kind: Pod\n  apiVersion: v1\n"
    done = rewrite("a.yaml", text, [Wish(0, Change(("a",), 2)), Wish(1, Change(("b",), 3))])
    assert done.text == text.replace("a: 1", "a: 2") + "  b: 3\n"


def test_a_list_whose_items_have_no_kind_of_their_own_gives_them_none() -> None:
    text = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n"
    assert rewrite("a.yaml", text, [Wish(0, Change(("spec", "b"), 1))]).text == text + "  spec:\n    b: 1\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_json_stays_json_and_gives_each_field_its_line_where_it_did(newline: str) -> None:
    text = '{\n  "kind": "Pod", "apiVersion": "v1",\n  "spec": {\n    "a": true,\n    "b": []\n  }\n}\n'
    wishes = [Wish(0, Change(("spec", "a"), False)), Wish(0, Change(("spec", "c", "d"), ["é"]))]
    after = text.replace("true", "false").replace(
        '    "b": []\n', '    "b": [],\n    "c": {\n      "d": ["é"]\n    }\n'
    )
    for name in ("a.json", "a.yaml"):
        assert rewrite(name, text.replace("\n", newline), wishes).text == after.replace("\n", newline)


def test_json_on_one_line_stays_on_one_line() -> None:
    text = '{"kind": "Pod", "apiVersion": "v1", "spec": {"a": 1}}{"kind": "Pod", "apiVersion": "v1"}'
    done = rewrite("a.json", text, [Wish(0, Change(("spec", "b"), {"c": 1})), Wish(1, Change(("d",), "x"))])
    assert done.text == text.replace('{"a": 1}', '{"a": 1, "b": {"c": 1}}')[:-1] + ', "d": "x"}'


def test_several_edits_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    text = HEAD + "spec:\n  a: 1\n  list: [1, 2, 3]\n  b:\n    c: 1\n"
    asked = [
        Change(("spec", "a"), 2), Change(("spec", "new"), 1), Change(("spec", "list", 0), REMOVED),
        Change(("spec", "list", 2), 4), Change(("spec", "b", "c"), REMOVED),
    ]  # fmt: skip
    texts = {rewrite("a.yaml", text, [Wish(0, c) for c in order]).text for order in (asked, asked[::-1])}
    assert texts == {HEAD + "spec:\n  a: 2\n  list: [2, 4]\n  b: {}\n  new: 1\n"}


def test_what_would_not_read_as_it_was_meant_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(value: Any, *, quoted: bool) -> str:
        return "yes"

    monkeypatch.setattr("dabbawala.guard.fix.notation.inline", wrong)
    text = HEAD + "a: 1\n"
    done = rewrite("a.yaml", text, [Wish(0, Change(("a",), "yes"))])
    assert done.text == text
    assert "cannot be written without changing something else" in done.refused[0].reason


def test_a_file_with_a_broken_document_is_edited_in_the_others() -> None:
    text = f"{HEAD}a: 1\n---\na: [\n"
    assert rewrite("a.yaml", text, [Wish(0, Change(("a",), 2))]).text == text.replace("a: 1", "a: 2")


def test_a_change_is_made_in_a_copy_and_true_is_not_one() -> None:
    obj = {"a": {"b": 1}}
    assert changed(obj, [Change(("a", "b"), True)]) == {"a": {"b": True}}
    assert obj == {"a": {"b": 1}}
    assert not same({"a": True}, {"a": 1})
    (document,) = documents.read("a.yaml", (HEAD + "a: 1\n").encode()).documents
    assert rewrite("a.yaml", HEAD + "a: 1\n", [Wish(document.index, Change(("a",), True))]).text == HEAD + "a: true\n"
