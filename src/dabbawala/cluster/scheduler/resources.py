"""What a pod asks for and what a node has, in integers: milli-CPU, bytes, pieces.

A pod's request is the sum over its containers, or the most that any init container needs at its time, with sidecars
counted throughout; pod overhead comes on top. Source: component-helpers/resource (PodRequests), KEP-753, KEP-688.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.meta import Object

CPU, MEMORY, STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
DEFAULT_MILLI_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024
"""What scores count for a container that asks for nothing, so that such pods spread too."""

Amounts = Mapping[str, int]


class Request(NamedTuple):
    """`amounts` are what filters count; `cpu` and `memory` what scores count."""

    amounts: Amounts
    cpu: int
    memory: int


@lru_cache(maxsize=4096)
def _amount(name: str, text: str | int | float) -> int:
    return quantity.milli(text) if name == CPU else quantity.whole(text)


def amounts(resources: Mapping[str, str | int | float] | None) -> dict[str, int]:
    return {name: _amount(name, value) for name, value in (resources or {}).items()}


def _requests(container: Object) -> dict[str, int]:
    return amounts((container.get("resources") or {}).get("requests"))


def _sum(parts: Iterable[Amounts]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _most(left: Amounts, right: Amounts) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {*left, *right}}


def request_of(spec: Object, overhead: Mapping[str, str] | None = None) -> Request:
    """Of a pod's spec; `overhead` is its RuntimeClass's, used when the spec does not carry its own."""
    main = [_requests(item) for item in spec.get("containers") or ()]
    sidecars: list[dict[str, int]] = []
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            sidecars.append(_requests(container))
            peak = _most(peak, _sum(sidecars))
        else:
            peak = _most(peak, _sum([*sidecars, _requests(container)]))
    total = _most(_sum([*main, *sidecars]), peak)
    extra = amounts(spec.get("overhead") or overhead)
    total = _sum([total, extra])
    cpu = sum(item.get(CPU, DEFAULT_MILLI_CPU) for item in main) + extra.get(CPU, 0)
    memory = sum(item.get(MEMORY, DEFAULT_MEMORY) for item in main) + extra.get(MEMORY, 0)
    return Request({name: value for name, value in total.items() if value}, cpu, memory)


def host_ports(spec: Object) -> frozenset[tuple[str, str, int]]:
    """(address, protocol, port) of every port that the pod takes on its node."""
    found: set[tuple[str, str, int]] = set()
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or "0.0.0.0"
                found.add((address, port.get("protocol") or "TCP", int(port["hostPort"])))
    return frozenset(found)


def ports_clash(wanted: Iterable[tuple[str, str, int]], taken: Iterable[tuple[str, str, int]]) -> bool:
    """The same protocol and port, on the same address or on all of them."""
    everywhere = "0.0.0.0"
    held = list(taken)
    return any(
        (protocol, port) == (other_protocol, other_port) and (address == other or everywhere in (address, other))
        for address, protocol, port in wanted
        for other, other_protocol, other_port in held
    )
