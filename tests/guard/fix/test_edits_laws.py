"""Laws of edits, over random objects in random handwriting: the text says what was meant, and the rest stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dabbawala.guard import documents
from dabbawala.guard.documents import Document
from dabbawala.guard.fix.changes import REMOVED, Change, Impossible, changed, same, shown
from dabbawala.guard.fix.rewriting import Rewritten, Wish, rewrite
from tests.guard.fix.styles import Hand, as_json, comments

WORDS = st.sampled_from(
    [
        "a",
        "web",
        "no",
        "1",
        "x y",
        "a: b",
        "# no",
        "multi\nline\n",
        "two\nlines",
        "",
        "é",
        "25%",
        "*a",
        "\t",
        "0x1",
        "~",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 99) | st.sampled_from([1.5, 2**60]) | WORDS
KEYS = st.sampled_from(["a", "b", "c", "name", "x.y/z", "on", "image", "key with space"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.fixed_dictionaries({"apiVersion": st.just("v1"), "kind": st.just("K"), "spec": VALUES, "z": VALUES})
COMMENT, BARE = re.compile(r"\s*#"), re.compile(r"\s*(-\s*)*(#.*)?$")
FEW, MANY = 150, 5_000


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def changes(draw: st.DrawFn, obj: Any) -> Change:
    path = draw(st.sampled_from(list(places(obj))))
    kind = draw(st.sampled_from(["remove", "write", "add"]))
    if kind == "remove":
        return Change(path, REMOVED)
    found = obj
    for part in path:
        found = found[part]
    if kind == "add" and isinstance(found, list):
        path = (*path, len(found))
    elif kind == "add" and (found is None or isinstance(found, dict)):
        path = (*path, "new", *draw(st.sampled_from([(), ("deep",), ("deep", "er")])))
    return Change(path, draw(VALUES))


@st.composite
def edited(draw: st.DrawFn, *, anchors: bool) -> tuple[str, list[Any], Wish]:
    """A text of one to three documents, their objects, and a change of one of them."""
    objects = draw(st.lists(OBJECTS, min_size=1, max_size=3))
    seed = draw(st.integers(0, 2**32))
    if not anchors and len(objects) == 1 and seed % 5 == 0:
        text = as_json(objects[0], seed)
    else:
        parts = [Hand(seed + at, anchors=anchors, label=f"{at}-").write(obj) for at, obj in enumerate(objects)]
        text = "---\n".join([part if part.endswith("\n") else f"{part}\n" for part in parts[:-1]] + parts[-1:])
    reading = documents.read("a.yaml", text.encode())
    assume(not reading.problems and len(reading.documents) == len(objects))
    index = draw(st.integers(0, len(objects) - 1))
    return text, objects, Wish(index, draw(changes(objects[index])))


def check(text: str, objects: list[Any], wish: Wish) -> Rewritten:
    """The law itself: what is meant is what is read, and nothing else is different."""
    before = documents.read("a.yaml", text.encode()).documents
    assert all(same(document.object, obj) for document, obj in zip(before, objects, strict=True))
    try:
        meant = changed(objects[wish.document], [wish.change])
    except Impossible:
        assert rewrite("a.yaml", text, [wish]).text == text
        assume(False)
    done = rewrite("a.yaml", text, [wish])
    after = documents.read("a.yaml", done.text.encode())
    wanted = list(objects)
    if done.refused:
        assert done.text == text
    else:
        wanted[wish.document] = meant
    assert not after.problems
    assert all(same(document.object, obj) for document, obj in zip(after.documents, wanted, strict=True))
    if "&a" not in text:  # what an alias stands for has its place elsewhere
        check_the_rest(text, before[wish.document], wish.change, done.text)
    return done


def check_the_rest(text: str, document: Document, change: Change, after: str) -> None:
    """Lines outside the value that holds the changed one are identical; comments go only with what they are about."""
    old, new = text.split("\n"), after.split("\n")
    head = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    around = document.position(shown(change.path[:-1]))
    assert head + 1 >= _top(old, change.path[:-1], around.line) - 1
    tail = next(
        (at for at, (a, b) in enumerate(zip(old[::-1], new[::-1], strict=False)) if a != b), min(len(old), len(new))
    )
    assert len(old) - tail <= around.end_line + _comments_below(old, around.end_line) + 1
    lost = [comment for comment in comments(text) if comment not in comments(after)]
    assert comments(after) == [comment for comment in comments(text) if comment not in lost]
    target = document.position(shown(change.path))
    if not target.exact:
        assert not lost
    first = _top(old, change.path, target.line)
    last = target.end_line + _comments_below(old, target.end_line)
    siblings = document.value(shown(change.path[:-1]))
    if change.removes and len(siblings) == 1:  # brackets that nothing stays in are written anew
        first, last = min(first, around.line), max(last, around.end_line)
    if not isinstance(siblings, list) or not any(same(one, siblings[at - 1]) for at, one in enumerate(siblings) if at):
        assert set(lost) <= set(comments("\n".join(old[first - 1 : last])))  # of equal items any may go


def _top(lines: list[str], path: tuple[str | int, ...], number: int) -> int:
    """The first line that is about an entry: of its comments, or of its dash where that has a line of its own."""
    above = BARE if path and isinstance(path[-1], int) else COMMENT
    while number > 1 and above.match(lines[number - 2]):
        number -= 1
    return number


def _comments_below(lines: list[str], number: int) -> int:
    found = 0
    while number + found < len(lines) and lines[number + found].strip()[:1] in ("#", ""):
        found += 1
    return found


@settings(max_examples=FEW)
@given(edited(anchors=False))
def test_any_change_of_any_text_is_made_and_nothing_else(case: tuple[str, list[Any], Wish]) -> None:
    done = check(*case)
    assert not done.refused


@settings(max_examples=FEW)
@given(edited(anchors=True))
def test_where_anchors_are_shared_an_edit_is_right_or_refused(case: tuple[str, list[Any], Wish]) -> None:
    done = check(*case)
    assert all("anchor" in refusal.reason for refusal in done.refused)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=MANY)
@given(edited(anchors=False))
def test_any_change_of_any_text_is_made_long(case: tuple[str, list[Any], Wish]) -> None:
    assert not check(*case).refused


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=MANY)
@given(edited(anchors=True))
def test_where_anchors_are_shared_long(case: tuple[str, list[Any], Wish]) -> None:
    check(*case)
