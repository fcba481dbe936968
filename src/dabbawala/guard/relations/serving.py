"""Services and the pods behind them: whether a Service finds anybody, and whether they listen where it sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard import inventory
from dabbawala.guard.world import TYPE, World
from dabbawala.policy.network_pods import serving_containers

_SHOWN = 5
_OPERATED = {
    "cnpg.io/cluster": "Cluster.postgresql.cnpg.io", "cnpg.io/poolerName": "Pooler.postgresql.cnpg.io",
    "strimzi.io/cluster": "Kafka.kafka.strimzi.io",
}  # fmt: skip
"""Labels by which pods tell the object that an operator made them for."""


def likely_here(world: World, namespace: str, selector: Mapping[str, Any]) -> bool:
    """Whether the pods that a LabelSelector looks for ought to be among those of the scan: it has seen all there is, or
    some pod of the namespace has one of the labels, with another value."""
    if world.whole:
        return True
    asked = {term.key for term in inventory.as_selector(selector).requirements}
    return bool(asked) and any(asked & pod.labels.keys() for pod in world.pods_in(namespace))


def selects_some(world: World, namespace: str, selector: Mapping[str, Any]) -> bool:
    """Whether a LabelSelector selects some pod of the namespace, or those that an operator will make."""
    wanted = inventory.as_selector(selector)
    made = ((_OPERATED[key], name) for key, name in wanted.exact().items() if key in _OPERATED)
    return bool(world.selected(namespace, wanted)) or any(world.find(kind, namespace, name) for kind, name in made)


def deaf_ports(world: World, service: Mapping[str, Any]) -> list[str]:
    """The ports of a Service behind which nobody listens, as `80 → 8080`: a name that no pod behind it gives a port, or
    a number that is none of those that all of them declare."""
    spec = service.get("spec") or {}
    if not spec.get("selector"):
        return []
    wanted = selectors.from_labels(spec["selector"])
    listening = [_ports(pod.spec) for pod in world.selected(meta.namespace(dict(service)), wanted)]
    return list(_deaf(spec.get("ports") or (), listening)) if listening else []


_Listening = list[tuple[str, str, int]]


def _ports(spec: Object) -> _Listening:
    """Protocol, name and number of what a pod's containers declare."""
    listed = (port for container in serving_containers(spec) for port in container.get("ports") or ())
    return [(port.get("protocol") or "TCP", port.get("name") or "", port.get("containerPort") or 0) for port in listed]


def _deaf(ports: Iterable[Mapping[str, Any]], listening: Sequence[_Listening]) -> Iterator[str]:
    for port in ports:
        protocol, target = port.get("protocol") or "TCP", port.get("targetPort") or port.get("port")
        if isinstance(target, str) and not target.isdigit():
            deaf = not any((protocol, target) == (p, name) for pod in listening for p, name, _ in pod)
        else:
            wanted = (protocol, int(target or 0))
            deaf = all(pod and wanted not in [(p, number) for p, _, number in pod] for pod in listening)
        if deaf:
            yield f"{port.get('port')} → {target}"


def spoken(names: Sequence[str]) -> str:
    """Names for a sentence, each once: the first few, and how many more."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


FUNCTIONS = (
    Function("selectsSome", (TYPE, "string", "map<string, dyn>"), "bool", selects_some, receiver=True),
    Function("likelyHere", (TYPE, "string", "map<string, dyn>"), "bool", likely_here, receiver=True),
    Function("deafPorts", (TYPE, "dyn"), "list<string>", deaf_ports, receiver=True),
    Function("spoken", ("list<string>",), "string", spoken),
)
