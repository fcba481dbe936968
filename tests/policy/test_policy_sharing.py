"""The law of sharing: whatever other policies have computed of a request, a policy says the same of it, at the same
cost. Held on the policies that the product ships, over their own good and bad objects."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

import dabbawala.guard
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy import admission
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.index import Index
from dabbawala.policy.matching import Request
from dabbawala.policy.scope import Surroundings
from tests.guard import cases

POLICIES = Path(dabbawala.guard.__file__).parent / "policies"
RESOURCES = {
    "Pod": ("", "v1", "pods"), "Deployment": ("apps", "v1", "deployments"), "CronJob": ("batch", "v1", "cronjobs"),
}  # fmt: skip


@cache
def policies() -> tuple[CompiledPolicy, ...]:
    documents = (yaml.safe_load(path.read_text()) for path in sorted(POLICIES.rglob("*.yaml")))
    native = (item for item in documents if item.get("kind") == "ValidatingAdmissionPolicy")
    return tuple(CompiledPolicy.of(item) for item in native)


def creating(obj: Object) -> Request:
    group, version, resource = RESOURCES[obj["kind"]]
    return Request(
        "CREATE", group, version, resource, obj["kind"], namespace="cases", name=meta.name(obj), object=obj
    )  # fmt: skip


@cache
def objects() -> tuple[Object, ...]:
    """A good and a bad one of each check about pods."""
    every = (case for check in cases.ids() if check.startswith("WL") for case in cases.read(check))
    found = (obj for case in every for obj in case.objects if obj.get("kind") in RESOURCES)
    return tuple(found)[::5]


def test_there_is_something_to_hold_the_law_on() -> None:
    assert len(policies()) > 50
    assert len(objects()) > 20
    shared = [variable for made in policies() for variable in made.variables.values() if variable.identity]
    assert any(variable.identity.holders > 20 for variable in shared if variable.identity)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_policy_says_the_same_whatever_others_have_computed(backwards: bool) -> None:
    index = Index(policies(), lambda made: made.matcher)
    for obj in objects():
        together = creating(obj)
        about = index.about(together)
        for made in reversed(about) if backwards else about:
            alone = creating(obj)
            assert made.evaluate(together) == made.evaluate(alone), made.name


def test_what_is_not_metered_says_the_same_as_what_is() -> None:
    index = Index(policies(), lambda made: made.matcher)
    said = []
    for obj in objects():
        together = creating(obj)
        for made in index.about(together):
            found = made.evaluate(together)
            assert found == made.exactly(creating(obj)), made.name
            said.append(found.passed)
    assert 100 < sum(said) < len(said) - 100


def test_what_may_be_over_the_budget_is_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    obj = objects()[0]
    about = Index(policies(), lambda made: made.matcher).about(creating(obj))
    for budget in (0, 50, 500):
        monkeypatch.setattr(admission, "EVALUATION_BUDGET", budget)
        for made in about:
            assert made.evaluate(creating(obj)) == made.exactly(creating(obj)), (made.name, budget)


def test_a_policy_costs_the_same_whatever_others_have_computed() -> None:
    index = Index(policies(), lambda made: made.matcher)
    for obj in objects()[::4]:
        together = creating(obj)
        for made in index.about(together):
            assert made.cost(together) == made.cost(creating(obj)), made.name


LIMITED = CompiledPolicy.of({
    "metadata": {"name": "limited"},
    "spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [
            {"name": "most", "expression": "int(params == null ? '3' : params.data.most)"},
            {"name": "doubled", "expression": "variables.most * 2"},
            {"name": "own", "expression": "object.spec.replicas + variables.doubled"},
        ],
        "validations": [{"expression": "variables.own <= 10"}],
    },
})  # fmt: skip


def test_what_reads_nothing_of_a_request_is_computed_once_and_with_parameters_each_time() -> None:
    for replicas, most, passes in [(4, "", True), (5, "", False), (4, "4", False), (4, "1", True), (4, "", True)]:
        request = Request("CREATE", "apps", "v1", "deployments", "Deployment", object={"spec": {"replicas": replicas}})
        around = Surroundings(params={"data": {"most": most}} if most else None)
        assert LIMITED.evaluate(request, around).passed is passes
        assert LIMITED.exactly(request, around).passed is passes
    constants = {name: variable.constant for name, variable in LIMITED.variables.items()}
    assert {name: found.answer and found.answer[0] for name, found in constants.items() if found is not None} == {
        "variables.most": 3, "variables.doubled": 6,
    }  # fmt: skip
