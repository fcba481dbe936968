"""Programs and environments: what callers rely on beside the values."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dabbawala.cel.environment import Environment, Function
from dabbawala.cel.errors import CompileError, CostExceeded, EvaluationError
from dabbawala.cel.program import Budget

OBJECT = Environment({"object": "dyn"})


class Lazy(Mapping[str, Any]):
    """Variables that say when they are computed."""

    def __init__(self, **values: Any) -> None:
        self.values_by_name, self.read = values, []

    def __getitem__(self, name: str) -> Any:
        self.read.append(name)
        value = self.values_by_name[name]
        if isinstance(value, Exception):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_a_refusal_points_into_the_source() -> None:
    with pytest.raises(CompileError) as refused:
        OBJECT.compile("object.a &&\n  object.b + 'x' + 1 +\n  undeclared")
    assert (refused.value.line, refused.value.column) == (3, 3)
    assert refused.value.source.startswith("object.a")
    assert "undeclared" in refused.value.message


@pytest.mark.parametrize(
    "source", ["1 +", "", "   ", "'unclosed", "object.", "a b", "\x00", "1 ? 2", "(" * 300, "[" * 5000]
)
def test_what_cannot_be_read_is_refused(source: str) -> None:
    with pytest.raises(CompileError):
        OBJECT.compile(source)


def test_an_error_points_at_what_failed() -> None:
    with pytest.raises(EvaluationError) as failed:
        OBJECT.compile("true &&\n object.spec.missing == 1").evaluate({"object": {"spec": {}}})
    assert (failed.value.line, failed.value.column) == (2, 13)


def test_variables_are_read_only_when_they_are_needed() -> None:
    environment = Environment({"variables.a": "bool", "variables.b": "bool"})
    program = environment.compile("variables.a || variables.b && variables.b")
    needless = Lazy(**{"variables.a": True, "variables.b": False})
    assert program.evaluate(needless) is True
    assert needless.read == ["variables.a"]
    needed = Lazy(**{"variables.a": False, "variables.b": True})
    assert program.evaluate(needed) is True
    assert needed.read == ["variables.a", "variables.b"]


def test_the_error_of_a_variable_is_absorbed_like_any_other() -> None:
    environment = Environment({"variables.a": "bool", "variables.b": "bool"})
    broken = EvaluationError("no such key: x")
    program = environment.compile("variables.a || variables.b")
    assert program.evaluate(Lazy(**{"variables.a": broken, "variables.b": True})) is True
    with pytest.raises(EvaluationError, match="no such key: x"):
        program.evaluate(Lazy(**{"variables.a": broken, "variables.b": False}))


def test_a_variable_over_its_budget_is_not_absorbed() -> None:
    program = Environment({"variables.a": "bool"}).compile("variables.a || true")
    with pytest.raises(CostExceeded):
        program.evaluate(Lazy(**{"variables.a": CostExceeded("too much")}))


def test_a_variable_that_is_not_given_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"no such attribute\(s\): object"):
        OBJECT.compile("object.a").evaluate({})


def test_a_variable_has_the_type_of_its_expression() -> None:
    names = OBJECT.compile("object.items.map(i, string(i.name))")
    environment = OBJECT.extended("variables.names", names.result_type)
    assert environment.compile("variables.names.join(',')").result_type == "string"
    with pytest.raises(CompileError, match="no matching overload"):
        environment.compile("variables.names + 1")


def test_a_variable_is_found_however_it_is_spaced() -> None:
    environment = OBJECT.extended("variables.x", "int")
    assert environment.compile("variables . x + 1").evaluate({"variables.x": 1}) == 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [("1", "int"), ("[1]", "list<int>"), ("{'a': [1.5]}", "map<string, list<double>>"), ("object.a", "dyn"),
     ("object.?a", "optional_type<dyn>"), ("object == 1", "bool"), ("quantity('1')", "kubernetes.Quantity"),
     ("duration('1s')", "duration"), ("type(1)", "type"), ("null", "null"), ("[]", "list<dyn>")],
)  # fmt: skip
def test_the_type_of_a_result_is_known(source: str, expected: str) -> None:
    program = OBJECT.compile(source)
    assert program.result_type == expected
    assert Environment({"x": expected}).compile("[x]").result_type == f"list<{expected}>"


def test_functions_can_be_added() -> None:
    reach = Function("reaches", ("dyn", "string"), "bool", lambda pod, name: pod["to"] == name, receiver=True)
    count = Function("inventory.count", ("string",), "int", {"Pod": 3}.__getitem__)
    environment = Environment({"object": "dyn"}, functions=(reach, count))
    program = environment.compile("object.reaches('db') && inventory.count('Pod') == 3")
    assert program.evaluate({"object": {"to": "db"}}) is True
    assert environment.load(program.dumps()).evaluate({"object": {"to": "db"}}) is True
    with pytest.raises(CompileError, match="no matching overload"):
        environment.compile("object.reaches(1)")


def test_functions_of_newer_servers_are_named_with_their_version() -> None:
    with pytest.raises(
        CompileError, match=r"isCIDR\(\) may be used in policies of servers from 1\.31; this one is of 1\.30"
    ):
        OBJECT.compile("isCIDR('10.0.0.0/8')")
    assert Environment({}, version="1.31").compile("isCIDR('10.0.0.0/8')").evaluate({}) is True
    with pytest.raises(CompileError, match="does not know it yet"):
        Environment({}, version="1.36").compile("semver('1.0.0')")


@pytest.mark.parametrize("stored", [b"", b"nonsense", b"\xe9\x00", OBJECT.compile("1").dumps()[:-3]])
def test_what_was_not_stored_by_this_version_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="no program of this version"):
        OBJECT.load(stored)


def test_neither_import_nor_a_stored_program_loads_the_front_end() -> None:
    stored = OBJECT.compile("object.a.exists(x, x.missing == 1) || object.b == 2").dumps()
    script = (
        "import sys\n"
        "from dabbawala.cel.environment import Environment\n"
        f"program = Environment({{'object': 'dyn'}}).load({stored!r})\n"
        "assert program.evaluate({'object': {'a': [{}], 'b': 2}}) is True\n"
        "print([name for name in sys.modules if name.startswith(('cel_expr_python', 'google'))])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


DEEP: Any = 1
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("object.all(a, object.all(b, object.all(c, object.all(d, a + b + c + d >= 0))))", list(range(40))),
        ("object.map(a, object.map(b, object.map(c, object.map(d, [a, b, c, d])))).size() > 0", list(range(100))),
        (
            "[object].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)",
            ["a"] * 100_000,
        ),
        ("object.replace('', object).size() > 0", "a" * 100_000),
        ("[object].map(x, x.replace('a', x)).map(x, x.replace('a', x)).map(x, x.size())", "a" * 2000),
        ("[1, 2, 3, 4, 5, 6, 7, 8].map(i, object).join('').size() > 0", "a" * 3_000_000),
        ("sets.contains(object, object) || sets.equivalent(object, object)", [[place] for place in range(5000)]),
        ("object == [object[0]]", DEEP),
    ],
    ids=["loops", "lists", "doubling", "growth", "growing growth", "joining", "sets", "depth"],
)
def test_a_catastrophe_ends_soon_and_small(source: str, data: Any) -> None:
    program = OBJECT.compile(source)
    for evaluate in (program.evaluate, program.interpret):
        with pytest.raises(EvaluationError):
            evaluate({"object": data})


def test_a_pattern_takes_no_more_time_than_its_text_is_long() -> None:
    program = OBJECT.compile("object.matches('(x+x+)+y') || object.matches('^(a|a|aa)+$')")
    assert program.evaluate({"object": "a" * 50_000}) is True


@pytest.mark.parametrize(
    "source",
    [
        "1" + " + 1" * 30,
        "!" * 100 + "true",
        "'a'" + " + 'b'" * 30,
        "true" + " && true" * 500,
        "false" + " || false" * 500,
    ],
)
def test_long_chains_are_evaluated(source: str) -> None:
    program = OBJECT.compile(source)
    assert program.evaluate({}) == program.interpret({})


def test_nested_conditions_are_evaluated() -> None:
    source = "object.a"
    for _ in range(12):
        source = f"(object.a && object.b.all(x, {source}))"
    program = OBJECT.compile(source)
    assert program.bound({"object": {"a": True, "b": [1]}}) is not None
    assert program.evaluate({"object": {"a": True, "b": [1]}}) is True


def test_what_is_nested_too_deeply_is_refused_with_a_way_out() -> None:
    with pytest.raises(CompileError, match="nested deeper than 32 levels; give parts of it to variables"):
        OBJECT.compile("1" + " + 1" * 40)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("(object.list + [2]).exists(v, v == n)", False),
        ("object[?'one'].orValue(1) == n", False),
        ("(object.one_or_not ? object['true'] : 1) == n", False),
        ("object[?'list'].orValue('').contains('a')", None),
        ("object[?'text'].orValue(true) && n == 1", None),
        ("[object[?'true'].orValue(1)].exists(v, v < 2)", None),
        ("variables.text == 'a' || variables.text < 'b'", None),
        ("variables.flag || false", None),
        ("variables.number == 1", False),
        ("variables.list.exists(v, v == 1)", False),
        ("size(variables.text) == 1", None),
    ],
)
def test_what_the_data_holds_counts_and_not_what_the_checker_believes(source: str, expected: bool | None) -> None:
    kinds = {"text": "string", "flag": "bool", "number": "int", "list": "list<int>"}
    environment = Environment({"object": "dyn", "n": "int", **{f"variables.{name}": kinds[name] for name in kinds}})
    program = environment.compile(source)
    data = {"list": [True], "one": True, "true": True, "text": "a", "one_or_not": True}
    wrong = {"variables.text": 1, "variables.flag": "true", "variables.number": True, "variables.list": [True]}
    for evaluate in (program.evaluate, program.interpret):
        if expected is None:
            with pytest.raises(EvaluationError, match="no such overload"):
                evaluate({"object": data, "n": 1, **wrong})
        else:
            assert evaluate({"object": data, "n": 1, **wrong}) is expected


def test_environments_that_share_front_ends_see_only_their_own_variables() -> None:
    with_number, with_text = OBJECT.extended("variables.x", "int"), OBJECT.extended("variables.x", "string")
    for _ in range(2):
        assert with_number.compile("variables.x + 1").result_type == "int"
        assert with_text.compile("variables.x + 'a'").result_type == "string"
        for environment, source in (
            (OBJECT, "variables.x"),
            (with_text, "variables.x + 1"),
            (with_number, "variables.y"),
        ):
            with pytest.raises(CompileError):
                environment.compile(source)
        assert OBJECT.compile("object.map(x, x)").evaluate({"object": [1]}) == [1]
    many = OBJECT
    for number in range(60):
        many = many.extended(f"variables.v{number}", "int" if number % 2 else "string")
        assert many.compile(f"size(string(variables.v{number})) + object.n").result_type == "int"


def test_a_budget_starts_unused() -> None:
    budget = Budget(10)
    assert (budget.used, budget.left) == (0, 10)
