"""Mutual TLS between pods of an Istio mesh: which mode a pod ends up with.

The narrowest PeerAuthentication that sets a mode counts: of the pod, of its namespace, of the whole mesh.
Source: istio security/v1 PeerAuthentication.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.relations.zones import around
from dabbawala.guard.world import TYPE, World

ROOT = "istio-system"
STRICT, UNSET = "STRICT", "UNSET"

_KIND = "PeerAuthentication.security.istio.io"


def mtls(world: World, namespace: str, labels: Mapping[str, str]) -> str:
    """The mode of mutual TLS of pods with these labels: `STRICT`, `PERMISSIVE` (also for some port only), `DISABLE`, or
    `UNSET` where nothing says one, which means permissive."""
    for policy in _narrowest_first(world, namespace, labels):
        spec = policy.get("spec") or {}
        mode = _mode(spec.get("mtls"))
        if mode != UNSET:
            ports = {_mode(port) for port in (spec.get("portLevelMtls") or {}).values()} - {STRICT, UNSET}
            return min(ports) if mode == STRICT and ports else mode
    return UNSET


def _narrowest_first(world: World, namespace: str, labels: Mapping[str, str]) -> Iterator[Object]:
    own = world.objects(_KIND, namespace)
    chosen = {id(policy): _selector(policy) for policy in own}
    yield from (p for p in own if chosen[id(p)] and selectors.from_labels(chosen[id(p)]).matches(labels))
    yield from (p for p in own if not chosen[id(p)])
    yield from (p for p in world.objects(_KIND, ROOT) if namespace != ROOT and not _selector(p))


def _selector(policy: Object) -> dict[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _mode(given: Any) -> str:
    return str((given or {}).get("mode") or UNSET)


def in_mesh(world: World, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether Istio puts its proxy beside pods with these labels, or its ambient mode takes them in."""
    home = meta.labels(world.namespace(namespace) or {})
    said = around(world, namespace, labels)
    if labels.get("sidecar.istio.io/inject") == "false" or said.get("istio.io/dataplane-mode") == "none":
        return False
    wanted = home.get("istio-injection") == "enabled" or "istio.io/rev" in said
    return wanted or labels.get("sidecar.istio.io/inject") == "true" or said.get("istio.io/dataplane-mode") == "ambient"


FUNCTIONS = (
    Function("inMesh", (TYPE, "string", "map<string, dyn>"), "bool", in_mesh, receiver=True),
    Function("mtls", (TYPE, "string", "map<string, dyn>"), "string", mtls, receiver=True),
)
