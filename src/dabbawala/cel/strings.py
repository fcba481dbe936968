"""Functions on strings (cel-go's `ext.Strings`, version 2) and RE2 patterns. Places count code points."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any

import re2

from dabbawala.cel.arithmetic import LIST_MAX, too_long
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import signature

# What Go's unicode.IsSpace takes for space.
_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_PATTERNS = 1024  # compiled patterns that are kept
_MATCHES, _REMEMBERED = 8192, 256  # answers that are kept, and characters of a text whose answer is
_UPPER = {place: place - 32 for place in range(ord("a"), ord("z") + 1)}
_LOWER = {place: place + 32 for place in range(ord("A"), ord("Z") + 1)}


def check(function: str, arguments: tuple[Any, ...], *kinds: type) -> None:
    """Raises EvaluationError unless the arguments are of these types."""
    for value, kind in zip(arguments, kinds, strict=False):
        if type(value) is not kind:
            raise signature(function, *arguments)


def starts_with(text: Any, prefix: Any) -> bool:
    check("startsWith", (text, prefix), str, str)
    return bool(text.startswith(prefix))


def ends_with(text: Any, suffix: Any) -> bool:
    check("endsWith", (text, suffix), str, str)
    return bool(text.endswith(suffix))


def contains(text: Any, part: Any) -> bool:
    check("contains", (text, part), str, str)
    return part in text


@lru_cache(maxsize=_PATTERNS)
def pattern(text: str) -> Any:
    """A compiled pattern. Raises EvaluationError."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise EvaluationError(f"error parsing regexp: {said}") from None


def matches(text: Any, expression: Any) -> bool:
    if type(text) is not str or type(expression) is not str:
        raise EvaluationError("no such overload: matches")
    return _known_match(text, expression) if len(text) <= _REMEMBERED else _is_match(text, expression)


def _is_match(text: str, expression: str) -> bool:
    # As bytes, because for text the library computes places that nobody asked for.
    return pattern(expression).search(text.encode()) is not None


# Names, images and the like come again with every object.
_known_match = lru_cache(maxsize=_MATCHES)(_is_match)


def find(text: Any, expression: Any) -> str:
    check("find", (text, expression), str, str)
    found = pattern(expression).search(text.encode())
    return "" if found is None else str(found[0], "utf-8")


def find_all(text: Any, expression: Any, limit: Any = -1) -> list[str]:
    check("findAll", (text, expression, limit), str, str, int)
    matched = islice(pattern(expression).finditer(text), limit if 0 <= limit < LIST_MAX else LIST_MAX + 1)
    found = [match[0] for match in matched]
    too_long(len(found), LIST_MAX)
    return found


def char_at(text: Any, place: Any) -> str:
    check("charAt", (text, place), str, int)
    if not 0 <= place <= len(text):
        raise EvaluationError(f"index out of range: {place}")
    return str(text[place : place + 1])


def index_of(text: str, part: Any, start: Any = 0) -> int:
    check("indexOf", (text, part, start), str, str, int)
    if part == "":
        return int(start)
    if not 0 <= start < len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


def last_index_of(text: str, part: Any, *start: Any) -> int:
    check("lastIndexOf", (text, part, *start), str, str, int)
    if part == "":
        return int(start[0]) if start else len(text)
    last = start[0] if start else len(text) - 1
    if not 0 <= last < len(text):
        raise EvaluationError(f"index out of range: {last}")
    return text.rfind(part, 0, last + len(part))


def join(parts: Any, separator: Any = "") -> str:
    check("join", (parts, separator), list, str)
    if not all(type(part) is str for part in parts):
        raise signature("join", parts, separator)
    too_long(sum(map(len, parts)) + len(separator) * len(parts))
    return str(separator.join(parts))


def lower_ascii(text: Any) -> str:
    check("lowerAscii", (text,), str)
    return text.lower() if text.isascii() else str(text.translate(_LOWER))


def upper_ascii(text: Any) -> str:
    check("upperAscii", (text,), str)
    return text.upper() if text.isascii() else str(text.translate(_UPPER))


def replace(text: Any, old: Any, new: Any, limit: Any = -1) -> str:
    check("replace", (text, old, new, limit), str, str, str, int)
    growth = len(new) - len(old)
    if growth > 0:
        too_long(len(text) + growth * (text.count(old) if limit < 0 else min(limit, text.count(old))))
    return str(text.replace(old, new, max(limit, -1)))


def split(text: Any, separator: Any, limit: Any = -1) -> list[str]:
    check("split", (text, separator, limit), str, str, int)
    if limit == 0:
        return []
    if limit == 1:
        return [text]
    if separator:
        too_long(text.count(separator), LIST_MAX)
        return list(text.split(separator, limit - 1 if limit > 0 else -1))
    too_long(len(text), LIST_MAX)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def substring(text: Any, start: Any, *end: Any) -> str:
    check("substring", (text, start, *end), str, int, int)
    last = end[0] if end else len(text)
    if end and start > last:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {last}")
    for place in (start, *end):
        if not 0 <= place <= len(text):
            raise EvaluationError(f"index out of range: {place}")
    return str(text[start:last])


def trim(text: Any) -> str:
    check("trim", (text,), str)
    return str(text.strip(_SPACE))


_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\", '"': '"'}


def quoted(text: str) -> str:
    return '"' + "".join("\\" + _ESCAPES[letter] if letter in _ESCAPES else letter for letter in text) + '"'


def quote(text: Any) -> str:
    """The text as a literal with its escapes, for messages."""
    check("strings.quote", (text,), str)
    return quoted(text)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "startsWith": starts_with,
    "endsWith": ends_with,
    "contains": contains,
    "matches": matches,
    "find": find,
    "findAll": find_all,
    "charAt": char_at,
    "join": join,
    "lowerAscii": lower_ascii,
    "upperAscii": upper_ascii,
    "replace": replace,
    "split": split,
    "substring": substring,
    "trim": trim,
    "strings.quote": quote,
}
