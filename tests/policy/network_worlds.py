"""Small random clusters, in which few names meet often: namespaces, pods and policies from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
NAMESPACES = ("shop", "pay", "ops")
NODES = {"n1": "192.168.0.1", "n2": "192.168.0.2", "n3": "192.168.0.3"}
OUTSIDE = ("203.0.113.7", "8.8.8.8", "169.254.169.254", "10.200.0.1", "2001:db8::1")
BLOCKS = (
    "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.4/30", "192.168.0.0/24", "203.0.113.0/24", "8.8.8.8/32",
    "169.254.169.254/32", "::/0", "2001:db8::/32", "fd00::/16",
)  # fmt: skip
HOLES = {
    "0.0.0.0/0": ("10.0.0.0/8", "169.254.169.254/32", "203.0.113.0/28", "192.168.0.2/32", "10.1.0.2/31"),
    "10.0.0.0/8": ("10.1.0.0/30", "10.200.0.0/16"),
    "10.1.0.0/16": ("10.1.0.2/31",),
    "::/0": ("2001:db8::/64", "fd00::2/127"),
    "fd00::/16": ("fd00::4/126",),
}
LABELS = {"app": ("web", "api", "db"), "tier": ("front", "back"), "card": ("yes",)}
PORT_NAMES = ("http", "metrics")
NUMBERS = (80, 8080, 8081, 9090)
PROTOCOLS = ("TCP", "TCP", "TCP", "UDP", "SCTP")
RANGES = ("10.0.0.0/8", "192.168.0.0/16", "fd00::/16")


@dataclass(frozen=True)
class World:
    namespaces: list[Object]
    pods: list[Object]
    policies: list[Object]


def world(seed: int) -> World:
    draw = random.Random(seed)
    described = [n for n in NAMESPACES if draw.random() < 0.9]
    namespaces = [{"metadata": {"name": name, "labels": labels(draw, 0.4)}} for name in described]
    pods = [pod(draw, number) for number in range(draw.randint(2, 6))]
    policies = [policy(draw, number) for number in range(draw.randint(0, 5))]
    return World(namespaces, pods, policies)


def labels(draw: random.Random, likely: float) -> dict[str, str]:
    return {key: draw.choice(values) for key, values in LABELS.items() if draw.random() < likely}


def pod(draw: random.Random, number: int) -> Object:
    node = draw.choice([*NODES, None])
    host = draw.random() < 0.15
    spec: Object = {"containers": [container(draw) for _ in range(draw.randint(1, 2))]}
    if draw.random() < 0.2:
        spec["initContainers"] = [{**container(draw), **draw.choice([{}, {"restartPolicy": "Always"}])}]
    status: Object = {"phase": draw.choices(["Running", "Pending", "Succeeded", "Failed"], [12, 2, 1, 1])[0]}
    if host:
        spec["hostNetwork"] = True
    if node:
        spec["nodeName"], status["hostIP"] = node, NODES[node]
        status["podIP"] = NODES[node] if host else f"10.1.0.{number + 1}"
        if not host and draw.random() < 0.3:
            status["podIPs"] = [{"ip": status["podIP"]}, {"ip": f"fd00::{number + 1}"}]
    metadata = {"name": f"p{number}", "namespace": draw.choice(NAMESPACES), "labels": labels(draw, 0.6)}
    return {"metadata": metadata, "spec": spec, "status": status}


def container(draw: random.Random) -> Object:
    names = draw.sample(PORT_NAMES, draw.randint(0, 2))
    ports: list[Object] = [{"name": name, "containerPort": draw.choice(NUMBERS)} for name in names]
    for port in ports:
        if draw.random() < 0.3:
            port["protocol"] = draw.choice(PROTOCOLS)
    return {"name": "c", "ports": ports}


def policy(draw: random.Random, number: int) -> Object:
    spec: Object = {"podSelector": selector(draw)}
    if draw.random() < 0.6:
        spec["policyTypes"] = draw.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"], []])
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        if draw.random() < 0.7:
            spec[direction] = [rule(draw, peers) for _ in range(draw.randint(0, 2))]
    return {"metadata": {"name": f"n{number}", "namespace": draw.choice(NAMESPACES)}, "spec": spec}


def rule(draw: random.Random, peers: str) -> Object:
    found: Object = {}
    if draw.random() < 0.8:
        found[peers] = [peer(draw) for _ in range(draw.choice([0, 1, 1, 2]))]
    if draw.random() < 0.7:
        found["ports"] = [port_entry(draw) for _ in range(draw.choice([0, 1, 1, 2]))]
    return found


def peer(draw: random.Random) -> Object:
    kind = draw.random()
    if kind < 0.3:
        cidr = draw.choice(BLOCKS)
        holes = draw.sample(HOLES.get(cidr, ()), min(draw.randint(0, 2), len(HOLES.get(cidr, ()))))
        return {"ipBlock": {"cidr": cidr, **({"except": holes} if holes else {})}}
    if kind < 0.55:
        return {"podSelector": selector(draw)}
    if kind < 0.75:
        return {"namespaceSelector": selector(draw, namespaces=True)}
    return {"podSelector": selector(draw), "namespaceSelector": selector(draw, namespaces=True)}


def selector(draw: random.Random, *, namespaces: bool = False) -> Object:
    kind = draw.random()
    if kind < 0.25:
        return {}
    if namespaces and kind < 0.5:
        return {"matchLabels": {"kubernetes.io/metadata.name": draw.choice(NAMESPACES)}}
    found: Object = {}
    if kind < 0.8:
        keys = draw.sample(list(LABELS), draw.choice([1, 1, 1, 2]))
        found["matchLabels"] = {key: draw.choice(LABELS[key]) for key in keys}
    if kind > 0.7:
        found["matchExpressions"] = [expression(draw) for _ in range(draw.choice([1, 1, 2]))]
    return found


def expression(draw: random.Random) -> Object:
    key, operator = draw.choice(list(LABELS)), draw.choice(["In", "NotIn", "Exists", "DoesNotExist"])
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    return {"key": key, "operator": operator, "values": draw.sample(LABELS[key], draw.randint(1, len(LABELS[key])))}


def port_entry(draw: random.Random) -> Object:
    found: Object = {}
    if draw.random() < 0.5:
        found["protocol"] = draw.choice(PROTOCOLS)
    kind = draw.random()
    if kind < 0.3:
        found["port"] = draw.choice(PORT_NAMES)
    elif kind < 0.8:
        found["port"] = draw.choice(NUMBERS)
        if draw.random() < 0.4:
            found["endPort"] = found["port"] + draw.choice([0, 1, 20, 1010])
    return found
