"""Policies about workloads: what they share, what parameters change, and what they cost on a very large pod."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest

from dabbawala.api import core_v1, kinds
from dabbawala.api.kind import schema_of
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks
from dabbawala.policy import type_checking
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import UPDATE
from dabbawala.policy.scope import Surroundings
from dabbawala.policy.type_checking import Typed
from tests.guard import cases
from tests.guard.test_policies import NATIVE, forms

OURS = [name for name in NATIVE if checks.shipped()[name].area in ("workload", "reliability")]
WITH_PARAMETERS = [name for name in OURS if "paramKind" in checks.shipped()[name].spec]
PREAMBLE = ("path", "pod", "containers")
READ = "params == null ? {} : params.?data.orValue({})"
"""The one place where parameters are read, so that a form without parameters is made by putting `{}` there."""
PARAMETERS = schema_of(core_v1.CONFIG_MAP)
LIMIT = 1_000_000
"""Of one expression, in CEL's units."""


@cache
def policy(name: str) -> CompiledPolicy:
    return CompiledPolicy.of(checks.shipped()[name].document)


def variables(name: str) -> dict[str, str]:
    return {item["name"]: item["expression"] for item in checks.shipped()[name].spec["variables"]}


def passes(name: str, obj: Object, params: dict[str, str] | None = None, labels: dict[str, str] | None = None) -> bool:
    *_, request = forms(obj)
    configuration = None if params is None else {"metadata": {"name": "p", "namespace": "cases"}, "data": params}
    namespace = {"metadata": {"name": "cases", "labels": labels or {}}}
    return policy(name).evaluate(request, Surroundings(namespace=namespace, params=configuration)).passed


def pod(container: Object | None = None, labels: dict[str, str] | None = None, **spec: object) -> Object:
    web = {"name": "web", "image": "registry.example.com/web:1.4.2", **(container or {})}
    meta = {"name": "case", "namespace": "cases", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [web], **spec}}


def test_the_preamble_is_the_same_text_in_every_policy_that_has_it() -> None:
    texts = {tuple(found[part] for part in PREAMBLE) for name in OURS if "pod" in (found := variables(name))}
    assert len(texts) == 1


@pytest.mark.parametrize("name", OURS)
def test_a_server_has_nothing_to_warn_of_when_it_checks_types(name: str) -> None:
    document = checks.shipped()[name].document
    found = [kind for named in type_checking.resources(document) if (kind := kinds.by_resource(*named))]
    typed = [
        Typed(kind.group, kind.version, kind.kind, schema) for kind in found if (schema := schema_of(kind)) is not None
    ]
    assert len(typed) == len(found) > 0
    assert type_checking.warnings(document, typed, PARAMETERS) == []


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameters_are_read_in_one_variable(name: str) -> None:
    found = variables(name)
    assert found.pop("parameters") == READ
    validations = checks.shipped()[name].spec["validations"]
    assert not any("params" in text for text in (*found.values(), *map(str, validations)))


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_the_form_without_parameters_says_the_same(name: str) -> None:
    document = copy.deepcopy(checks.shipped()[name].document)
    del document["spec"]["paramKind"]
    for variable in document["spec"]["variables"]:
        variable["expression"] = "{}" if variable["name"] == "parameters" else variable["expression"]
    twin = CompiledPolicy.of(document)
    assert not twin.faults
    for case in cases.read(name):
        for request in (form for obj in case.objects for form in forms(obj)):
            assert twin.evaluate(request).passed is case.good, str(case)


def test_a_team_may_allow_more_memory_over_the_request() -> None:
    wide = pod({"resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "2Gi"}}})
    assert not passes("REL-02", wide, {})
    assert passes("REL-02", wide, {"maximumRatio": "8"})
    assert not passes("REL-02", wide, {"maximumRatio": "1.5"})


def test_a_team_chooses_between_cpu_limits_and_none() -> None:
    limited, free = pod({"resources": {"limits": {"cpu": "1"}}}), pod()
    assert {
        choice: (passes("REL-03", limited, {"cpuLimit": choice}), passes("REL-03", free, {"cpuLimit": choice}))
        for choice in ("required", "forbidden", "optional")
    } == {"required": (True, False), "forbidden": (False, True), "optional": (True, True)}


def test_data_classes_and_sandboxes_are_those_that_the_team_names() -> None:
    secret = pod(labels={"tier": "secret"}, runtimeClassName="confidential")
    assert passes("WL-35", secret)
    params = {"label": "tier", "classes": "secret,top-secret"}
    assert not passes("WL-35", secret, params)
    assert passes("WL-35", secret, {**params, "runtimeClasses": "confidential"})


def test_the_data_class_of_a_namespace_counts_for_its_pods() -> None:
    assert not passes("WL-35", pod(), labels={"data-class": "card"})
    assert passes("WL-35", pod(labels={"data-class": "public"}), labels={"data-class": "card"})


def test_a_debug_container_that_joins_a_running_pod_is_judged() -> None:
    joined = pod(ephemeralContainers=[{"name": "debug", "image": "debug:1", "securityContext": {"privileged": True}}])
    *_, created = forms(joined)
    *_, before = forms(pod())
    request = replace(created, operation=UPDATE, subresource="ephemeralcontainers", old=before.object, memo={})
    found = policy("WL-01").match(request)
    assert found is not None
    assert not policy("WL-01").evaluate(found).passed
    assert policy("WL-02").match(request) is None


def large(containers: int, entries: int) -> Object:
    """A Deployment whose containers have everything, with that many ports, variables and mounts each."""
    probe = {"httpGet": {"port": "port-1", "path": "/ready"}}
    container = {
        "image": "git-sync:1",
        "command": ["sh", "-c", "echo sudo curl wget " * 10],
        "env": [{"name": f"VARIABLE_{n}", "value": str(n)} for n in range(entries)],
        "ports": [{"containerPort": 2000 + n, "name": f"port-{n}"} for n in range(entries)],
        "livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe,
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "securityContext": {"capabilities": {"add": ["CHOWN"] * 10, "drop": ["ALL"]}},
        "volumeMounts": [{"name": f"v{n}", "mountPath": f"/v{n}"} for n in range(entries)],
    }  # fmt: skip
    named = [{**copy.deepcopy(container), "name": f"c{n}"} for n in range(containers)]
    volumes = [{"name": f"v{n}", "hostPath": {"path": f"/srv/data/{n}"}} for n in range(entries)]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": named, "volumes": volumes}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"}, "spec": spec}


@pytest.mark.parametrize(("containers", "entries", "share"), [(10, 30, 0.05), (40, 60, 0.5)])
def test_a_very_large_workload_stays_far_below_the_cost_limit(containers: int, entries: int, share: float) -> None:
    *_, request = forms(large(containers, entries))
    costs = {name: policy(name).cost(request) for name in OURS}
    assert {name: cost for name, cost in costs.items() if cost > share * LIMIT} == {}
