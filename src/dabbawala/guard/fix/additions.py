"""What is new: fields and items behind those that their mapping or list has, and written as those are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dabbawala.guard.fix import notation
from dabbawala.guard.fix.pages import Page
from dabbawala.guard.fix.splices import Splice


def add(page: Page, row: int, behind: int, added: dict[str, Any]) -> Iterator[Splice]:
    """Fields of a mapping, behind one of its own."""
    if page.is_flow(row, added):
        yield from _add_flow(page, behind, list(added.items()))
        return
    column = page.column(page.begin(page.children(row)[0]))
    lines = [line for key, value in added.items() for line in notation.entry(key, value, column, page.habits)]
    yield _below(page, behind, column, lines)


def append(page: Page, row: int, items: Sequence[Any], *, is_flow: bool) -> Iterator[Splice]:
    last = page.children(row)[-1]
    if is_flow:
        yield from _add_flow(page, last, [(None, item) for item in items])
        return
    column = page.column(page.outset(page.children(row)[0]))
    yield _below(page, last, column, list(notation.block(list(items), column, page.habits)))


def _below(page: Page, row: int, column: int, lines: Sequence[str]) -> Splice:
    at = page.past_comments(page.end(row), column)
    newline = page.habits.newline
    return Splice(at, at, newline + newline.join(lines))


def _add_flow(page: Page, last: int, added: Sequence[tuple[str | None, Any]]) -> Iterator[Splice]:
    """Behind the last entry, on lines of their own where it has one."""
    end, indent = page.end(last), page.indentation(page.begin(last))
    quoted = page.text[page.begin(last) : page.begin(last) + 1] == '"' or page.habits.is_json
    if indent is None:
        words = [in_flow(page, key, value, quoted=quoted) for key, value in added]
        yield Splice(end, end, "".join(f", {word}" for word in words))
        return
    words = [in_flow(page, key, value, quoted=quoted, indent=indent) for key, value in added]
    line_end = page.line_end(end)
    behind = page.text[end:line_end].lstrip()
    newline = page.habits.newline
    text = f",{newline}{indent}".join(words)
    if behind.startswith(","):
        yield Splice(line_end, line_end, f"{newline}{indent}{text}")
    elif behind.startswith("#"):
        yield Splice(end, end, ",")
        yield Splice(line_end, line_end, f"{newline}{indent}{text}")
    else:
        yield Splice(end, end, f",{newline}{indent}{text}")


def in_flow(page: Page, key: str | None, value: Any, *, quoted: bool, indent: str | None = None) -> str:
    many = indent is not None and page.habits.is_json
    text = notation.json_lines(value, indent or "", page.habits) if many else notation.inline(value, quoted=quoted)
    return text if key is None else f"{notation.text_of(key, quoted=quoted)}: {text}"
