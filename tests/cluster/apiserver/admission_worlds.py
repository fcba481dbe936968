"""Policies, bindings and what they judge, for the tests of admission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.guarded import kind

POLICY = kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
BINDING = kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding")
CONFIG_MAP = kind("v1", "ConfigMap")
NAMESPACE = kind("v1", "Namespace")
POD = kind("v1", "Pod")
DEPLOYMENT = kind("apps/v1", "Deployment")
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


def rule(resources: Sequence[str] = ("configmaps",), *operations: str, group: str = "") -> Object:
    return {
        "operations": list(operations) or ["CREATE", "UPDATE"],
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "resources": list(resources),
    }


def policy(expression: str = "", *rules: Object, name: str = "p.example.com", **spec: Any) -> Object:
    validation = {"expression": expression} if expression else None
    validation = {**(validation or {}), **spec.pop("validation", {})}
    constraints = {"resourceRules": list(rules) or [rule()], **spec.pop("constraints", {})}
    validations = [validation] if validation else []
    return {
        "metadata": {"name": name},
        "spec": {"matchConstraints": constraints, "validations": validations, **spec},
    }


def binding(*actions: str, name: str = "b.example.com", to: str = "p.example.com", **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"policyName": to, "validationActions": list(actions) or ["Deny"], **spec},
    }


async def install(server: APIServer, made: Object, *bound: Object) -> None:
    client = server.client()
    await client.create(POLICY, made)
    for item in bound or (binding(),):
        await client.create(BINDING, item)


def config_map(name: str = "m", **data: str) -> Object:
    return {"metadata": {"name": name}, "data": data}


def pod(name: str = "web", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "web", "image": "web:1"}], **spec}}
