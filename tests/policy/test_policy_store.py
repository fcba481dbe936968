"""The law of the store: what is recalled for a policy is what compiling it anew would give, and nothing else is ever
recalled. Whatever is wrong with what is stored, the policy is compiled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function, Store
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.expressions import Dialect
from dabbawala.policy.matching import Request

EVERY = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]


def policy(
    *expressions: str, variables: tuple[tuple[str, str], ...] = (), spec: Object | None = None, **more: Any
) -> Object:
    said = {
        "matchConstraints": {"resourceRules": EVERY},
        "variables": [{"name": name, "expression": expression} for name, expression in variables],
        "validations": [{"expression": expression} for expression in expressions],
        **more,
    }
    return {"metadata": {"name": "held"}, "spec": {**said, **(spec or {})}}


def results(made: CompiledPolicy, obj: Object) -> list[str]:
    request = Request("CREATE", "", "v1", "configmaps", "ConfigMap", namespace="n", name="x", object=obj)
    return [f"{outcome.result} {outcome.message}" for outcome in made.evaluate(request).outcomes]


def learnt(*policies: Object, dialect: Dialect | None = None) -> Store:
    """What the next process finds, after one that compiled these."""
    store = Store()
    for item in policies:
        CompiledPolicy.of(item, replace(dialect or Dialect(), store=store))
    return Store(store.programs)


TWO = (("a", "object.x"), ("b", "variables.a + 1"))


def test_a_policy_is_recalled_as_it_was_compiled() -> None:
    item = policy("variables.b > 2", "object.x < 5", variables=TWO)
    store = learnt(item)
    recalled = CompiledPolicy.of(item, Dialect(store=store))
    assert not store.learnt
    for number in (1, 2, 9):
        assert results(recalled, {"x": number}) == results(CompiledPolicy.of(item), {"x": number})


@pytest.mark.parametrize(
    "other",
    [
        policy("variables.a == 2", variables=(("a", "2"), ("b", "1"))),
        policy("variables.a == 2", variables=(("b", "2"), ("a", "1"))),
        policy("variables.a == 2", variables=(("a", "1"), ("b", "2")), paramKind={"apiVersion": "v1", "kind": "X"}),
        policy("variables.b == 2", variables=(("a", "1"), ("b", "2"))),
        policy("variables.a == 2", "true", variables=(("a", "1"), ("b", "2"))),
        policy(variables=(("a", "1"), ("b", "2")), matchConditions=[{"name": "c", "expression": "true"}]),
    ],
    ids=["values", "order", "params", "expression", "more", "elsewhere"],
)
def test_what_is_stored_of_one_policy_is_nothing_to_another(other: Object) -> None:
    store = learnt(policy("variables.a == 2", variables=(("a", "1"), ("b", "2"))))
    made = CompiledPolicy.of(other, Dialect(store=store))
    assert store.learnt
    assert results(made, {}) == results(CompiledPolicy.of(other), {})


@pytest.mark.parametrize("version", ["1.30", "1.32"])
def test_what_a_server_of_one_version_takes_is_not_recalled_for_another(version: str) -> None:
    item = policy("ip('10.0.0.1').family() == 4")
    store = learnt(item, dialect=Dialect("1.31"))
    made = CompiledPolicy.of(item, Dialect(version, store=store))
    assert bool(made.faults) is (version == "1.30")
    assert store.learnt is not bool(made.faults)


def test_a_variable_of_another_type_is_another_environment() -> None:
    item = policy("inventory.contains('a')")
    store = learnt(item, dialect=Dialect(variables=(("inventory", "string"),)))
    made = CompiledPolicy.of(item, Dialect(variables=(("inventory", "int"),), store=store))
    assert [fault.path for fault in made.faults] == ["spec.validations[0].expression"]


def functions(call: Callable[[], bool]) -> tuple[Function, ...]:
    return (Function("allowed", (), "bool", call),)


def test_a_function_is_the_one_of_who_asks() -> None:
    item, store = policy("allowed()"), Store()
    yes, no = (Dialect(functions=functions(call), store=store) for call in (lambda: True, lambda: False))
    CompiledPolicy.of(item, yes)
    said = [results(CompiledPolicy.of(item, dialect), {})[0].split()[0] for dialect in (yes, no, yes)]
    assert said == ["pass", "fail", "pass"]


def test_faults_are_never_stored_nor_what_stands_beside_them() -> None:
    item = policy("object.x == 1", "1 +", "'text'")
    store = learnt(item)
    assert store.programs == {}
    assert [fault.path for fault in CompiledPolicy.of(item, Dialect(store=store)).faults] == [
        "spec.validations[1].expression",
        "spec.validations[2].expression",
    ]


def shorter(programs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return programs[:-1]


def backwards(programs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return programs[::-1]


def cut(programs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (programs[0][: len(programs[0]) // 2], *programs[1:])


def nothing(programs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return ()


def of_another_form(programs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(b"i\x01\x00\x00\x00" for _ in programs)


@pytest.mark.parametrize("damage", [shorter, backwards, cut, nothing, of_another_form])
def test_what_is_damaged_is_compiled_anew_and_stored_whole(
    damage: Callable[[tuple[bytes, ...]], tuple[bytes, ...]],
) -> None:
    item = policy("variables.b > 2", "object.x < 5", variables=TWO)
    whole = learnt(item).programs
    store = Store({text: damage(programs) for text, programs in whole.items()})
    made = CompiledPolicy.of(item, Dialect(store=store))
    assert not made.faults
    assert results(made, {"x": 9}) == results(CompiledPolicy.of(item), {"x": 9})
    assert store.programs == whole


def test_a_policy_that_is_no_json_is_compiled_and_not_stored() -> None:
    """YAML has numbers that JSON's readers do not take."""
    item = policy(spec={"validations": [{"expression": "object.x == 1", "message": 2**80}]})
    store = Store()
    assert not CompiledPolicy.of(item, Dialect(store=store)).faults
    assert store.programs == {}


def test_threads_may_share_a_store() -> None:
    items = [policy(f"variables.b > {number}", "object.x < 5", variables=TWO) for number in range(20)]
    store = learnt(*items)
    expected = [results(CompiledPolicy.of(item), {"x": 9}) for item in items]
    found: list[list[list[str]]] = []

    def work() -> None:
        found.append([results(CompiledPolicy.of(item, Dialect(store=store)), {"x": 9}) for item in items])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_reference_that_a_comment_hides_is_seen() -> None:
    """Two policies with one text and different variables behind it share no value."""
    text = "variables // the first\n .a == 1"
    made = [CompiledPolicy.of(policy("variables.c", variables=(("a", one), ("c", text)))) for one in ("1", "2")]
    request = Request("CREATE", "", "v1", "configmaps", "ConfigMap", namespace="n", name="x", object={})
    assert [one.evaluate(request).passed for one in made] == [True, False]
