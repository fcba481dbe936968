"""Nodes, and the agents that must be on every one of them: sensors, and what takes logs away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.relations.tables import rows
from dabbawala.guard.world import TYPE, World

_CLOUDS = {"aws": "aws", "gce": "gcp", "azure": "azure", "oci": "oci", "ibm": "ibm", "digitalocean": "digitalocean"}
_KEEPING_OUT = frozenset({"NoSchedule", "NoExecute"})


def role(daemon_set: Mapping[str, Any]) -> str:
    """What a DaemonSet is on every node for: `sensor`, `logs`, or empty where it is something else."""
    spec = ((daemon_set.get("spec") or {}).get("template") or {}).get("spec") or {}
    known = {word: what for what, word in rows("agents.txt")}
    programs = (_program(container) for container in spec.get("containers") or ())
    return next((known[name] for name in programs if name in known), "")


def _program(container: Mapping[str, Any]) -> str:
    """The last part of the image's name."""
    return str(container.get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[0]


def agents(world: World, what: str) -> list[str]:
    """The DaemonSets of the scan with that role, as `namespace/name`."""
    return [str(meta.key(found)) for found in _agents(world, what)]


def _agents(world: World, what: str) -> list[Object]:
    daemon_sets = (item.object for item in world.items("DaemonSet"))
    return world.once(("agents", what), lambda: [found for found in daemon_sets if role(found) == what])


def has_agent(world: World, node: Mapping[str, Any], what: str) -> bool:
    """Whether some DaemonSet with that role puts a pod on the node."""
    return any(_runs_on(found, node) for found in _agents(world, what))


def _runs_on(daemon_set: Object, node: Mapping[str, Any]) -> bool:
    spec = daemon_set["spec"]["template"]["spec"]
    labels = meta.labels(dict(node))
    wanted = (spec.get("nodeSelector") or {}).items()
    taints = (node.get("spec") or {}).get("taints") or ()
    tolerated = all(_tolerated(taint, spec.get("tolerations") or ()) for taint in taints)
    return tolerated and all(labels.get(key) == value for key, value in wanted) and _affine(spec, labels)


def _tolerated(taint: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> bool:
    if taint.get("effect") not in _KEEPING_OUT or str(taint.get("key", "")).startswith("node.kubernetes.io/"):
        return True
    return any(
        toleration.get("effect") in (None, "", taint.get("effect"))
        and (not toleration.get("key") or toleration.get("key") == taint.get("key"))
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))
        for toleration in tolerations
    )


def _affine(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether required node affinity lets it; of the operators those that such agents use."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    return not terms or any(all(_met(e, labels) for e in term.get("matchExpressions") or ()) for term in terms)


def _met(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True


def cloud(world: World) -> str:
    """Whose cloud the nodes are of (`aws`, `gcp`, `azure` …); empty for others, and where there are no nodes."""
    return world.once("cloud", lambda: next(filter(None, map(_cloud_of, world.objects("Node"))), ""))


def _cloud_of(node: Object) -> str:
    return _CLOUDS.get(str((node.get("spec") or {}).get("providerID") or "").partition(":")[0], "")


FUNCTIONS = (
    Function("role", ("dyn",), "string", role),
    Function("agents", (TYPE, "string"), "list<string>", agents, receiver=True),
    Function("hasAgent", (TYPE, "dyn", "string"), "bool", has_agent, receiver=True),
    Function("cloud", (TYPE,), "string", cloud, receiver=True),
)
