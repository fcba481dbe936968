"""Policies, bindings and requests, for the tests of admission policies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.access import Attributes, Decision, User
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request

ANN = User("ann", ("devs", "system:authenticated"), "u-1", {"team": ("shop",)})
NAMESPACE: Object = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": "shop", "uid": "n-1", "labels": {"kubernetes.io/metadata.name": "shop", "tier": "prod"},
        "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}],
    },
    "spec": {"finalizers": ["kubernetes"]},
    "status": {"phase": "Active"},
}  # fmt: skip


def rule(**change: Any) -> Object:
    usual = {"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"]}
    return {**usual, "resources": ["deployments"], **change}


def policy(*expressions: str, **spec: Any) -> Object:
    made: Object = {"matchConstraints": {"resourceRules": [rule()]}, **spec}
    made.setdefault("validations", [{"expression": expression} for expression in expressions])
    return {"metadata": {"name": "p"}, "spec": made}


def compiled(*expressions: str, **spec: Any) -> CompiledPolicy:
    return CompiledPolicy.of(policy(*expressions, **spec))


def deployment(replicas: int = 3, **metadata: Any) -> Object:
    container = {"name": "web", "image": "web:1", "securityContext": {"privileged": replicas > 5}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, **metadata},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
    }


def request(operation: str = "CREATE", **change: Any) -> Request:
    made = {"group": "apps", "version": "v1", "resource": "deployments", "kind": "Deployment", "name": "web"}
    made |= {"namespace": "shop", "user": ANN}
    if operation != "DELETE":
        made["object"] = deployment()
    if operation in ("UPDATE", "DELETE"):
        made["old"] = deployment(2)
    return Request(operation, **{**made, **change})


class Parameters:
    """Objects by kind; kinds in `cluster` are cluster-scoped."""

    def __init__(self, *objects: Object, kinds: Iterable[str] = ("ConfigMap",), cluster: Iterable[str] = ()) -> None:
        self._objects = objects
        self._namespaced = dict.fromkeys(kinds, True) | dict.fromkeys(cluster, False)

    def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        return self._namespaced.get(kind)

    def one(self, api_version: str, kind: str, key: ObjectKey) -> Object | None:
        return next((item for item in self.all(api_version, kind, key.namespace) if meta.name(item) == key.name), None)

    def all(self, api_version: str, kind: str, namespace: str) -> Iterable[Object]:
        return [item for item in self._objects if item["kind"] == kind and meta.namespace(item) == namespace]


class Allowing:
    """An authorizer that allows what it was told, and remembers what it was asked."""

    def __init__(self, *allowed: tuple[str, str, str]) -> None:
        self._allowed = set(allowed)
        self.asked: list[Attributes] = []

    def authorize(self, attributes: Attributes) -> Decision:
        self.asked.append(attributes)
        what = attributes.path or attributes.resource
        allowed = (attributes.user.name, attributes.verb, what) in self._allowed
        return Decision(allowed, "because" if allowed else "")
