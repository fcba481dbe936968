"""What is put in place of what: the smallest edits of a text, and the choices that there are in writing one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Refused(Exception):
    """The text has no place where the change could be written; the message says why."""


class Splice(NamedTuple):
    """Text that takes the place of what stands between two offsets."""

    start: int
    end: int
    text: str


class Way(NamedTuple):
    """How an edit is written where there is a choice. `override`: a field that comes by `<<` is written out in its own
    mapping, instead of being changed where the anchor is. `early`: new fields stand behind the first, not the last."""

    override: bool = False
    early: bool = False


WAYS = (Way(), Way(override=True), Way(early=True), Way(override=True, early=True))


def ordered(splices: Iterable[Splice]) -> list[Splice]:
    """Each once, in the order of the text. Raises Refused where two are about the same characters."""
    found = sorted(dict.fromkeys(splices), key=lambda splice: splice[:2])
    for one, other in pairwise(found):
        if other.start < one.end:
            raise Refused("two changes would have to be written in one place")
    return found


def spliced(text: str, splices: Sequence[Splice]) -> str:
    parts, at = [], 0
    for splice in splices:
        parts += [text[at : splice.start], splice.text]
        at = splice.end
    return "".join([*parts, text[at:]])
