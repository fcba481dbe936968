"""From what was seen to what is to be allowed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dabbawala.guard.generate import traffic
from dabbawala.guard.generate.isolation import DNS_PODS, SYSTEM, Wish
from dabbawala.guard.generate.traffic import Addresses, End, Flow, Port, Workload

SIGHTINGS_MAX = 200_000
"""Different connections; a flow log of more than these is one of several clusters."""

Party = Workload | Addresses


class Sighting(NamedTuple):
    """One connection that was seen, as often as it was."""

    source: Party
    destination: Party
    port: Port


@dataclass(slots=True)
class Traffic:
    """What was seen, and what was seen but is not understood: those sentences go to whoever asked."""

    sightings: set[Sighting] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def wish(
    sightings: Collection[Sighting],
    *,
    namespaces: Collection[str] = (),
    beside: Iterable[Workload] = (),
    dns: End | None = DNS_PODS,
) -> Wish:
    """All that was seen shall be allowed, and in the namespaces nothing else; these are all that were seen if none is
    named, but for those of Kubernetes itself. `beside` are workloads that policies must not mean by mistake."""
    seen = {party for sighting in sightings for party in sighting[:2] if isinstance(party, Workload)}
    chosen = traffic.selections(seen | set(beside))
    isolated = frozenset(namespaces) or frozenset(workload.namespace for workload in seen) - SYSTEM
    flows = {
        Flow(_end(sighting.source, chosen), _end(sighting.destination, chosen), sighting.port) for sighting in sightings
    }
    return Wish({flow for flow in flows if _matters(flow, isolated)}, isolated, dns=dns)


def _end(party: Party, chosen: Mapping[Workload, traffic.Pods]) -> End:
    return chosen[party] if isinstance(party, Workload) else party


def _matters(flow: Flow, isolated: frozenset[str]) -> bool:
    return any(isinstance(end, traffic.Pods) and end.namespace in isolated for end in flow[:2])
