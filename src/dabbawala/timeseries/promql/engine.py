"""Evaluate a parsed query at one time, or at many. Pure and synchronous: callers run it off the event loop.

Selectors are looked up once a query, then read at each step, so a range query costs its steps and not its series'
search. Source of the rules: Prometheus 3 (ranges and look-back are left-open and right-closed).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import promql_parser as parser

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql import aggregate, binary, histogram, instant, ranges
from dabbawala.timeseries.promql.values import Element, Matrix, QueryError, Range, Value, Vector
from dabbawala.timeseries.samples import Samples, Series

LOOK_BACK_MS = 5 * 60 * 1000
DEFAULT_STEP_MS = 60 * 1000
POINTS_MAX = 11_000
SAMPLES_MAX = 50_000_000
"""Samples that one query may read, every read counted (Prometheus: query.max-samples)."""

Stopped = Callable[[], bool]
"""Asked again and again while a query is evaluated: true when nobody waits for it any more."""


def never() -> bool:
    return False


KEEP_LABELS = frozenset({"sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "label_replace", "label_join"})


NESTING_MAX = 200
"""Brackets inside of each other. The parser follows what nests by recursion, and a stack that overflows there ends the
process."""

OPERATORS_MAX = 1_000
"""Operators of a query: a chain of them nests as deep as it is long."""

_OPERATOR = re.compile(r"[-+*/%^]|[<>=!]=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")


def parse(query: str) -> Any:
    """The typed tree. Raises QueryError with the parser's words."""
    if _too_deep(_QUOTED.sub("", query)):
        raise QueryError('invalid parameter "query": it nests too deeply')
    try:
        return parser.parse(query)
    except ValueError as error:
        raise QueryError(f'invalid parameter "query": {error}') from error


def _too_deep(query: str) -> bool:
    depth = 0
    for character in query:
        if character in "([{":
            depth += 1
            if depth > NESTING_MAX:
                return True
        elif character in ")]}":
            depth -= 1
    return len(_OPERATOR.findall(query)) > OPERATORS_MAX


