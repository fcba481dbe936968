"""What a PromQL expression asks for, as plain data: its selectors and ranges, and what in it cannot do what it says.

Variables of Grafana and arguments of Argo Rollouts stand for something that is filled in later; the expression is read
with a value in their place. Pure. Source: Prometheus 3, docs/querying (operators, functions, histograms).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from dabbawala.apimachinery.meta import Object

EXPRESSION_MAX = 64 * 1024
"""Characters of an expression that is read."""

REMEMBERED_MAX = 2048
"""Expressions whose model is kept: several checks ask about the same one."""

DEPTH_MAX = 100
"""Levels of an expression that are looked at; the parser's own bound is not far above."""

_COUNTER = re.compile(r".*_(total|count|sum|bucket)$")
_RATES = frozenset(("rate", "irate", "increase"))
_OF_COUNTERS = _RATES | {
    "resets", "changes", "absent", "absent_over_time", "present_over_time", "count_over_time", "last_over_time",
    "timestamp", "delta", "idelta", "deriv",
}  # fmt: skip
_ALIKE = frozenset(("count", "group", "topk", "bottomk", "count_values"))
"""Aggregations of which series there are, whatever their values say."""

_SCRIPTED = (
    (re.compile(r"\{\{-?\s*([^{}]*?)\s*-?\}\}"), r"argument"),
    (re.compile(r"\[\[\s*(\w+)[^\]]*\]\]"), r"\1"),
    (re.compile(r"(?<=[\[:])\s*\$(?:\{\w+[^}]*\}|\w+)"), r"5m"),
    (re.compile(r"\$(?:__(?:rate_)?interval|__range|interval)(?:_m?s)?\b"), r"5m"),
    (re.compile(r"\$\{(\w+)[^}]*\}"), r"\1"),
    (re.compile(r"\$(\w+)"), r"\1"),
)


class _Seen(NamedTuple):
    """What stands around a node: the call that it is given to, and whether something only counts its series."""

    call: str = ""
    counted: bool = False


@lru_cache(maxsize=REMEMBERED_MAX)
def _model(expression: str) -> Object:
    from dabbawala.timeseries.promql import engine
    from dabbawala.timeseries.promql.values import QueryError

    found = _Found()
    try:
        root = engine.parse(_plain(expression[:EXPRESSION_MAX]))
        found.walk(root, _Seen(), 0)
    except QueryError as wrong:
        said = str(wrong).removeprefix('invalid parameter "query": ')
        return {**_Found().shown(), "error": " ".join(said.split()), "type": ""}
    except RecursionError:
        return {**_Found().shown(), "error": "it nests too deeply", "type": ""}
    return {**found.shown(), "error": "", "type": _type(root), "compares": _compares(root), "scaled": _scaled(root)}


def model(expression: Any) -> Object:
    """Of an expression; of anything but text, what an empty expression gives."""
    return _model(expression if isinstance(expression, str) else "")


def _plain(expression: str) -> str:
    for pattern, put in _SCRIPTED:
        expression = pattern.sub(put, expression)
    return expression


def _name(node: Any) -> str:
    return type(node).__name__


def _type(node: Any) -> str:
    if _name(node) in ("MatrixSelector", "SubqueryExpr"):
        return "matrix"
    return {"NumberLiteral": "scalar", "StringLiteral": "string"}.get(_name(node), "vector")


