"""The changes that together raise the score most. Pure.

What each would bring alone does not tell them: the strict score is held down by the worst category, so that one change
can bring nothing and two of them much. Within a category only the points count that an item lacks; so it is enough to
try how many of the changes fall to each category.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from dabbawala.readiness import verdict
from dabbawala.readiness.catalogue import CATEGORIES
from dabbawala.readiness.judgement import Category, Item, Result, passed
from dabbawala.readiness.verdict import Results

MOST = 5


@dataclass(frozen=True, slots=True)
class Gain:
    """An item put right, and the points that it brings after those before it."""

    item: Item
    points: Fraction


def best(results: Results, profile: str) -> list[Gain]:
    """At most `MOST`, in the order in which each next one brings most; of equals the critical ones first."""
    chosen = max(_choices(results, profile), key=lambda items: _worth(results, items, profile))
    found: list[Gain] = []
    left, done = list(chosen), dict(results)
    while left:
        before = verdict.score(done, profile)
        gains = {item.id: verdict.score({**done, item.id: passed("")}, profile) - before for item in left}
        item = max(left, key=lambda item: (gains[item.id], item.is_critical, item.weight))
        found.append(Gain(item, gains[item.id]))
        left.remove(item)
        done[item.id] = passed("")
    return found


def _choices(results: Results, profile: str) -> Iterable[Sequence[Item]]:
    open_ = [_open(results, category, profile) for category in CATEGORIES]
    most = min(MOST, sum(map(len, open_)))
    for counts in itertools.product(*(range(min(most, len(items)) + 1) for items in open_)):
        if sum(counts) == most:
            yield [item for items, count in zip(open_, counts, strict=True) for item in items[:count]]


def _open(results: Results, category: Category, profile: str) -> list[Item]:
    """What did not pass of a category, what lacks most points first."""

    def lacking(item: Item) -> Fraction:
        return (1 - verdict.POINTS[results[item.id].result]) * item.weight if profile == verdict.STRICT else Fraction(1)

    items = [item for item in category.items if results[item.id].result is not Result.PASS]
    return sorted(items, key=lambda item: (lacking(item), item.is_critical, item.weight), reverse=True)


def _worth(results: Results, items: Sequence[Item], profile: str) -> tuple[Fraction, int, int]:
    after = {**results, **{item.id: passed("") for item in items}}
    return verdict.score(after, profile), sum(item.is_critical for item in items), sum(item.weight for item in items)