@dataclass(slots=True)
class Evaluation:
    """One query over `samples`, from `start_ms` to `end_ms`; `default_step_ms` is that of subqueries without one."""

    samples: Samples
    start_ms: int
    end_ms: int
    stopped: Stopped = never
    default_step_ms: int = DEFAULT_STEP_MS
    _read: int = 0
    _selected: dict[int, list[Series]] = field(default_factory=dict)

    def at(self, node: Any, now_ms: int) -> Value:
        match node:
            case parser.NumberLiteral():
                return float(node.val)
            case parser.StringLiteral():
                return str(node.val)
            case parser.ParenExpr():
                return self.at(node.expr, now_ms)
            case parser.UnaryExpr():
                return self._negated(node, now_ms)
            case parser.VectorSelector():
                return self._vector(node, now_ms)
            case parser.MatrixSelector():
                return self._matrix(node, now_ms)
            case parser.SubqueryExpr():
                return self._subquery(node, now_ms)
            case parser.BinaryExpr():
                return self._binary(node, now_ms)
            case parser.AggregateExpr():
                return self._aggregate(node, now_ms)
            case parser.Call():
                return self._call(node, now_ms)
        raise QueryError(f"{type(node).__name__} is not supported here")

    def _count(self, read: int) -> None:
        """What was read so far. Raises QueryError when it is too much, or when the query was stopped."""
        self._read += read
        if self._read > SAMPLES_MAX:
            raise QueryError(f"query reads more than {SAMPLES_MAX} samples; select less, or use a larger step")
        if self.stopped():
            raise QueryError("query was stopped")

    def _negated(self, node: Any, now_ms: int) -> Value:
        value = self.at(node.expr, now_ms)
        if isinstance(value, float):
            return -value
        return instant.mapped(lambda number: -number, value)  # type: ignore[arg-type]  # the parser allows only vectors

    def _series(self, selector: Any) -> list[Series]:
        found = self._selected.get(id(selector))
        if found is None:
            found = self._selected[id(selector)] = _select(self.samples, selector)
        return found

    def _moment(self, node: Any, now_ms: int) -> int:
        """The evaluation time after `@` and `offset`."""
        if node.at is not None:
            match node.at.type:
                case parser.AtModifierType.Start:
                    now_ms = self.start_ms
                case parser.AtModifierType.End:
                    now_ms = self.end_ms
                case _:
                    now_ms = round(_timestamp(node.at.at) * 1000)
        return now_ms - _milliseconds(node.offset)

    def _vector(self, node: Any, now_ms: int) -> Vector:
        moment = self._moment(node, now_ms)
        selected = self._series(node)
        self._count(len(selected) + 1)
        found = ((series.labels, series.latest(moment, LOOK_BACK_MS)) for series in selected)
        return [Element(name, sample[1], sample[0]) for name, sample in found if sample is not None]

    def _matrix(self, node: Any, now_ms: int) -> Matrix:
        end = self._moment(node.vector_selector, now_ms)
        start = end - _milliseconds(node.range)
        windows: Matrix = []
        for series in self._series(node.vector_selector):
            samples = series.between(start, end)
            self._count(len(samples) + 1)
            if samples:
                windows.append(Range(series.labels, samples, start, end))
        return windows

    def _subquery(self, node: Any, now_ms: int) -> Matrix:
        end = self._moment(node, now_ms)
        start = end - _milliseconds(node.range)
        step = _milliseconds(node.step) or self.default_step_ms
        points: dict[labels.Labels, list[tuple[int, float]]] = {}
        for time_ms in range((start // step + 1) * step, end + 1, step):
            value = self.at(node.expr, time_ms)
            elements: Any = [Element((), value, time_ms)] if isinstance(value, float) else value
            self._count(len(elements) + 1)
            for e in elements:
                points.setdefault(e.labels, []).append((time_ms, e.value))
        return [Range(name, samples, start, end) for name, samples in points.items()]

    def _binary(self, node: Any, now_ms: int) -> Value:
        left, right = self.at(node.lhs, now_ms), self.at(node.rhs, now_ms)
        modifier = node.modifier
        matching = _matching(modifier)
        return binary.apply(str(node.op), left, right, matching, bool(modifier and modifier.return_bool))

    def _aggregate(self, node: Any, now_ms: int) -> Vector:
        vector: Any = self.at(node.expr, now_ms)
        parameter: Any = None if node.param is None else self.at(node.param, now_ms)
        return aggregate.aggregate(str(node.op), vector, _grouping(node.modifier), parameter, now_ms)

    def _call(self, node: Any, now_ms: int) -> Value:
        name = str(node.func.name)
        match name:
            case "time":
                return now_ms / 1000
            case "pi":
                return math.pi
            case "vector":
                return [Element((), self._scalar(node.args[0], now_ms), now_ms)]
            case "absent" | "absent_over_time":
                return [] if self.at(node.args[0], now_ms) else [Element(_absent_labels(node.args[0]), 1.0, now_ms)]
            case "histogram_quantile":
                vector: Any = self.at(node.args[1], now_ms)
                found = histogram.histogram_quantile(self._scalar(node.args[0], now_ms), vector, now_ms)
                return instant.distinct(found, name)
        if name in ranges.RANGE_FUNCTIONS or name in ("quantile_over_time", "predict_linear"):
            return self._over_range(name, node, now_ms)
        result = instant.call(name, [self.at(argument, now_ms) for argument in node.args], now_ms)
        if result is None:
            raise QueryError(f"function {name}() is not supported here")
        if isinstance(result, list) and name not in KEEP_LABELS:
            return instant.distinct(result, name)  # type: ignore[arg-type]  # instant functions give vectors
        return result

    def _scalar(self, node: Any, now_ms: int) -> float:
        value = self.at(node, now_ms)
        assert isinstance(value, float)
        return value

    def _over_range(self, name: str, node: Any, now_ms: int) -> Vector:
        scalar = 0.0
        matrix_node = node.args[0]
        if name == "quantile_over_time":
            scalar, matrix_node = self._scalar(node.args[0], now_ms), node.args[1]
        elif name == "predict_linear":
            scalar = self._scalar(node.args[1], now_ms)
        windows: Any = self.at(matrix_node, now_ms)
        result = []
        for window in windows:
            value = _of_window(name, window, scalar, now_ms)
            if value is not None:
                kept = window.labels if name in ranges.KEEP_NAME else labels.nameless(window.labels)
                result.append(Element(kept, value, now_ms))
        return instant.distinct(result, name)


def _of_window(name: str, window: Range, scalar: float, now_ms: int) -> float | None:
    match name:
        case "quantile_over_time":
            return ranges.quantile(scalar, [value for _, value in window.samples])
        case "predict_linear":
            line = ranges.regression(window, now_ms)
            return None if line is None else line[0] * scalar + line[1]
    return ranges.RANGE_FUNCTIONS[name](window)


def _milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration.total_seconds() * 1000)


def _timestamp(at: Any) -> float:
    return float(at.timestamp() if hasattr(at, "timestamp") else at)


OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _matchers(selector: Any) -> list[labels.Matcher]:
    found = [labels.Matcher(m.name, OPS[str(m.op).rpartition(".")[2]], m.value) for m in selector.matchers.matchers]
    return [labels.Matcher(labels.NAME, "=", selector.name), *found] if selector.name else found


def _select(samples: Samples, selector: Any) -> list[Series]:
    if getattr(selector.matchers, "or_matchers", None):
        raise QueryError("`or` between matchers is not supported here; use the `or` operator")
    try:
        return samples.select(_matchers(selector))
    except ValueError as error:
        raise QueryError(str(error)) from error


def select(samples: Samples, text: str) -> list[Series]:
    """The series that a selector names. Raises QueryError for anything but a selector."""
    node = parse(text)
    if not isinstance(node, parser.VectorSelector):
        raise QueryError(f'invalid parameter "match[]": {text!r} is not a selector')
    return _select(samples, node)


def duration_ms(text: str) -> int:
    """A duration such as `1m30s`. Raises QueryError."""
    try:
        return _milliseconds(parser.parse_duration(text))
    except ValueError as error:
        raise QueryError(f'invalid parameter "step": {error}') from error


CARDS = {"OneToOne": "one-to-one", "ManyToOne": "many-to-one", "OneToMany": "one-to-many", "ManyToMany": "many-to-many"}


def _matching(modifier: Any) -> binary.Matching:
    if modifier is None:
        return binary.Matching()
    matching = modifier.matching
    return binary.Matching(
        on=matching is not None and str(matching.type).endswith("Include"),
        names=tuple(matching.labels) if matching else (),
        card=CARDS[str(modifier.card).rpartition(".")[2]],
        include=tuple(modifier.group_labels or ()),
    )


def _grouping(modifier: Any) -> aggregate.Grouping:
    if modifier is None:
        return lambda of: ()
    names = tuple(modifier.labels)
    if str(modifier.type).endswith("By"):
        return lambda of: labels.only(of, names)
    return lambda of: labels.without(of, (*names, labels.NAME))


def _absent_labels(node: Any) -> labels.Labels:
    """Labels from equality matchers that are used once. Source: createLabelsForAbsentFunction."""
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    selector = node.vector_selector if isinstance(node, parser.MatrixSelector) else node
    if not isinstance(selector, parser.VectorSelector):
        return ()
    matchers = [matcher for matcher in _matchers(selector) if matcher.name != labels.NAME]
    names = [matcher.name for matcher in matchers]
    return labels.make((m.name, m.value) for m in matchers if m.op == "=" and names.count(m.name) == 1)


def query(samples: Samples, text: str, now_ms: int, stopped: Stopped = never) -> Value:
    """An instant query. Raises QueryError."""
    node = parse(text)
    value = Evaluation(samples, now_ms, now_ms, stopped).at(node, now_ms)
    return instant.distinct(value, "result") if isinstance(node, parser.BinaryExpr) and _is_vector(value) else value  # type: ignore[arg-type]


def _is_vector(value: Value) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Element)


