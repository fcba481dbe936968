"""Which of many labelled things a selector selects, as the bits of one integer.

A selector is then a handful of operations on integers, however many things there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dabbawala.apimachinery.selectors import IN, LabelSelector, Requirement


class LabelIndex:
    def __init__(self, labels: Sequence[Mapping[str, str]], bits: Sequence[int] | None = None) -> None:
        """Thing `n` stands for bit `n`, or for `bits[n]` where given."""
        self._values: dict[str, dict[str, int]] = {}
        self.everything = 0
        for number, given in enumerate(labels):
            own = 1 << number if bits is None else bits[number]
            self.everything |= own
            for key, value in given.items():
                table = self._values.setdefault(key, {})
                table[value] = table.get(value, 0) | own

    def select(self, selector: LabelSelector) -> int:
        chosen = 0 if selector.nothing else self.everything
        for requirement in selector.requirements:
            chosen &= self._meeting(requirement)
        return chosen

    def _meeting(self, requirement: Requirement) -> int:
        table = self._values.get(requirement.key, {})
        if requirement.op == IN:
            return union(table.get(value, 0) for value in requirement.values)
        met = union(own for value, own in table.items() if requirement.matches({requirement.key: value}))
        return met | (self.everything & ~union(table.values()) if requirement.matches({}) else 0)


def union(sets: Iterable[int]) -> int:
    found = 0
    for own in sets:
        found |= own
    return found


def members(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, in order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
