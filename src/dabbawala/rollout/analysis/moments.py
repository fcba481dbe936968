"""The bounds of a range query: `now() - duration("1h")`, `date("2026-01-31")`. A small part of the condition language,
with the three functions that make times of it; everything else is an error.

Source: Argo Rollouts, utils/evaluate (EvalTime); expr-lang.org/docs/language-definition, date functions.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dabbawala.rollout import spec
from dabbawala.rollout.analysis.expression import BadExpression, Node, parse

FUNCTIONS = 'now(), duration("1h") and date("2026-01-31T12:00:00Z")'


def moment(text: str, now: datetime) -> datetime:
    """The time that an expression means. Raises BadExpression."""
    try:
        found = _value(parse(text), now)
    except (TypeError, ValueError, OverflowError) as wrong:
        raise BadExpression(f"{wrong}: {text!r}") from wrong
    if not isinstance(found, datetime):
        raise BadExpression(f"expected a time, but got {type(found).__name__}: {text!r}; it is made of {FUNCTIONS}")
    return found


def span(text: str) -> timedelta:
    """A duration as Go writes it: `30s`, `1h30m`; a number alone has no unit. Raises ValueError."""
    if re.fullmatch(r"[-+]?[0-9.]*", text):
        raise ValueError(f"{text!r} is no duration; write such as 30s, 10m, 1h30m")
    return timedelta(seconds=spec.seconds(text))


def _value(node: Node, now: datetime) -> Any:
    if node.kind == "value":
        return node.parts[0]
    if node.kind == "binary" and node.parts[0] in _OPERATORS:
        return _OPERATORS[node.parts[0]](_value(node.parts[1], now), _value(node.parts[2], now))
    if node.kind == "call":
        name, given = node.parts[0], [_value(item, now) for item in node.parts[1]]
        if name == "now" and not given:
            return now
        if name in _READERS and len(given) == 1 and isinstance(given[0], str):
            return _READERS[name](given[0])
    raise BadExpression(f"a time is made of {FUNCTIONS}, with + and - between them")


def _date(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_READERS: dict[str, Callable[[str], Any]] = {"duration": span, "date": _date}
