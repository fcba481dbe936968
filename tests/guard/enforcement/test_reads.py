"""What a policy looks at is all that it looks at: whatever else of an object is another one's, the verdict stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks, documents, requests
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.enforcement import reads
from dabbawala.guard.resources import Resource
from dabbawala.policy.admission import CompiledPolicy
from tests.guard import cases

NATIVE = [name for name, check in checks.shipped().items() if check.native]
ABSENT = object()
HOSTS = 3


def policy(expression: str, *, resources: tuple[str, ...] = ("pods",), group: str = "", **spec: Any) -> CompiledPolicy:
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["*"], "resources": list(resources)}
    variables = [{"name": name, "expression": text} for name, text in spec.pop("variables", {}).items()]
    whole = {"matchConstraints": {"resourceRules": [rule]}, "variables": variables, **spec}
    return CompiledPolicy.of(
        {"metadata": {"name": "p"}, "spec": {**whole, "validations": [{"expression": expression}]}}
    )


def fields(compiled: CompiledPolicy, kind: str = "Pod") -> set[str]:
    return {".".join(path) for path in reads.of(compiled)[kind]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("object.spec.hostPID == true", {"spec.hostPID"}),
        ("!has(object.spec.os.name)", {"spec.os.name"}),
        ("object.?spec.?os[?'name'].orValue('') == ''", {"spec.os.name"}),
        ("dyn(object).metadata.annotations['a/b'] == 'c'", {"metadata.annotations.a/b"}),
        ("object.spec.containers.all(c, c.name != object.spec.nodeName)", {"spec.containers", "spec.nodeName"}),
        ("object.spec.a == '' || object.spec == null", {"spec"}),
        ("object.metadata.name == 'x' && object.kind == 'Pod'", set()),
        ("(object.kind == 'Pod' ? object.spec.a : object.spec.b) == 1", {"spec.a"}),
        ("(object.kind in ['Job', 'CronJob'] ? object.spec.a : object.spec.b) == 1", {"spec.b"}),
        ("object.kind != 'Pod' && object.spec.a == 1", set()),
        ("!(object.kind == 'Job') && object.spec.a == 1", {"spec.a"}),
        ("[object].size() == 1", {""}),
        ("{'a': object.spec.a}.size() == 1", {"spec.a"}),
        ("oldObject == null", {""}),
        ("object.spec[object.metadata.labels['x']] == 1", {"spec", "metadata.labels.x"}),
        ("request.operation == 'CREATE'", set()),
        ("this does not compile", {""}),
    ],
)
def test_fields_are_read_off_expressions(expression: str, expected: set[str]) -> None:
    assert fields(policy(expression)) == expected


def test_variables_stand_for_what_they_are_made_of() -> None:
    variables = {
        "pod": "object.kind == 'Pod' ? object.spec : object.?spec.?template.?spec.orValue({})",
        "containers": "variables.pod.?containers.orValue([]) + variables.pod.?initContainers.orValue([])",
    }
    compiled = policy(
        "variables.containers.all(c, has(c.image))", resources=("deployments",), group="apps", variables=variables
    )
    assert fields(compiled, "Deployment") == {"spec.template.spec.containers", "spec.template.spec.initContainers"}


def test_conditions_and_selectors_look_too() -> None:
    conditions = [{"name": "c", "expression": "object.metadata.labels['skip'] == 'no'"}]
    assert fields(policy("true", matchConditions=conditions)) == {"metadata.labels.skip"}
    selecting = policy("true")
    selecting.policy["spec"]["matchConstraints"]["objectSelector"] = {"matchLabels": {"a": "b"}}
    assert fields(selecting) == {"metadata.labels"}


def test_too_many_fields_become_those_that_they_are_parts_of() -> None:
    many = policy(" && ".join(f"object.spec.a{number}.b == 1" for number in range(40)))
    assert fields(many) == {"spec"}


def test_what_nobody_can_name_is_any_kind() -> None:
    assert reads.of(policy("(object.kind == 'X' ? object.a : object.b) == 1", resources=("*",), group="*")) == {
        reads.ANY_KIND: {("a",), ("b",)}
    }


# The law ----------------------------------------------------------------------------------------------------------


def prepared(check_id: str) -> dict[str, list[tuple[Object, Resource]]]:
    """The objects of a check's cases as they would be stored, by kind."""
    found = defaultdict(list)
    for case in cases.read(check_id):
        for obj in case.objects:
            (document,) = documents.read("case.yaml", orjson.dumps(obj)).documents
            stored = Preparation().prepare(document)
            if stored.object is not None:
                found[stored.resource.kind].append((stored.object, stored.resource))
    return found


def grafted(donor: Object, host: Object, paths: reads.Paths) -> Object:
    """The host with the donor's fields at these paths."""
    made: Object = orjson.loads(orjson.dumps({**host, "kind": donor["kind"], "apiVersion": donor["apiVersion"]}))
    for name in ("name", "namespace"):
        made["metadata"].pop(name, None)
        if name in donor["metadata"]:
            made["metadata"][name] = donor["metadata"][name]
    for path in paths:
        transplant(donor, made, path)
    return made


def transplant(donor: Any, host: Any, path: reads.Path) -> None:
    first, *rest = path
    value = donor.get(first, ABSENT) if isinstance(donor, dict) else ABSENT
    if rest and isinstance(value, dict) and isinstance(host.setdefault(first, {}), dict):
        transplant(value, host[first], tuple(rest))
    elif rest and value is ABSENT and isinstance(host.get(first), dict):
        transplant({}, host[first], tuple(rest))
    elif value is ABSENT:
        host.pop(first, None)
    else:
        host[first] = value


def pairs(check_id: str) -> Iterator[tuple[str, Object, Object, Resource]]:
    for kind, objects in prepared(check_id).items():
        for donor, resource in objects:
            for host, _ in objects[:HOSTS]:
                yield kind, donor, host, resource


@pytest.mark.parametrize("check_id", NATIVE)
def test_objects_that_agree_in_these_fields_get_the_same_verdict(check_id: str) -> None:
    compiled = CompiledPolicy.of(checks.shipped()[check_id].document)
    looked_at = reads.of(compiled)
    compared = 0
    for kind, donor, host, resource in pairs(check_id):
        paths = looked_at.get(kind, looked_at.get(reads.ANY_KIND, reads.EVERYTHING))
        if () in paths:
            continue
        both = donor, grafted(donor, host, paths)
        said = [compiled.match(requests.creating(obj, resource)) for obj in both]
        verdicts = [None if request is None else compiled.evaluate(request) for request in said]
        first, second = (None if verdict is None else (verdict.passed, verdict.excluded) for verdict in verdicts)
        assert first == second, (donor, both[1])
        compared += 1
    assert compared, f"{check_id} looks at everything, or its cases are of no kind that it is about"
