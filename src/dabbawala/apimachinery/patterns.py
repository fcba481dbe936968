"""Regular expressions that users write, in RE2's syntax, which is Go's and so Kubernetes' and Prometheus' own.

They are matched in time linear in the text. Python's `re` backtracks: a short pattern and forty letters can keep it,
and with it every coroutine of the process, for years. The engine is imported by the first pattern, because most
processes never see one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

PATTERNS_MAX = 128
"""Compiled patterns that are remembered."""


class BadPattern(ValueError):
    """Not a pattern, or one that is too large; with the engine's words."""


class Match(Protocol):
    """The groups of a match, by number or name: None of one that took no part, IndexError of one there is not."""

    def __getitem__(self, group: int | str) -> str | None: ...


class Pattern(Protocol):
    def search(self, text: str | bytes) -> Match | None: ...

    def fullmatch(self, text: str | bytes) -> Match | None: ...


@lru_cache(maxsize=PATTERNS_MAX)
def compiled(pattern: str, *, dot_all: bool = False, groups: bool = True) -> Pattern:
    """Raises BadPattern. With `dot_all` the dot matches a newline too. Without `groups` matching is faster."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = dot_all
    options.never_capture = not groups
    try:
        made: Pattern = re2.compile(pattern, options)
    except re2.error as wrong:
        reason = wrong.args[0]
        raise BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    except UnicodeEncodeError:
        raise BadPattern("invalid UTF-8") from None
    return made


def within(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is anywhere in a text. Raises BadPattern."""
    search = compiled(pattern, groups=False).search
    return lambda text: search(_bytes(text)) is not None


def whole(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is all of a text, as PromQL means it: the dot matches a newline. Raises BadPattern."""
    fullmatch = compiled(pattern, dot_all=True, groups=False).fullmatch
    return lambda text: fullmatch(_bytes(text)) is not None


def _bytes(text: str) -> bytes:
    """A half of a surrogate pair is no character, and matches nothing."""
    return text.encode(errors="surrogatepass")
