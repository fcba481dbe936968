"""The condition language: what people write in conditions, and what must never be taken for a passed one."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from dabbawala.rollout.analysis import evaluation
from dabbawala.rollout.analysis.evaluation import condition, evaluate
from dabbawala.rollout.analysis.expression import BadExpression, parse

NAN = math.nan

CASES: list[tuple[str, Any, Any]] = [
    ("result[0] >= 0.95", [0.96], True),
    ("result[0] >= 0.95", [0.94], False),
    ("result[0] <= 2", [2.0], True),
    ("len(result) > 0 && result[0] == 1", [1.0], True),
    ("len(result) > 0 && result[0] == 1", [], False),
    ("len(result) == 0 || isNaN(result[0]) || result[0] > 0.5", [], True),
    ("len(result) == 0 || isNaN(result[0]) || result[0] > 0.5", [NAN], True),
    ('result == "healthy"', "healthy", True),
    ("result == 'healthy'", "ill", False),
    ("result == `raw`", "raw", True),
    ("all(result, # < 1)", [0.5, 2.0], False),
    ("all(result, {# < 3})", [0.5, 2.0], True),
    ("any(result, # > 1)", [0.5, 2.0], True),
    ("none(result, # > 5)", [1, 2], True),
    ("one(result, # == 2)", [1, 2], True),
    ("any(result, {.ok})", [{"ok": False}, {"ok": True}], True),
    ("all(result, .latency < 10)", [{"latency": 5}], True),
    ("filter(result, # > 1)", [1, 2, 3], [2, 3]),
    ("map(result, # * 2)", [1, 2], [2, 4]),
    ("count(result, # > 1) == 2", [1, 2, 3], True),
    ("len(filter(result, # > 1)) >= 1", [1, 2], True),
    ("result | filter(# > 1) | len()", [1, 2, 3], 2),
    ("find(result, # > 1)", [1, 2, 3], 2),
    ("sum(result)", [1, 2, 3], 6),
    ("not (result > 1) and result in [1, 2]", 1, True),
    ("!(result > 1) or false", 1, True),
    ("result not in [1, 2]", 3, True),
    ('"a" in result', {"a": 1}, True),
    ("default(result, 0) < 0.05", None, True),
    ("default(result, 0) == 0", [], True),
    ("default(result, 0) == 0", [NAN], True),
    ("default(result[0], 7) == 7", [NAN], True),
    ("isNil(result)", None, True),
    ("isInf(result)", math.inf, True),
    ("isNaN(result)", 1.0, False),
    ("asInt(result) + 1", "5", 6),
    ("asFloat(result) == 1.5", "1.5", True),
    ("result.ok && result.data.successPercent >= 0.95", {"ok": True, "data": {"successPercent": 0.96}}, True),
    ('result["ok"]', {"ok": True}, True),
    ("result?.a?.b ?? 3", {}, 3),
    ("result.missing", {}, None),
    ("result > 1 ? 'a' : 'b'", 2, "a"),
    ("1 + 2 == 3 ? true : false", 0, True),
    ("result[1:]", [1, 2, 3], [2, 3]),
    ("result[:1]", [1, 2, 3], [1]),
    ("result[-1]", [1, 2], 2),
    ("result[0][1]", [[1, 2]], 2),
    ("result matches '^v[0-9]+$'", "v12", True),
    ("result matches '^([a-z0-9]+[-.]?)*$'", "a" * 40 + "!", False),
    ("result contains 'o'", "foo", True),
    ("result startsWith 'f' and result endsWith 'o'", "foo", True),
    ("not (result startsWith 'x')", "foo", True),
    ("'a' + 'b'", 0, "ab"),
    ("2 * 3 + 4 % 3 - 1", 0, 6),
    ("-2 ** 2", 0, -4),
    ("2 ^ 3", 0, 8),
    ("7 / 2", 0, 3.5),
    ("1 / 0", 0, math.inf),
    ("1..3", 0, [1, 2, 3]),
    ("{'a': 1, b: 2}.b", 0, 2),
    ("[1, 2, 3][1]", 0, 2),
    ("0x10 + 1_000", 0, 1016),
    ("1e3 == 1000", 0, True),
    (".5 + 1.", 0, 1.5),
    ("nil == result", None, True),
    ("result == 1", None, False),
    ("result != nil", [0.0], True),
    ("result.missing != 1", {}, True),
    ("result == [0]", [0.0], True),
    ("result == [[true]]", [[1]], False),
    ("result == {'a': 1}", {"a": 1.0}, True),
    ("result in [1, 'a']", "a", True),
    ("result in [nil, 'a']", 1, False),
    ("result in []", 1, False),
    ("max(result) - min(result)", [1, 5], 4),
    ("mean(result)", [1, 3], 2),
    ("median(result)", [3, 1, 2], 2),
    ("abs(-3) + ceil(1.2) + floor(1.8) + round(1.5)", 0, 8),
    ("upper(trim(' a '))", 0, "A"),
    ("split('a,b', ',')[1]", 0, "b"),
    ("first(result) < last(result)", [1, 2], True),
    ("true // a comment", 0, True),
]


@pytest.mark.parametrize(("text", "result", "expected"), CASES)
def test_it_evaluates(text: str, result: Any, expected: Any) -> None:
    assert evaluate(text, {"result": result}) == expected


WRONG: list[tuple[str, Any, str]] = [
    ("result[0] > 1", [], "index out of range: 0 (array length is 0)"),
    ("result > 1", "x", "cannot compare string with int"),
    ("result > 1", None, "cannot compare nil with int"),
    ("result != 0", [0.0], "cannot compare array with int; for the first element of a result write result[0]"),
    ("result == 0", [0.0], "write result[0]"),
    ("0 != result", [0.0], "write result[0]"),
    ("result > 0", [1.0], "cannot compare array with int; for the first element of a result write result[0]"),
    ("result not in [0]", [0.0], "write result[0]"),
    ("result != 'ok'", 1, "cannot compare int with string"),
    ("result.code != 0", {"code": "0"}, "cannot compare string with int"),
    ("result == true", 1, "cannot compare int with bool"),
    ("result != {}", 1, "cannot compare int with map"),
    ("default(result, 0) == 0", [1.0], "write result[0]"),
    ("any(result, # == 'x')", [1.0], "cannot compare float with string"),
    ("result", 1.0, "expected bool, but got float"),
    ("result.a > 1", 5, "cannot fetch a from int"),
    ("nobody > 1", 5, "unknown name nobody"),
    ("system('x')", 5, "unknown function system"),
    ("result && true", 1, "expected bool, but got int"),
    ("result matches '('", "x", "matches"),
    ("len(result) > 0", 5, "len(int)"),
    ("asFloat(result) > 0", "much", "asFloat(string)"),
    ("1 +", 0, "unexpected 'end' at 3"),
    ("(1", 0, "expected ')'"),
    ("1 2", 0, "expected 'end' at 2"),
    ("result @ 1", 0, "unexpected '@' at 7"),
    ("not in [1]", 0, "unexpected 'in'"),
]


@pytest.mark.parametrize(("text", "result", "message"), WRONG)
def test_what_cannot_be_judged_is_an_error_and_never_false(text: str, result: Any, message: str) -> None:
    with pytest.raises(BadExpression) as raised:
        condition(text, result)
    assert message in str(raised.value) or message == "matches"


def test_depth_and_length_have_bounds() -> None:
    with pytest.raises(BadExpression, match="nested more than"):
        parse("(" * 500 + "1" + ")" * 500)
    with pytest.raises(BadExpression, match="more than 10000 characters"):
        parse("1 + " * 5000 + "1")


@given(any_.text(max_size=40), any_.one_of(any_.none(), any_.floats(), any_.lists(any_.floats()), any_.text()))
def test_any_text_gives_an_answer_or_a_bad_expression(text: str, result: Any) -> None:
    with contextlib.suppress(BadExpression):
        assert condition(text, result) in (True, False)


@given(any_.floats(allow_nan=False), any_.floats(allow_nan=False))
def test_comparisons_are_those_of_numbers(left: float, right: float) -> None:
    names = {"a": left, "b": right}
    assert evaluation.evaluate("a < b || a == b || a > b", names) is True
    assert evaluation.evaluate("a <= b", names) is (left <= right)
