"""Every namespace has a ServiceAccount `default` and a ConfigMap with the cluster's certificate authority.

Source: pkg/controller/serviceaccount and certificates/rootcacertpublisher in Kubernetes 1.37.
"""

from __future__ import annotations

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Action, Create, Patch, Plan

DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def plan(namespace: Object, account: Object | None, bundle: Object | None, root_ca: str) -> Plan:
    """`root_ca` is the PEM bundle of the API server's certificate authority."""
    if meta.is_deleting(namespace) or (namespace.get("status") or {}).get("phase") == "Terminating":
        return Plan()
    actions: list[Action] = []
    name = meta.name(namespace)
    if account is None:
        actions.append(Create(core_v1.SERVICE_ACCOUNT, _account(name)))
    if bundle is None:
        actions.append(Create(core_v1.CONFIG_MAP, _bundle(name, root_ca)))
    elif bundle.get("data") != {"ca.crt": root_ca}:
        actions.append(Patch(core_v1.CONFIG_MAP, ObjectKey(name, ROOT_CA), {"data": {"ca.crt": root_ca}}))
    return Plan(tuple(actions))


def _account(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": DEFAULT_ACCOUNT, "namespace": namespace},
    }


def _bundle(namespace: str, root_ca: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CA,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": _DESCRIPTION},
        },
        "data": {"ca.crt": root_ca},
    }
