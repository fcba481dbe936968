"""The status of admission policies in a running cluster: what their expressions get wrong about objects."""

from __future__ import annotations

from typing import Any

from dabbawala.api import admissionregistration_v1, apiextensions_v1
from tests.cluster.controllers.conftest import Cluster

POLICY, CRD = admissionregistration_v1.VALIDATING_ADMISSION_POLICY, apiextensions_v1.CUSTOM_RESOURCE_DEFINITION


def spec(*expressions: str, group: str = "apps", resource: str = "deployments", **more: Any) -> dict[str, Any]:
    rule = {"operations": ["CREATE"], "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource]}
    validations = [{"expression": text} for text in expressions]
    return {"matchConstraints": {"resourceRules": [rule]}, "validations": validations, **more}


async def warnings(cluster: Cluster, name: str, generation: int = 1) -> list[dict[str, str]]:
    async def looked_at() -> dict[str, Any] | None:
        found = (await cluster.get(POLICY, name) or {}).get("status") or {}
        return found if found.get("observedGeneration") == generation else None

    found: dict[str, Any] = await cluster.until(f"generation {generation} of {name}", looked_at)
    told: list[dict[str, str]] = found["typeChecking"].get("expressionWarnings") or []
    return told


async def test_a_field_that_no_object_has_is_a_warning_until_it_is_put_right(cluster: Cluster) -> None:
    await cluster.create(POLICY, "p", spec=spec("object.spec.replica > 1", "object.spec.replicas > 1"))
    assert await warnings(cluster, "p") == [
        {
            "fieldRef": "spec.validations[0].expression",
            "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'\n"
            " | object.spec.replica > 1\n | ...........^\n",
        }
    ]
    await cluster.patch(POLICY, "p", {"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}})
    assert await warnings(cluster, "p", 2) == []


async def test_a_policy_without_faults_has_been_looked_at(cluster: Cluster) -> None:
    await cluster.create(POLICY, "p", spec=spec("object.metadata.labels['a'] == 'b'", resource="*"))
    assert await warnings(cluster, "p") == []


async def test_custom_kinds_and_parameters_are_typed_by_their_definitions(cluster: Cluster) -> None:
    limits = {"type": "object", "properties": {"max": {"type": "integer"}}}
    root = {"openAPIV3Schema": {"type": "object", "properties": {"spec": limits}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": root}
    names = {"plural": "limits", "kind": "Limit"}
    definition = {"group": "rules.example.com", "scope": "Cluster", "names": names, "versions": [version]}
    await cluster.create(CRD, "limits.rules.example.com", spec=definition)
    about = spec("object.spec.max < params.spec.most", group="rules.example.com", resource="limits",
                 paramKind={"apiVersion": "rules.example.com/v1", "kind": "Limit"})  # fmt: skip
    await cluster.create(POLICY, "p", spec=about)

    async def told() -> bool:
        status = (await cluster.get(POLICY, "p") or {}).get("status") or {}
        listed = (status.get("typeChecking") or {}).get("expressionWarnings") or []
        return any("undefined field 'most'" in item["warning"] for item in listed)

    await cluster.until("the misspelt parameter is noticed", told)
