"""A flow log: one connection a line, as JSON. Ours is

    {"source": {"namespace": "shop", "pod": "web-1", "labels": {"app": "web"}},
     "destination": {"namespace": "shop", "labels": {"app": "db"}}, "port": 5432, "protocol": "TCP"}

An end outside the cluster has an `ip` and no namespace. Hubble's lines (`hubble observe -o json`) are read too: of
those the connections that were begun and forwarded. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate import lines as json_lines
from dabbawala.guard.generate import traffic
from dabbawala.guard.generate.faults import at_line
from dabbawala.guard.generate.observed import SIGHTINGS_MAX, Party, Sighting, Traffic
from dabbawala.guard.generate.traffic import Addresses, Port, Workload

PROTOCOLS = ("TCP", "UDP", "SCTP")
_PORT_MAX = 65_535
_FORM = "See docs/guard-generate.md, Flow logs, for what a line holds."
_FORWARDED = frozenset({"FORWARDED", "TRACED", "REDIRECTED", "ALLOWED", "ACCEPT"})


class _Wrong(Exception):
    """Why a line is none."""


def read(file: str, lines: Iterable[bytes]) -> Traffic:
    """Raises BadInput."""
    found = Traffic()
    for number, entry in json_lines.objects(file, lines):
        try:
            sighting = _hubble(entry["flow"]) if isinstance(entry.get("flow"), dict) else _own(entry)
        except _Wrong as wrong:
            raise at_line(file, number, str(wrong), _FORM) from None
        if sighting is not None:
            found.sightings.add(sighting)
        if len(found.sightings) > SIGHTINGS_MAX:
            message = f"more than {SIGHTINGS_MAX:,} different connections"
            raise at_line(file, number, message, "Give the log of one cluster, or of fewer namespaces.")
    return found


def _own(entry: Object) -> Sighting | None:
    """None for a connection that was refused."""
    if str(entry.get("verdict", "ALLOWED")).upper() not in _FORWARDED:
        return None
    port = _port(entry.get("port"), entry.get("protocol", "TCP"))
    return Sighting(_party(entry, "source"), _party(entry, "destination"), port)


def _port(number: Any, protocol: Any) -> Port:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _PORT_MAX:
        raise _Wrong(f"port is {number!r}, not a number from 1 to {_PORT_MAX:,}")
    if not isinstance(protocol, str) or protocol.upper() not in PROTOCOLS:
        raise _Wrong(f"protocol is {protocol!r}, not one of {', '.join(PROTOCOLS)}")
    return Port(protocol.upper(), number)


def _party(entry: Mapping[str, Any], side: str) -> Party:
    end = entry.get(side)
    if not isinstance(end, dict):
        raise _Wrong(f"{side} is missing, or no object")
    namespace, labels, address = end.get("namespace"), end.get("labels"), end.get("ip")
    if isinstance(namespace, str) and namespace and not end.get("hostNetwork"):
        return Workload(namespace, _labels(labels, side))
    return _outside(address, side)


def _labels(labels: Any, side: str) -> traffic.Labels:
    if not isinstance(labels, dict):
        raise _Wrong(f"{side} has no labels, and policies select by nothing else")
    if not all(isinstance(value, str) for value in labels.values()):
        raise _Wrong(f"{side}.labels has values that are no text")
    return traffic.labelled(labels)


def _outside(address: Any, side: str) -> Addresses:
    try:
        return Addresses(str(ipaddress.ip_network(address if isinstance(address, str) else "")))
    except ValueError:
        raise _Wrong(f"{side} has neither a namespace with labels nor an ip that is an address") from None


# Hubble


def _hubble(flow: Object) -> Sighting | None:
    """None for what is an answer, was dropped, or has no port. Source: cilium/api/v1/flow/flow.proto."""
    layer = flow.get("l4")
    protocol = next((name for name in PROTOCOLS if isinstance(layer, dict) and isinstance(layer.get(name), dict)), "")
    if not protocol or flow.get("is_reply") or str(flow.get("verdict", "FORWARDED")) not in _FORWARDED:
        return None
    assert isinstance(layer, dict)
    port = _port(layer[protocol].get("destination_port"), protocol)
    addresses = flow.get("IP") if isinstance(flow.get("IP"), dict) else {}
    assert isinstance(addresses, dict)
    source, destination = (_endpoint(flow, side, addresses.get(side)) for side in ("source", "destination"))
    return Sighting(source, destination, port)


def _endpoint(flow: Object, side: str, address: Any) -> Party:
    end = flow.get(side)
    if not isinstance(end, dict):
        raise _Wrong(f"flow.{side} is missing, or no object")
    namespace, listed = end.get("namespace"), end.get("labels")
    if not isinstance(namespace, str) or not namespace:
        return _outside(address, f"flow.IP.{side}")
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        raise _Wrong(f"flow.{side}.labels is no list of labels")
    own = [label.removeprefix("k8s:") for label in listed if label.startswith("k8s:")]
    pairs = dict(label.partition("=")[::2] for label in own)
    return Workload(namespace, traffic.labelled({key: value for key, value in pairs.items() if not _of_cilium(key)}))


def _of_cilium(key: str) -> bool:
    """What Cilium says of a pod beside its labels."""
    return key.startswith("io.cilium.k8s.") or key == "io.kubernetes.pod.namespace"
