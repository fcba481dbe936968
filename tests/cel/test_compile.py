"""Expressions as ordinary admission policies use them."""

from __future__ import annotations

import pytest

from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CompileError, EvaluationError

POD = {"spec": {"containers": [{"name": "a", "securityContext": {"privileged": False}}, {"name": "b"}]}}


def value(source: str) -> object:
    return Environment({"object": "dyn"}).compile(source).evaluate({"object": POD})


def test_a_policy_sees_all_containers() -> None:
    guarded = "!has(c.securityContext) || !(has(c.securityContext.privileged) && c.securityContext.privileged)"
    assert value(f"object.spec.containers.all(c, {guarded})") is True
    assert value("object.spec.containers.map(c, c.name).join(', ')") == "a, b"


def test_an_error_names_the_missing_key() -> None:
    with pytest.raises(EvaluationError, match="no such key: hostNetwork"):
        value("object.spec.hostNetwork")


def test_a_wrong_type_is_found_before_anything_runs() -> None:
    with pytest.raises(CompileError, match="no matching overload") as caught:
        value("1 +\n 'a'")
    assert (caught.value.line, caught.value.column) == (1, 3)


def test_a_variable_of_an_earlier_expression_has_its_type() -> None:
    environment = Environment({"object": "dyn"})
    names = environment.compile("object.spec.containers.map(c, string(c.name))")
    assert names.result_type == "list<string>"
    after = environment.extended("variables.names", names.result_type).compile("variables.names.join('+')")
    assert after.evaluate({"variables.names": ["a", "b"]}) == "a+b"
