"""An edit: the places of a text that must be written otherwise so that its object becomes another one.

The two objects are compared, and only what differs is touched: a value is written over the old one, a field behind the
last of its mapping, what goes is cut out with the comments that are about it. All other bytes stay. Where aliases lead
to one place several times, the place is written once; whether every use agrees is for the reader of the result to say,
who compares it with the object that was meant. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dabbawala.guard.fix import additions, cuts, overwrites
from dabbawala.guard.fix.changes import same
from dabbawala.guard.fix.pages import Page
from dabbawala.guard.fix.splices import WAYS, Refused, Splice, Way


def edits(page: Page, row: int, old: Any, new: Any, *, way: Way = WAYS[0]) -> list[Splice]:
    """What makes the value `old` of a row into `new`. Raises Refused."""
    return list(_Edit(page, way).differing(row, old, new, in_flow=False))


class _Edit:
    """One comparison of an object with what it is to be."""

    def __init__(self, page: Page, way: Way) -> None:
        self._page = page
        self._way = way

    def differing(self, row: int, old: Any, new: Any, *, in_flow: bool) -> Iterator[Splice]:
        if same(old, new):
            return
        if isinstance(old, dict) and isinstance(new, dict) and new and (old.keys() & new.keys()):
            yield from self._mapping(row, old, new)
        elif isinstance(old, list) and isinstance(new, list) and old and new:
            yield from self._list(row, old, new)
        else:
            yield from overwrites.replaced(self._page, row, old, new, in_flow=in_flow)

    def _mapping(self, row: int, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Splice]:
        own = self._page.own(row)
        is_flow = self._page.is_flow(row, old)
        gone = {child for key, child in own.items() if key not in new}
        added = {key: value for key, value in new.items() if key not in old}
        if is_flow and gone and added:  # what separates them could not be told apart
            yield from overwrites.replaced(self._page, row, old, new, in_flow=True)
            return
        for key in [key for key in old if key in new and not same(old[key], new[key])]:
            child = own.get(key)
            if child is None and self._way.override:
                added[key] = new[key]
                continue
            child = child if child is not None else self._page.entry(row, key)
            if child is None:
                raise Refused(f"{key} cannot be found where it is written")
            yield from self.differing(child, old[key], new[key], in_flow=is_flow)
        yield from cuts.cut(self._page, row, gone, is_flow=is_flow, early=self._way.early)
        if added:
            kept = [child for child in self._page.children(row) if child not in gone]
            yield from additions.add(self._page, row, kept[0 if self._way.early else -1], added)

    def _list(self, row: int, old: list[Any], new: list[Any]) -> Iterator[Splice]:
        rows = self._page.children(row)
        is_flow = self._page.is_flow(row, old)
        if len(rows) != len(old):
            raise Refused("the items of the list cannot be told apart")
        gone, kept = set(), 0
        for at, (item, child) in enumerate(zip(old, rows, strict=True)):
            left = len(old) - at
            if kept >= len(new) or (left > len(new) - kept and not same(item, new[kept])):
                gone.add(child)
                continue
            yield from self.differing(child, item, new[kept], in_flow=is_flow)
            kept += 1
        yield from cuts.cut(self._page, row, gone, is_flow=is_flow, early=self._way.early)
        if kept < len(new):
            yield from additions.append(self._page, row, new[kept:], is_flow=is_flow)
