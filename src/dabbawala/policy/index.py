"""Which of many policies may be about a request: a look-up by the kind of request.

The answer for a kind of request is worked out when it is first asked for; of hundreds of policies most never concern
a given kind, and those are not even looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from dabbawala.policy.matching import Matcher, Request

T = TypeVar("T")
_REMEMBERED = 4096


class Index(Generic[T]):
    """`items` in their order, each with the matcher that `matcher_of` finds in it."""

    def __init__(self, items: Iterable[T], matcher_of: Callable[[T], Matcher]) -> None:
        self._items = tuple((item, matcher_of(item)) for item in items)
        self._known: dict[tuple[Any, ...], tuple[T, ...]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def about(self, request: Request) -> tuple[T, ...]:
        """Those of which some rule covers this kind of request; its name, labels and namespace are still to be seen."""
        key = request.about
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = tuple(item for item, matcher in self._items if matcher.may_match(request))
        return found
