"""Random expressions over random data: our two evaluators agree in all, and with Google's C++ evaluator but for what is
listed here with its reason."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from hypothesis import HealthCheck, assume, given, settings
from tests.cel.expressions import DATA, VARIABLES, expressions

from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CompileError, EvaluationError
from dabbawala.cel.program import Program

ENVIRONMENT = Environment(VARIABLES)
# What differs between the C++ evaluator and cel-go, which API servers run and we follow: a part of their error or of
# ours, and why.
KNOWN_DIFFERENCES = {
    "Applying SELECT to non-message type": "cel-go: a scalar has no fields, so has(scalar.field) is false",
    "No matching overloads found : _?._": "cel-go: a scalar has no fields, so scalar.?field is absent",
    "No matching overloads found : _[?_]": "cel-go: a scalar has no elements, so scalar[?key] is absent",
    "index out of range": "cel-go 0.17: indexOf in an empty text is an error, later -1",
    "<end> is greater than <string>.size()": "C++ takes no end that is the length of the text; cel-go does",
    "invalid ": "cel-go: constants are converted and checked when an expression is compiled",
    "expected type": "Kubernetes: elements of a literal have one type",
}


class _Failed:
    def __init__(self, message: str) -> None:
        self.message = message

    def __repr__(self) -> str:
        return f"error: {self.message}"


@cache
def front_end() -> Any:
    kinds = {name: cel.Type(kind) for name, kind in VARIABLES.items()}
    extensions = [ext_optional.ExtOptional(1), ext_strings.ExtStrings(2)]
    return cel.NewEnv(variables=kinds, extensions=extensions)


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, _Failed):
        return bool(left.message == right.message)
    return bool(left == right)


def ours(evaluate: Any, data: dict[str, Any]) -> Any:
    try:
        return evaluate(data)
    except EvaluationError as error:
        return _Failed(error.message)


def theirs(expression: Any, data: dict[str, Any]) -> Any:
    try:
        value = expression.eval(data=data)
    except RuntimeError as error:
        return _Failed(str(error))
    return _Failed(str(value.value())) if value.type() == cel.Type.ERROR else value.plain_value()


def explained(*outcomes: Any) -> bool:
    said = " ".join(outcome.message for outcome in outcomes if isinstance(outcome, _Failed))
    return any(part in said for part in KNOWN_DIFFERENCES)


def agree(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    fast, exact = ours(program.evaluate, data), ours(program.interpret, data)
    assert same(fast, exact), f"{source} over {data}: compiled {fast!r}, interpreted {exact!r}"
    other = theirs(front_end().compile(source), data)
    if isinstance(fast, _Failed) and isinstance(other, _Failed):
        return
    # Both split a text at the empty text by its letters; C++ makes one letter of no letters, Go none.
    assert same(fast, other) or explained(fast, other) or "split('')" in source, (
        f"{source} over {data}: ours {fast!r}, C++ {other!r}"
    )


def _compiled(source: str) -> Program:
    """The program; sources that neither compiles, or ours refuses for a known reason, are not looked at."""
    program, refusal = _tried(source)
    try:
        front_end().compile(source)
    except RuntimeError:
        assert program is None, f"{source}: only ours compiles it"
    else:
        assert program is not None or explained(_Failed(refusal)), f"{source}: {refusal}"
    assume(program is not None)
    assert program is not None
    return program


def _tried(source: str) -> tuple[Program | None, str]:
    try:
        return ENVIRONMENT.compile(source), ""
    except CompileError as error:
        return None, error.message


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_all_evaluators_agree(source: str, data: dict[str, Any]) -> None:
    agree(source, data)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=20_000, deadline=None, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_all_evaluators_agree_on_many(source: str, data: dict[str, Any]) -> None:
    agree(source, data)


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_the_bound_of_the_cost_is_never_under_the_cost(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    bound = program.bound(data)
    assert bound is None or bound >= program.cost(data)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_a_stored_program_evaluates_as_before(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    restored = ENVIRONMENT.load(program.dumps())
    assert same(ours(restored.evaluate, data), ours(program.evaluate, data))
    assert (restored.source, restored.result_type) == (program.source, program.result_type)
