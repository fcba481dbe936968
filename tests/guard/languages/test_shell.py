"""A script is read as its shell would take it apart: words, quotes, pipes, loops, here-documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.guard.languages import shell


def commands(text: str) -> list[tuple[str, list[str]]]:
    return [(found["name"], found["arguments"]) for found in shell.model(text)["commands"]]


def only(text: str, name: str) -> Any:
    (found,) = [command for command in shell.model(text)["commands"] if command["name"] == name]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c", [("a", ["b", "c"])]),
        ("a 'b c' \"d $e\" f\\ g", [("a", ["b c", "d $e", "f g"])]),
        ("a && b || c; d & e", [("a", []), ("b", []), ("c", []), ("d", []), ("e", [])]),
        ("if a; then b; else c; fi", [("a", []), ("b", []), ("c", [])]),
        ("f() {\n  a\n}\nf", [("a", []), ("f", [])]),
        ("/usr/bin/curl -s x # a comment", [("curl", ["-s", "x"])]),
        ("a \\\n  b", [("a", ["b"])]),
        ("X=1 Y='a b' run it", [("run", ["it"])]),
        ("sudo exec run it", [("run", ["it"])]),
        ("a > out 2>&1 < in b", [("a", ["b"])]),
        ("(cd x && a)", [("cd", ["x"]), ("a", [])]),
        ("a $((1 + 2)) ${b:-c}", [("a", ["$((1 + 2))", "${b:-c}"])]),
    ],
)
def test_commands_and_their_words(text: str, expected: list[tuple[str, list[str]]]) -> None:
    assert commands(text) == expected


def test_substitutions_are_commands_of_their_own() -> None:
    assert commands('a $(b "$(c d)") `e`') == [
        ("c", ["d"]),
        ("b", ["$(c d)"]),
        ("e", []),
        ("a", ['$(b "$(c d)")', "`e`"]),
    ]


def test_lines_are_those_of_the_text() -> None:
    found = shell.model("#!/bin/bash\n\na\nb 'x\ny'\nc $(d\ne)\n")["commands"]
    assert {command["name"]: command["line"] for command in found} == {"a": 3, "b": 4, "d": 6, "e": 7, "c": 6}


def test_who_is_piped_to_whom() -> None:
    found = shell.model("a | b |& c")["commands"]
    assert [(command["name"], command["to"]) for command in found] == [("a", "b"), ("b", "c"), ("c", "")]


@pytest.mark.parametrize(
    "text", ["if x; then y; fi", "x || y", "x && y", "! x", "while x; do y; done", "if a | x; then y; fi"]
)
def test_a_status_that_is_looked_at_is_guarded(text: str) -> None:
    assert only(text, "x")["guarded"]


def test_a_status_that_nobody_looks_at_is_not() -> None:
    assert not only("x; y", "x")["guarded"]
    assert not only("if a; then x; fi", "x")["guarded"]


def test_options_of_the_shell_are_known_from_all_three_places() -> None:
    assert shell.model("#!/bin/bash -eu\nset -o pipefail\n")["options"] == ["errexit", "nounset", "pipefail"]
    assert shell.model("a", options=("-ec",))["options"] == ["errexit"]


def test_what_is_expanded_outside_of_quotes_is_bare() -> None:
    assert only('rm "$a" $b \'$c\' ${d:?} "${e}"', "rm")["bare"] == ["b", "d"]
    assert only('rm "$a" ${d:?}', "rm")["unset"] == ["a"]
    assert only("a=/tmp/x; rm $a", "rm")["unset"] == []


def test_a_here_document_is_text_until_its_mark() -> None:
    found = shell.model("cat <<EOF\nnot a command\nEOF\nb\n")
    assert [command["name"] for command in found["commands"]] == ["cat", "b"]
    assert found["documents"] == [{"mark": "EOF", "line": 1, "closed": True, "indented": 0}]


def test_a_mark_that_is_indented_ends_nothing_but_with_a_dash_tabs_may_stand_before_it() -> None:
    assert shell.model("cat <<EOF\nx\n  EOF\nb\n")["documents"] == [
        {"mark": "EOF", "line": 1, "closed": False, "indented": 3}
    ]
    assert shell.model("cat <<-'EOF'\nx\n\tEOF\nb\n")["documents"][0]["closed"]


@pytest.mark.parametrize(
    ("text", "bounded"),
    [
        ("until a; do sleep 1; done", False),
        ("while true; do sleep 1; done", False),
        ("until a; do n=$((n+1)); [ $n -gt 9 ] && exit 1; sleep 1; done", True),
        ("while [ $n -lt 9 ]; do n=$((n+1)); sleep 1; done", True),
        ("for i in 1 2 3; do sleep 1; done", True),
        ("while read -r line; do a; done", True),
    ],
)
def test_loops_that_nothing_ends_are_known(text: str, bounded: bool) -> None:
    assert [loop["bounded"] for loop in shell.model(text)["loops"]] == [bounded]


@given(st.text(alphabet="ab$(){}[]'\"`\\|&;<>!#=\n\t -EOFifdonewhl01", max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    lines = text.count("\n") + 1
    assert all(1 <= command["line"] <= lines for command in shell.model(text)["commands"])


@pytest.mark.parametrize(
    "piece", ["$(", "`", '"$(', "while ", "while a; do ", "<<A ", "${", "((", "'", "a|", "if ", "$((", "{ "]
)
def test_what_never_closes_takes_no_time(piece: str) -> None:
    shell.model(piece * (120_000 // len(piece)))
