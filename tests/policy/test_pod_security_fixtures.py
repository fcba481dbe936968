"""Upstream's Pod Security fixtures, made anew: each gets the verdict that it is filed under."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import evaluation, pods
from dabbawala.policy.pod_security.catalogue import CHECKS, NEWEST
from dabbawala.policy.pod_security.levels import BASELINE, PRIVILEGED, RESTRICTED, Version
from tests.policy.pod_security_fixtures import GENERATORS, Fixture, fixtures

FILES_OF_1_30_TO_1_37 = 1100
"""As many as upstream keeps under test/testdata for these versions."""

WRAPPERS: dict[str, Callable[[Object], Object]] = {
    "podtemplates": lambda pod: {"template": pod},
    "replicationcontrollers": lambda pod: {"spec": {"template": pod}},
    "replicasets.apps": lambda pod: {"spec": {"selector": {}, "template": pod}},
    "deployments.apps": lambda pod: {"spec": {"replicas": 3, "template": pod}},
    "statefulsets.apps": lambda pod: {"spec": {"serviceName": "db", "template": pod}},
    "daemonsets.apps": lambda pod: {"spec": {"template": pod}},
    "jobs.batch": lambda pod: {"spec": {"completions": 1, "template": pod}},
    "cronjobs.batch": lambda pod: {"spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": pod}}}},
}


def problem(fixture: Fixture, metadata: Object, spec: Object) -> str:
    """Why the verdict is not the fixture's; empty when it is."""
    said = evaluation.details(evaluation.evaluate(fixture.level, Version(fixture.minor), metadata, spec))
    if not fixture.fails:
        return f"{fixture}: {said}" if said else ""
    return "" if fixture.says in said else f"{fixture}: {said or 'allowed'}, but not {fixture.says}"


@pytest.mark.parametrize("minor", range(NEWEST.minor + 1))
def test_every_fixture_of_a_version_gets_its_verdict(minor: int) -> None:
    made = [*fixtures(BASELINE, minor), *fixtures(RESTRICTED, minor)]
    found = [problem(fixture, fixture.pod["metadata"], fixture.pod["spec"]) for fixture in made]
    assert [text for text in found if text] == []


def test_there_are_as_many_fixtures_as_upstream_has() -> None:
    made = [str(f) for minor in range(30, 38) for level in (BASELINE, RESTRICTED) for f in fixtures(level, minor)]
    assert len(set(made)) == len(made) == FILES_OF_1_30_TO_1_37


def test_every_check_has_fixtures_from_its_first_version_on() -> None:
    assert {name: min(g.since for g in made) for name, made in GENERATORS.items()} == {
        check.id: check.forms[0].since for check in CHECKS
    }


@pytest.mark.parametrize("resource", WRAPPERS)
def test_every_fixture_gets_its_verdict_in_the_template_of_a_workload(resource: str) -> None:
    wrong = []
    for minor in range(30, NEWEST.minor + 1):
        for fixture in (*fixtures(BASELINE, minor), *fixtures(RESTRICTED, minor)):
            found = pods.pod_of(resource, {"metadata": {"name": "w"}, **WRAPPERS[resource](fixture.pod)})
            wrong.append(problem(fixture, *found) if found else "no pod found")
    assert [text for text in wrong if text] == []


def test_the_templates_of_all_workloads_are_known() -> None:
    assert set(pods.TEMPLATES) == set(WRAPPERS)


def test_a_privileged_namespace_takes_every_fixture() -> None:
    made = [*fixtures(BASELINE, 37), *fixtures(RESTRICTED, 37)]
    assert not any(evaluation.evaluate(PRIVILEGED, NEWEST, f.pod["metadata"], f.pod["spec"]) for f in made)
