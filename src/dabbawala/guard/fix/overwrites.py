"""What is written over: another value in the place of an old one, whichever way either of them is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dabbawala.guard.fix import additions, notation
from dabbawala.guard.fix.pages import Page
from dabbawala.guard.fix.splices import Splice


def replaced(page: Page, row: int, old: Any, new: Any, *, in_flow: bool) -> Iterator[Splice]:
    is_block = isinstance(old, dict | list) and not page.is_alias(row) and not page.is_flow(row, old)
    if in_flow or page.habits.is_json or (not is_block and notation.fits_a_line(new)):
        yield _over(page, row, _word(page, row, new))
    elif is_block:
        yield from _over_block(page, row, new)
    else:
        yield from _over_word(page, row, new)


def _word(page: Page, row: int, new: Any) -> str:
    if page.habits.is_json:
        return additions.in_flow(page, None, new, quoted=True, indent=page.indentation(page.begin(row)))
    return notation.inline(new, quoted=False)


def _over(page: Page, row: int, word: str) -> Splice:
    start, end = page.start(row), max(page.end(row), page.start(row))
    spaced = start == 0 or page.text[start - 1] in " \t\n[{("
    return Splice(start, end, word if spaced else f" {word}")


def _over_block(page: Page, row: int, new: Any) -> Iterator[Splice]:
    """What stands on the line of the key, its comment among it, stays."""
    head, start, end = page.head(row), page.outset(page.children(row)[0]), page.end(row)
    newline, fits = page.habits.newline, notation.fits_a_line(new)
    column = page.column(start)
    if page.line_end(head) >= start:  # it begins on the line of a dash
        text = newline.join(notation.block(new, column, page.habits)).lstrip(" ") if not fits else ""
        yield Splice(start, end, text or notation.inline(new, quoted=False))
        return
    if fits:
        yield Splice(head, head, f" {notation.inline(new, quoted=False)}")
        yield Splice(page.line_end(head), end, "")
        return
    if page.key(row) is not None and column <= page.column(page.begin(row)):  # a list no deeper than its key
        column += 0 if isinstance(new, list) else page.habits.step
    yield Splice(page.line_end(head), end, newline + newline.join(notation.block(new, column, page.habits)))


def _over_word(page: Page, row: int, new: Any) -> Iterator[Splice]:
    """A collection takes the place of a word, on the lines below it."""
    start, end = page.start(row), max(page.start(row), page.end(row))
    newline = page.habits.newline
    key = page.key(row)
    if key is None:  # it stands behind a dash
        dash = page.text[start - 1] == "-"
        lines = list(notation.block(new, page.column(start) + dash, page.habits))
        yield Splice(start, end, " " * dash + newline.join(lines).lstrip(" "))
        return
    step = page.habits.list_step if isinstance(new, list) else page.habits.step
    lines = list(notation.block(new, page.column(page.begin(row)) + step, page.habits))
    if end > start:
        yield Splice(page.back(start), end, "")
    line_end = page.line_end(end)
    yield Splice(line_end, line_end, newline + newline.join(lines))