def steps(start_ms: int, end_ms: int, step_ms: int) -> Iterator[int]:
    return iter(range(start_ms, end_ms + 1, step_ms))


def query_range(
    samples: Samples, text: str, start_ms: int, end_ms: int, step_ms: int, stopped: Stopped = never
) -> Sequence[Range]:
    """An instant query at each step; a series without points is left out. Raises QueryError."""
    if step_ms <= 0:
        raise QueryError('invalid parameter "step": zero or negative query resolution step widths are not accepted')
    if end_ms < start_ms:
        raise QueryError('invalid parameter "end": end timestamp must not be before start time')
    if (end_ms - start_ms) // step_ms > POINTS_MAX:
        raise QueryError(f"exceeded maximum resolution of {POINTS_MAX} points per timeseries; use a larger step")
    node = parse(text)
    evaluation = Evaluation(samples, start_ms, end_ms, stopped)
    points: dict[labels.Labels, list[tuple[int, float]]] = {}
    for time_ms in steps(start_ms, end_ms, step_ms):
        value = evaluation.at(node, time_ms)
        if isinstance(value, str) or (value and not _is_vector(value) and not isinstance(value, float)):
            raise QueryError("invalid expression type for range query, must be Scalar or instant Vector")
        elements: Any = [Element((), value, time_ms)] if isinstance(value, float) else value
        for e in elements:
            points.setdefault(e.labels, []).append((time_ms, e.value))
    return [Range(name, found, start_ms, end_ms) for name, found in points.items()]