class _Found:
    """What has been seen so far."""

    def __init__(self) -> None:
        self.selectors: list[Object] = []
        self.ranges: list[Object] = []
        self.counters: list[str] = []
        self.divisors: list[str] = []
        self.faults: list[str] = []

    def shown(self) -> Object:
        return {
            "selectors": self.selectors,
            "ranges": self.ranges,
            "counters": sorted(set(self.counters)),
            "divisors": sorted(set(self.divisors)),
            "faults": list(dict.fromkeys(self.faults)),
            "compares": False,
            "scaled": False,
        }

    def walk(self, node: Any, seen: _Seen, depth: int) -> None:
        if depth > DEPTH_MAX:
            return
        match _name(node):
            case "VectorSelector":
                self._selector(node, seen, 0)
            case "MatrixSelector":
                self._selector(node.vector_selector, seen, int(node.range.total_seconds()))
            case "Call":
                self._call(node, depth)
            case "AggregateExpr":
                self.walk(node.expr, _Seen("", seen.counted or str(node.op) in _ALIKE), depth + 1)
            case "BinaryExpr":
                self._binary(node, seen, depth)
            case "SubqueryExpr":
                self.walk(node.expr, _Seen(seen.call, seen.counted), depth + 1)
            case "ParenExpr" | "UnaryExpr":
                self.walk(node.expr, seen, depth + 1)

    def _selector(self, node: Any, seen: _Seen, seconds: int) -> None:
        name = _metric(node)
        matchers = [
            {"label": m.name, "value": m.value, "op": str(m.op).rpartition(".")[2]} for m in node.matchers.matchers
        ]
        self.selectors.append({"metric": name, "matchers": matchers, "seconds": seconds, "function": seen.call})
        if seconds:
            self.ranges.append({"function": seen.call, "metric": name, "seconds": seconds})
        if _COUNTER.match(name) and seen.call not in _OF_COUNTERS and not seen.counted:
            self.counters.append(name)

    def _call(self, node: Any, depth: int) -> None:
        name = str(node.func.name)
        if name == "histogram_quantile" and len(node.args) == 2:
            self._quantile(node.args)
        for argument in node.args:
            self.walk(argument, _Seen(name, name in ("absent", "absent_over_time", "timestamp")), depth + 1)

    def _quantile(self, arguments: Any) -> None:
        first, of = arguments[0], _bare(arguments[1])
        if _name(first) == "NumberLiteral" and not 0 <= first.val <= 1:
            self.faults.append(f"histogram_quantile({first.val:g}, …) is infinite: quantiles are between 0 and 1")
        if _name(of) != "AggregateExpr":
            return
        kept = _kept(of)
        if kept is not None and "le" not in kept and any(n.endswith("_bucket") for n in _metrics(of)):
            self.faults.append(
                "histogram_quantile is given buckets without their label le: add it to the `by` of the sum"
            )

    def _binary(self, node: Any, seen: _Seen, depth: int) -> None:
        left, right = _bare(node.lhs), _bare(node.rhs)
        operator = str(node.op)
        if operator == "/" and _type(right) == "vector":
            self.divisors.append(next(iter(_metrics(right)), ""))
        if node.modifier is None or node.modifier.matching is None:
            self.faults += _mismatch(left, right, operator)
        only_presence = operator in ("and", "unless", "or")
        self.walk(node.lhs, _Seen("", seen.counted), depth + 1)
        self.walk(node.rhs, _Seen("", seen.counted or (only_presence and operator != "or")), depth + 1)


def _bare(node: Any) -> Any:
    while _name(node) in ("ParenExpr", "UnaryExpr"):
        node = node.expr
    return node


def _metric(selector: Any) -> str:
    if selector.name:
        return str(selector.name)
    return next((m.value for m in selector.matchers.matchers if m.name == "__name__"), "")


def _children(node: Any) -> Iterator[Any]:
    match _name(node):
        case "BinaryExpr":
            yield from (node.lhs, node.rhs)
        case "Call":
            yield from node.args
        case "MatrixSelector":
            yield node.vector_selector
        case "AggregateExpr" | "SubqueryExpr" | "ParenExpr" | "UnaryExpr":
            yield node.expr


def _selectors(node: Any, depth: int = 0) -> Iterator[Any]:
    if _name(node) == "VectorSelector":
        yield node
    elif depth <= DEPTH_MAX:
        for child in _children(node):
            yield from _selectors(child, depth + 1)


def _metrics(node: Any) -> list[str]:
    return [_metric(selector) for selector in _selectors(node)]


