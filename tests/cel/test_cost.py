"""Cost as Kubernetes counts it. The rules are cel-go's and Kubernetes'; each line says what it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.cel import cost
from dabbawala.cel.authorizer import Authorizer, Decision
from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CostExceeded
from dabbawala.cel.program import Budget

TYPES = {
    "x": "int", "l": "list<int>", "m": "map<string, dyn>", "s": "string", "t": "string", "o": "dyn", "a": "bool",
    "b": "bool", "p": "list<int>", "q": "list<int>", "authorizer": "authorizer", "raw": "bytes",
}  # fmt: skip
DATA: dict[str, Any] = {
    "x": 1, "l": [1, 2], "m": {"key": {"inner": 1}}, "s": "x" * 500, "t": "y" * 500, "o": {"f": {"g": [1]}}, "a": False,
    "b": False, "p": [1], "q": [1], "authorizer": Authorizer(lambda asked: Decision(True)), "raw": b"x" * 500,
}  # fmt: skip

# As cel-go's and Kubernetes' own tests count: without folding of constants.
UNFOLDED = {
    "'Hello World!'": 0,  # constants are free
    "l": 1,  # a name
    "m['key']": 2,  # a name and a part
    "l[0]": 2,
    "m.key.inner": 3,
    "m['ke' + 'y']": 3,  # and the concatenation
    "l[x]": 2,  # a name as a key is a part
    "has(m.key)": 1,  # the chain; the tested field is free
    "has(m.key.inner)": 2,
    "[1, 2, 3]": 10,
    "{'a': 1, 'b': 2}": 30,
    "[].all(x, true)": 11,  # the list and the result
    "[1, 2, 3].all(x, true)": 20,  # list 10, three rounds of condition 2 and step 1, result 1
    "[1, 2, 3].all(x, x > 0)": 26,  # and in each round a name and a comparison
    "[1, 2, 3].exists(x, x > 2)": 29,  # condition with a negation
    "m.all(k, m[k].inner > 3)": 9,  # name 1, condition 2, step 1, chain 3, comparison 1, result 1
    "false || false": 0,
    "a || b": 2,
    "1 < 2": 1,
    "1 == 2": 1,
    "1 + 1": 1,
    "2 in [1, 2, 3]": 13,
    "true ? 1 : 2": 0,
    "false ? false : 1 > 3": 1,
    "(x > 2 ? p : q).all(y, true)": 6,  # the chosen name is free: the condition 2, one round 3, result 1
    "size('123')": 1,
    "size(s)": 2,
    "'12345678901234567890' == '123456789012345678901234567890'": 2,  # a tenth of the shorter
    "string(1)": 1,
    "string(raw)": 51,  # a name and a tenth of 500
    "bytes(s)": 51,
    "s.contains(t)": 2502,  # two names and 50 * 50
    "s.matches('[0-9]')": 103,  # a name, and ceil(501 / 10) times ceil(5 / 4)
    "'123'.matches('[0-9]')": 2,
    "'idc'.startsWith(t)": 2,
    "s.endsWith('x')": 51,
    "'abc 123 def 123'.split(' ')": 3,
    "'abc 123 def 123'.replace('123', '456', 1)": 3,
    "'abc 123 def 123'.substring(5, 8)": 2,
    "'  abc 123 def 123  '.trim()": 2,
    "'abc 123 def 123'.find('123')": 2,
    "['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join(' ')": 15,  # list 10, a fifth of 22
    "['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join()": 13,
    "[1, 2, 3, 4, 5].sum()": 15,
    "[uint(1), uint(2), uint(3), uint(4), uint(5)].sum()": 20,  # five conversions
    "['012345678901', '012345678901', '012345678901', '012345678901', '012345678901'].isSorted()": 15,
    "'01234567890123456789012345678901234567890123456789'.indexOf('123')": 5,
    "[1, 2, 3, 4, 5].indexOf(3)": 15,
    "url('https:://kubernetes.io/').getScheme()": 4,
    "url('https:://kubernetes.io/') == url('http://x.b')": 5,  # 3 and 1 to read, 1 to compare
    "sets.contains([], [])": 21,
    "sets.contains([1], [1])": 22,
    "sets.contains([1, 2, 3, 4], [2, 3])": 29,
    "!sets.contains([1], [2])": 23,
    "sets.equivalent([1], [1])": 23,
    "sets.equivalent([1], [1, 1])": 25,
    "sets.intersects([1], [2])": 22,
    "quantity('12Mi')": 1,
    "quantity('200M') == quantity('200M')": 3,
    "quantity('50M').isLessThan(quantity('50Mi'))": 3,
    "quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() > 0": 7,
    "authorizer.path('/healthz')": 2,
    "authorizer.path('/healthz').check('get').allowed()": 350_003,
    "authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('backend')": 6,
}
# As a server counts: constants are folded, and a look-up in constants is a hash.
FOLDED = {
    "[1, 2, 3]": 0,
    "{'a': 1}": 0,
    "[1, 2, 3].all(x, x > 0)": 16,
    "[duration('1s')]": 0,
    "x in [1, 2, 3]": 1,
    "s in ['a', 'b']": 1,
    "x in l": 4,  # two names and the length
    "o.f.g.map(y, y)": 17,  # chain 3, list 10, sum 1, the names y and twice the result
    "o.?f.?g.hasValue()": 4,  # chain 3, call 1
    "o.?nope.orValue(1)": 2,  # a chain; orValue is free
    "has(o.f) && has(o.f.g)": 3,
}


@pytest.mark.parametrize(("source", "expected"), UNFOLDED.items())
def test_cost_is_that_of_the_published_rules(source: str, expected: int) -> None:
    assert Environment(TYPES).compile(source).cost(DATA, folding=False) == expected


@pytest.mark.parametrize(("source", "expected"), FOLDED.items())
def test_cost_is_that_of_a_server(source: str, expected: int) -> None:
    assert Environment(TYPES).compile(source).cost(DATA) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ip('192.168.0.1')", 2),
        ("ip('2001:db8:3333:4444:5555:6666:7777:8888').family()", 5),
        ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", 8),
        ("cidr('192.168.0.0/16').ip()", 3),
        ("cidr('192.168.0.0/16').containsIP('192.0.0.1')", 4),
        ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 7),
    ],
)
def test_addresses_cost_what_their_library_says(source: str, expected: int) -> None:
    assert Environment({}, version="1.31").compile(source).cost({}, folding=False) == expected


def test_an_expression_ends_at_its_limit_on_either_way() -> None:
    program = Environment({"l": "list<int>"}).compile("l.all(x, l.all(y, l.all(z, x + y + z >= 0)))")
    variables = {"l": list(range(200))}
    for evaluate in (program.evaluate, program.interpret):
        with pytest.raises(CostExceeded, match="actual cost limit exceeded"):
            evaluate(variables)
    assert program.evaluate({"l": [1, 2, 3]}) is True


def test_what_is_just_under_the_limit_is_evaluated_though_its_bound_is_over() -> None:
    program = Environment({"l": "list<int>"}).compile("l.all(x, l.exists(y, x == y))")
    variables = {"l": list(range(400))}
    assert program.bound(variables) is None
    assert 500_000 < program.cost(variables) < cost.PER_EXPRESSION
    assert program.evaluate(variables) is True


def test_two_questions_for_permission_fit_into_an_expression_and_three_do_not() -> None:
    ask = "authorizer.path('/a').check('get').allowed()"
    environment = Environment({"authorizer": "authorizer"})
    assert environment.compile(f"{ask} && {ask}").evaluate(DATA) is True
    with pytest.raises(CostExceeded):
        environment.compile(f"{ask} && {ask} && {ask}").evaluate(DATA)


def test_a_budget_is_shared_and_exact_when_it_matters() -> None:
    program = Environment({"l": "list<int>"}).compile("l.all(x, x >= 0)")
    variables = {"l": list(range(100))}
    each = program.cost(variables)
    budget = Budget(3 * each)
    for _ in range(3):
        assert program.evaluate(variables, budget=budget) is True
    assert budget.used == 3 * each
    with pytest.raises(CostExceeded):
        program.evaluate(variables, budget=budget)


def test_an_error_is_paid_for_too() -> None:
    program = Environment({"o": "dyn"}).compile("o.f.missing == 1")
    budget = Budget(100)
    with pytest.raises(Exception, match="no such key: missing"):
        program.evaluate(DATA, budget=budget)
    assert budget.used >= 3


def test_a_value_over_the_budget_is_never_absorbed() -> None:
    program = Environment({"l": "list<int>"}).compile("true || l.all(x, l.all(y, l.all(z, true)))")
    assert program.evaluate({"l": list(range(200))}) is True
    program = Environment({"l": "list<int>"}).compile("l.all(x, l.all(y, l.all(z, true))) || true")
    with pytest.raises(CostExceeded):
        program.evaluate({"l": list(range(200))})
