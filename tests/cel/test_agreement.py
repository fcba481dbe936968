"""Random expressions over random data: our two evaluators agree in all, and with Google's C++ evaluator but for what is
said here with its reason."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from hypothesis import HealthCheck, assume, given, settings
from tests.cel.expressions import DATA, VARIABLES, expressions

from dabbawala.cel import values
from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CompileError, EvaluationError
from dabbawala.cel.program import Program

ENVIRONMENT = Environment(VARIABLES)
# What ours refuses to compile and C++ does not: a part of the message, and why.
KNOWN_REFUSALS = {
    "invalid ": "cel-go: constants are converted and checked when an expression is compiled",
    "expected type": "Kubernetes: elements of a literal have one type",
}
# Differences that random expressions do not reach, because their forms avoid them (the table of results has them):
# `''.indexOf('a')` is an error in cel-go 0.17 and -1 in C++; `''.split('')` is [] in Go and [''] in C++;
# C++ takes no end of a substring that is the length of the text; comparing NaN is an error in cel-go and false in C++;
# what can be no key is in no map for Go, and an error for C++; a large double is `1e+06` as text in Go;
# getMilliseconds() of a duration is all of it in cel-go; C++ makes an int of a bool.


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


def ordered(value: Any) -> Any:
    """A map is gone through in no order that is promised: lists made from one, and texts joined from such, in one."""
    if isinstance(value, list):
        return sorted(map(ordered, value), key=repr)
    if isinstance(value, dict):
        return {key: ordered(part) for key, part in sorted(value.items())}
    return "".join(sorted(value)) if isinstance(value, str) else value


def alike(source: str, left: Any, right: Any) -> bool:
    goes_through_maps = ".map(" in source or ".filter(" in source
    return same(left, right) or (goes_through_maps and same(ordered(left), ordered(right)))


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


def as_cpp(program: Program, data: dict[str, Any]) -> Any:
    """Our outcome with the one difference that random expressions reach: in cel-go a scalar has no fields, so
    `has(scalar.field)` is false and `scalar.?field` absent, and for C++ both are errors."""

    def lookup(value: Any, key: Any) -> Any:
        if isinstance(value, values.Optional) or type(value) is list or values.is_map(value):
            return original(value, key)
        raise EvaluationError("no such overload")

    original = values.lookup
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "lookup", lookup)
        return ours(program.interpret, data)


def agree(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    fast, exact = ours(program.evaluate, data), ours(program.interpret, data)
    assert same(fast, exact), f"{source} over {data}: compiled {fast!r}, interpreted {exact!r}"
    other = theirs(front_end().compile(source), data)
    if isinstance(fast, _Failed) and isinstance(other, _Failed):
        return
    if not alike(source, fast, other):
        adapted = as_cpp(program, data)
        both_fail = isinstance(adapted, _Failed) and isinstance(other, _Failed)
        assert both_fail or alike(source, adapted, other), f"{source} over {data}: ours {fast!r}, C++ {other!r}"


def _compiled(source: str) -> Program:
    """The program; sources that neither compiles, or ours refuses for a known reason, are not looked at."""
    program, refusal = _tried(source)
    try:
        front_end().compile(source)
    except RuntimeError:
        assert program is None, f"{source}: only ours compiles it"
    else:
        known = any(part in refusal for part in KNOWN_REFUSALS)
        assert program is not None or known, f"{source}: {refusal}"
    assume(program is not None)
    assert program is not None
    return program


def _tried(source: str) -> tuple[Program | None, str]:
    try:
        return ENVIRONMENT.compile(source), ""
    except CompileError as error:
        return None, error.message


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=150, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_all_evaluators_agree(source: str, data: dict[str, Any]) -> None:
    agree(source, data)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=20_000, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_all_evaluators_agree_on_many(source: str, data: dict[str, Any]) -> None:
    agree(source, data)


@settings(max_examples=80, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_the_bound_of_the_cost_is_never_under_the_cost(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    bound = program.bound(data)
    assert bound is None or bound >= program.cost(data)


@settings(max_examples=40, suppress_health_check=SLOW)
@given(expressions(), DATA)
def test_a_stored_program_evaluates_as_before(source: str, data: dict[str, Any]) -> None:
    program = _compiled(source)
    restored = ENVIRONMENT.load(program.dumps())
    assert same(ours(restored.evaluate, data), ours(program.evaluate, data))
    assert (restored.source, restored.result_type) == (program.source, program.result_type)