def _kept(aggregation: Any) -> frozenset[str] | None:
    """The labels that an aggregation keeps; None for `without`, of which nobody knows what is left."""
    modifier = aggregation.modifier
    if modifier is None:
        return frozenset()
    return frozenset(modifier.labels) if str(modifier.type).endswith("By") else None


def _operand(node: Any) -> tuple[str, frozenset[str] | None]:
    """`aggregate` with the labels that are left, `series` for what has those that it was scraped with, or neither."""
    node = _bare(node)
    name = _name(node)
    if name == "AggregateExpr" and str(node.op) not in ("topk", "bottomk", "count_values", "limitk"):
        return "aggregate", _kept(node)
    if name in ("VectorSelector", "MatrixSelector"):
        return "series", None
    if name == "Call" and str(node.func.name) in _RATES | {"abs", "ceil", "floor", "clamp_min", "clamp_max", "round"}:
        return _operand(node.args[0])
    if name == "Call" and str(node.func.name) == "histogram_quantile":
        kind, kept = _operand(node.args[1])
        return kind, None if kept is None else kept - {"le"}
    if name == "BinaryExpr" and _type(_bare(node.rhs)) == "scalar":
        return _operand(node.lhs)
    if name == "BinaryExpr" and _type(_bare(node.lhs)) == "scalar":
        return _operand(node.rhs)
    return "", None


def _mismatch(left: Any, right: Any, operator: str) -> Iterator[str]:
    """Operands of a vector match without on() and ignoring(), whose labels can never be the same."""
    if "scalar" in (_type(left), _type(right)) or operator == "or":
        return
    (one, kept), (other, also) = _operand(left), _operand(right)
    if one == other == "aggregate" and kept is not None and also is not None and kept != also:
        said = " and ".join("{" + ", ".join(sorted(labels)) + "}" for labels in (kept, also))
        yield f"the sides of {operator} have different labels, {said}, and so never match: add on(…) or group_left"
    elif {one, other} == {"aggregate", "series"} and (kept if one == "aggregate" else also) == frozenset():
        yield f"one side of {operator} is summed to a single value without labels, and matches no series of the other"
    elif one == other == "series" and operator == "/":
        yield from _same_metric(left, right)


def _same_metric(left: Any, right: Any) -> Iterator[str]:
    over, under = next(_selectors(left), None), next(_selectors(right), None)
    if over is None or under is None or _metric(over) != _metric(under) or not _metric(over):
        return
    chosen = {m.name for m in over.matchers.matchers} - {m.name for m in under.matchers.matchers} - {"__name__"}
    if chosen:
        label = min(chosen)
        yield (
            f"each series of {_metric(over)} is divided by the one with the same {label}, that is by itself: "
            "sum both sides first"
        )


def _compares(node: Any) -> bool:
    """Whether the expression yields something only under a condition: a comparison, absence, a set operation."""
    node = _bare(node)
    if _name(node) == "Call":
        return str(node.func.name) in ("absent", "absent_over_time", "changes", "resets") or any(
            _compares(argument) for argument in node.args
        )
    if _name(node) == "BinaryExpr":
        operator = str(node.op)
        if operator in (">", "<", ">=", "<=", "==", "!="):
            return not (node.modifier is not None and node.modifier.return_bool)
        return operator in ("unless", "and") or _compares(node.lhs) or _compares(node.rhs)
    return any(_compares(child) for child in _children(node))


def _scaled(node: Any) -> bool:
    """Whether the value is a percentage already: multiplied by 100 on the left of its comparison."""
    node = _bare(node)
    if _name(node) != "BinaryExpr":
        return False
    if str(node.op) in (">", "<", ">=", "<=", "==", "!="):
        return _scaled(node.lhs)
    sides = (_bare(node.lhs), _bare(node.rhs))
    return str(node.op) == "*" and any(_name(side) == "NumberLiteral" and side.val == 100 for side in sides)
