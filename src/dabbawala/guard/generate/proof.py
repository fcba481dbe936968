"""The proof of generated policies: NetworkPolicy's own semantics, asked whether what is to flow does.

Each end that selects pods is played by one pod with just its labels. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard.generate.isolation import Wish
from dabbawala.guard.generate.traffic import Addresses, End, Flow, Pods, Port
from dabbawala.policy.network import Graph

_ANY = 9
"""Stands for any port where all are meant."""


def blocked(wish: Wish, policies: Iterable[Object]) -> Iterator[Flow]:
    """The flows that the policies would stop. An end that labels of its namespace select, and anybody, are not judged:
    nobody knows which pods those are; nor are ports by name."""
    cast = {end: number for number, end in enumerate(_players(wish))}
    graph = Graph((), (_pod(end, number) for end, number in cast.items()), policies)
    for flow in sorted(wish.flows, key=repr):
        source, destination = (_place(end, cast) for end in flow[:2])
        port = flow.port or Port("TCP", _ANY)
        if source is None or destination is None or not isinstance(port.number, int):
            continue
        if not graph.allows(source, destination, port.number, port.protocol):
            yield flow


def _players(wish: Wish) -> list[Pods]:
    return sorted({end for flow in wish.flows for end in flow[:2] if isinstance(end, Pods) and end.namespace})


def _pod(end: Pods, number: int) -> Object:
    labels = {key: value for key, value in end.labels if key not in end.without}
    metadata = {"name": str(number), "namespace": end.namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"nodeName": f"n{number}", "containers": []}}


def _place(end: End, cast: Mapping[Pods, int]) -> ObjectKey | str | None:
    if isinstance(end, Addresses):
        return end.cidr.partition("/")[0] if end.cidr.endswith(("/32", "/128")) else None
    if isinstance(end, Pods) and end in cast:
        return ObjectKey(end.namespace, str(cast[end]))
    return None
