"""What goes: fields of mappings and items of lists, cut out of the text with the comments that are about them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from dabbawala.guard.fix.pages import Page
from dabbawala.guard.fix.splices import Refused, Splice


class _Run(NamedTuple):
    """Neighbours among the children of a collection, from the first to the last."""

    children: Sequence[int]
    first: int
    last: int


def cut(page: Page, row: int, gone: Collection[int], *, is_flow: bool, early: bool) -> Iterator[Splice]:
    """Neighbours are cut as one, so that what separates them is cut once. `early`: the text gets its last newline."""
    children = page.children(row)
    if len(gone) == len(children):
        raise Refused("nothing of the collection would stay")
    first = 0
    for at, child in enumerate([*children, -1]):
        if child not in gone:
            if at > first:
                run = _Run(children, first, at - 1)
                yield _cut_flow(page, run) if is_flow else _cut_block(page, run, early=early)
            first = at + 1


def _cut_flow(page: Page, run: _Run) -> Splice:
    """Whole lines where entries have them; a comma may stay behind the last, where a comment follows it."""
    children, first, last = run
    begin, end = page.begin(children[first]), page.end(children[last])
    has_line = page.indentation(begin) is not None
    if last + 1 < len(children):
        following = page.begin(children[last + 1])
        if has_line and page.line_end(end) < following:
            return Splice(page.line_start(begin), page.next_line(end), "")
        return Splice(begin, following, "") if first == 0 else Splice(page.end(children[first - 1]), end, "")
    before = page.end(children[first - 1])
    if has_line and "#" in page.text[before : page.line_end(before)]:
        return Splice(page.line_end(before), end + page.text.startswith(",", end), "")
    return Splice(before, end, "")


def _cut_block(page: Page, run: _Run, *, early: bool) -> Splice:
    """Whole lines; of what begins behind a dash, everything up to what then stands there."""
    children, first, last = run
    begin, end = page.outset(children[first]), page.end(children[last])
    column = page.column(begin)
    if page.indentation(begin) is not None:
        start, last_line = page.above_comments(begin), page.past_comments(end, column)
        after = page.next_line(last_line)
        if page.text[last_line:after] or start == 0 or early:
            return Splice(start, after, "")
        return Splice(page.line_end(page.line_start(start - 1)), after, "")
    following = page.outset(children[last + 1])
    if not page.text[page.line_end(end) : following].strip():
        return Splice(begin, following, "")
    return Splice(page.back(begin), page.line_end(end), "")
