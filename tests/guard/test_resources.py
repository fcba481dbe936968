"""Kinds are led to the resources that policies name, and old API versions to the release that ended them."""

from __future__ import annotations

import pytest

from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import schema
from dabbawala.guard import resources
from dabbawala.guard.resources import Resources


@pytest.mark.parametrize(
    ("api_version", "kind", "plural", "namespaced"),
    [
        ("v1", "Pod", "pods", True), ("v1", "Namespace", "namespaces", False), ("v1", "Endpoints", "endpoints", True),
        ("apps/v1", "StatefulSet", "statefulsets", True), ("extensions/v1beta1", "Ingress", "ingresses", True),
        ("networking.istio.io/v1beta1", "Gateway", "gateways", True),
        ("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", False),
        ("argoproj.io/v1alpha1", "Rollout", "rollouts", True), ("velero.io/v1", "Backup", "backups", True),
        ("postgresql.cnpg.io/v1", "Cluster", "clusters", True), ("keda.sh/v1", "ScaledObject", "scaledobjects", True),
        ("monitoring.coreos.com/v1", "Probe", "probes", True), ("karpenter.sh/v1", "NodePool", "nodepools", False),
        ("cert-manager.io/v1", "ClusterIssuer", "clusterissuers", False), ("kyverno.io/v1", "Policy", "policies", True),
        ("constraints.gatekeeper.sh/v1beta1", "K8sRequiredLabels", "k8srequiredlabels", False),
    ],
)  # fmt: skip
def test_well_known_kinds_have_their_resource(api_version: str, kind: str, plural: str, namespaced: bool) -> None:
    found = Resources().of(api_version, kind)
    assert (found.plural, found.namespaced, found.guessed) == (plural, namespaced, False)
    assert found.api_version == api_version


@pytest.mark.parametrize(
    ("kind", "plural"), [("Widget", "widgets"), ("Policy", "policies"), ("Gateway", "gateways"), ("Mesh", "meshes")]
)
def test_an_unknown_kind_gets_the_plural_of_english_and_says_so(kind: str, plural: str) -> None:
    found = Resources().of("example.com/v1", kind)
    assert (found.plural, found.namespaced, found.guessed) == (plural, True, True)
    assert not Resources().of("example.com/v1", "ClusterWidget").namespaced


def test_a_definition_in_the_scan_says_more_than_any_table() -> None:
    names = {"kind": "Widget", "plural": "widgetry"}
    spec = {"group": "example.com", "scope": "Cluster", "names": names}
    known = Resources([{"kind": "CustomResourceDefinition", "spec": spec}])
    found = known.of("example.com/v1", "Widget")
    assert (found.plural, found.namespaced, found.guessed) == ("widgetry", False, False)
    assert known.kind_of("example.com", "widgetry") == "Widget"
    assert known.kind_of("apps", "deployments") == "Deployment"


@pytest.mark.parametrize("spec", [None, [], {"names": []}, {"names": {"kind": 1, "plural": "x"}, "group": "g"}])
def test_a_definition_that_is_none_is_ignored(spec: object) -> None:
    assert Resources([{"kind": "CustomResourceDefinition", "spec": spec}]).of("g/v1", "X").guessed


def test_the_table_agrees_with_what_the_product_declares() -> None:
    table = resources._table()
    declared = {(kind.group, kind.kind): (kind.plural, kind.namespaced) for kind in KINDS}
    assert {key: tuple(table[key]) for key in declared if key in table} == {
        key: value for key, value in declared.items() if key in table
    }


def test_every_removed_version_is_gone_from_the_newest_schema_and_its_replacement_is_there() -> None:
    newest = resources.release(schema.kubernetes_version())
    assert newest is not None
    for (version, kind), lifecycle in resources.lifecycles().items():
        served = bool(schema.definition_of(*resources.split(version), kind))
        assert served == (lifecycle.state(newest) != "removed"), (version, kind)
        if lifecycle.replacement and lifecycle.replacement != "policy/v1beta1" and lifecycle.removed:
            assert schema.definition_of(*resources.split(lifecycle.replacement), kind), (version, kind)
            assert lifecycle.available is not None
        assert lifecycle.removed is None or lifecycle.deprecated < lifecycle.removed


@pytest.mark.parametrize(
    ("version", "kind", "target", "state"),
    [
        ("extensions/v1beta1", "Deployment", (1, 15), "deprecated"),
        ("extensions/v1beta1", "Ingress", (1, 22), "removed"),
        ("policy/v1beta1", "PodDisruptionBudget", (1, 24), "deprecated"),
        ("policy/v1beta1", "PodDisruptionBudget", (1, 25), "removed"), ("batch/v1beta1", "CronJob", (1, 20), "served"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", (1, 26), "removed"),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", (1, 32), "removed"),
        ("v1", "Endpoints", (1, 36), "deprecated"),
    ],
)  # fmt: skip
def test_the_state_of_an_api_version_depends_on_the_release(
    version: str, kind: str, target: tuple[int, int], state: str
) -> None:
    assert resources.lifecycles()[version, kind].state(target) == state


def test_versions_that_never_were_are_unknown() -> None:
    assert resources.is_unknown_version("apps/v2", "Deployment")
    assert resources.is_unknown_version("v1", "Deployment")
    assert not resources.is_unknown_version("apps/v1", "Deployment")
    assert not resources.is_unknown_version("extensions/v1beta1", "Deployment")
    assert not resources.is_unknown_version("example.com/v1", "Deployment")
