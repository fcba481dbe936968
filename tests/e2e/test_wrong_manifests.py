"""Manifests that cannot be: kubectl is told which field or kind is wrong, never of an error of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.kubectl import Kubectl

SIMULATED = ("--nodes", "0", "--simulated-nodes", "1")


@pytest.fixture(scope="module")
def simulated(binaries: dict[str, Path]) -> Iterator[Kubectl]:
    """kubectl on a cluster without process pods: enough for whatever the API server refuses."""
    with clusters.private() as made:
        made("up", *SIMULATED)
        yield Kubectl(binaries["kubectl"], made.kubeconfig(), made.home)


WRONG_MANIFESTS = {
    "an unknown version": (
        "apiVersion: apps/v7\nkind: Deployment\nmetadata: {name: a}",
        'no matches for kind "Deployment" in version "apps/v7"',
    ),
    "an unknown kind": (
        "apiVersion: v1\nkind: Pood\nmetadata: {name: a}",
        'no matches for kind "Pood" in version "v1"',
    ),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}", "kind"),
    "no name": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "name"),
    "no YAML": ("apiVersion: v1\nkind: {ConfigMap", "error"),
    "a field that does not exist": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containerz: []}",
        'unknown field "spec.containerz"',
    ),
    "a field of the wrong type": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [1, 2]",
        "data",
    ),
    "no container": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}", "spec.containers"),
    "a name that is no name": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}", "metadata.name"),
    "a selector that its own template does not match": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {app: a}}\n"
        "  template:\n    metadata: {labels: {app: b}}\n    spec: {containers: [{name: c, image: i}]}",
        "`selector` does not match template `labels`",
    ),
    "a limit below its request": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n"
        "  - {name: c, image: i, resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}",
        "must be less than or equal to memory limit",
    ),
    "two containers of one name": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n"
        "  - {name: c, image: i}\n  - {name: c, image: i}",
        "Duplicate value",
    ),
    "a mount of no volume": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n"
        "  - {name: c, image: i, volumeMounts: [{name: v, mountPath: /v}]}",
        "Not found",
    ),
    "a negative number of replicas": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: -1\n"
        "  selector: {matchLabels: {app: a}}\n"
        "  template:\n    metadata: {labels: {app: a}}\n    spec: {containers: [{name: c, image: i}]}",
        "must be greater than or equal to 0",
    ),
    "no surge and nothing unavailable": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n"
        "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}\n  selector: {matchLabels: {app: a}}\n"
        "  template:\n    metadata: {labels: {app: a}}\n    spec: {containers: [{name: c, image: i}]}",
        "may not be 0 when `maxSurge` is 0",
    ),
    "a namespace that is not there": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: nowhere}",
        'namespaces "nowhere" not found',
    ),
}


@pytest.mark.parametrize("what", WRONG_MANIFESTS)
def test_manifests_that_cannot_be_are_refused_with_the_field_or_kind(simulated: Kubectl, what: str) -> None:
    manifest, words = WRONG_MANIFESTS[what]
    ran = simulated.run("create", "-f", "-", stdin=manifest)
    assert ran.status == 1, str(ran)
    assert words in ran.err, str(ran)
    assert not re.search(r"Traceback|InternalError", ran.err), str(ran)
