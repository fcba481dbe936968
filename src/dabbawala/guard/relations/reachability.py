"""Who reaches whom, as NetworkPolicies have it: ways into the card-data zone, ways out to addresses, names to resolve.

One pod that is nobody's stands for all pods of all other namespaces, so that a repository without any still learns
that its policies let everybody in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.cel.environment import Function
from dabbawala.guard.relations import population, zones
from dabbawala.guard.relations.population import Population
from dabbawala.guard.relations.readable import readable
from dabbawala.guard.relations.selecting import Selecting
from dabbawala.guard.world import TYPE, World
from dabbawala.policy.network_ports import NamedPort, PortRange, spoken
from dabbawala.policy.network_rules import EGRESS, NetworkPolicy, Rule

if TYPE_CHECKING:
    from dabbawala.policy.network import Graph
    from dabbawala.policy.network_matrix import Entrance

STRANGER = ObjectKey("*", "*")
_DNS = 53
_INTERNET_PREFIX = 1
"""A block of addresses this large is the internet, whatever is cut out of it."""
_WAYS_MAX = 8
_OTHER_KINDS = (
    "AdminNetworkPolicy.policy.networking.k8s.io", "BaselineAdminNetworkPolicy.policy.networking.k8s.io",
    "CiliumClusterwideNetworkPolicy.cilium.io", "GlobalNetworkPolicy.projectcalico.org",
    "GlobalNetworkPolicy.crd.projectcalico.org",
)  # fmt: skip
_OTHER_KINDS_OF_NAMESPACES = (
    "CiliumNetworkPolicy.cilium.io", "NetworkPolicy.projectcalico.org", "NetworkPolicy.crd.projectcalico.org",
)  # fmt: skip


def graph(world: World) -> Graph:
    """The reachability of the whole scan."""
    return world.once("graph", lambda: _graph(world))


def _graph(world: World) -> Graph:
    from dabbawala.policy.network import Graph  # many scans ask nothing of it

    stranger = {"metadata": {"namespace": STRANGER.namespace, "name": STRANGER.name}, "spec": {}}
    homes = [home for name in world.inventory.namespaces if (home := world.namespace(name))]
    people = [*population.of(world).objects(), stranger]
    return Graph(homes, people, _policies(world), nodes=world.objects("Node"))


def _policies(world: World) -> Iterator[Object]:
    return readable(world.objects("NetworkPolicy.networking.k8s.io"), NetworkPolicy.of)


def policies_of(world: World, namespace: str, labels: Mapping[str, str], direction: str) -> list[str]:
    """The NetworkPolicies of the namespace that select pods with these labels, for `Ingress` or `Egress`."""
    return [policy.key.name for policy in _selecting(world, namespace, labels, direction)]


def _selecting(world: World, namespace: str, labels: Mapping[str, str], direction: str) -> Iterator[NetworkPolicy]:
    homes = world.once("policies", lambda: _by_namespace(map(NetworkPolicy.of, _policies(world))))
    found = homes[namespace].of(labels) if namespace in homes else ()
    return (policy for policy in found if policy.rules(direction) is not None)


def _by_namespace(policies: Iterable[NetworkPolicy]) -> dict[str, Selecting[NetworkPolicy]]:
    homes: dict[str, list[tuple[LabelSelector, NetworkPolicy]]] = {}
    for policy in policies:
        homes.setdefault(policy.key.namespace, []).append((policy.selector, policy))
    return {namespace: Selecting(found) for namespace, found in homes.items()}


def has_policies(world: World, namespace: str) -> bool:
    """Whether the namespace has any NetworkPolicy in the scan."""
    return bool(world.items("NetworkPolicy.networking.k8s.io", namespace))


def other_policies(world: World, namespace: str) -> bool:
    """Whether policies of a plugin's own kinds, which are not evaluated, may apply in the namespace."""
    return any(world.items(kind) for kind in _OTHER_KINDS) or any(
        world.items(kind, namespace) for kind in _OTHER_KINDS_OF_NAMESPACES
    )


# Ways out


def reaches(world: World, workload: Mapping[str, object], address: str, port: int) -> bool:
    """Whether pods of a workload may open a TCP connection to an address outside the cluster."""
    key = _key(world, workload)
    return key is not None and graph(world).allows(key, address, port)


def reaches_internet(world: World, workload: Mapping[str, object]) -> bool:
    """Whether pods of a workload may send to any address of the internet, on some port but that of DNS."""
    key = _key(world, workload)
    if key is None:
        return False
    open_ = graph(world).reachable_addresses(key)
    return any(block.network.prefixlen <= _INTERNET_PREFIX and not _only_dns(ports) for block, ports in open_)


def _only_dns(ports: Iterable[PortRange]) -> bool:
    return all(port.first == port.last == _DNS for port in ports)


def unresolved(world: World, namespace: str, labels: Mapping[str, str]) -> list[str]:
    """The policies that isolate pods with these labels for egress where, together, they let them send to somebody but
    never ask a DNS server; empty where names can be resolved, or only addresses are let through."""
    policies = list(_selecting(world, namespace, labels, EGRESS))
    rules = [rule for policy in policies for rule in policy.rules(EGRESS) or ()]
    named = any(rule.peers is None or any(peer.block is None for peer in rule.peers) for rule in rules)
    if not named or any(_admits_dns(rule) for rule in rules):
        return []
    return [policy.key.name for policy in policies]


def _admits_dns(rule: Rule) -> bool:
    return rule.ports is None or any(
        port.name.startswith("dns") if isinstance(port, NamedPort) else _has_dns(port) for port in rule.ports
    )


def _has_dns(port: PortRange) -> bool:
    return port.protocol in ("UDP", "TCP") and port.first <= _DNS <= port.last


# Ways into the card-data zone


def intrusions(world: World, workload: Mapping[str, object]) -> list[str]:
    """The ways by which pods that are neither of the card-data zone nor declared peers reach a workload of it, as
    sentences. A peer is declared by the label `pci-approved`, by the same `security-zone`, or by a rule that names its
    pods, their namespace and the ports."""
    ways = world.once("intrusions", lambda: _intrusions(world))
    key = _key(world, workload)
    return list(dict.fromkeys(ways.get(key, ())))[:_WAYS_MAX] if key else []


def _intrusions(world: World) -> dict[ObjectKey, list[str]]:
    people = population.of(world)
    zone = {key for key, pod in people.pods.items() if zones.in_card_zone(world, pod.namespace, pod.labels)}
    found: dict[ObjectKey, list[str]] = {}
    for entrance in graph(world).matrix.entrances(zone) if zone else ():
        for destination in entrance.destinations:
            sentence = _way(world, people, entrance, destination)
            if sentence:
                found.setdefault(destination, []).append(sentence)
    return found


def _way(world: World, people: Population, entrance: Entrance, destination: ObjectKey) -> str:
    """Through which rule, or for want of which, undeclared pods come in; empty if they come in nowhere."""
    from dabbawala.policy.network_classes import Flow

    network = graph(world)
    sources = [s for s in entrance.sources if not network.pods[s].host and not _is_peer(world, people, s, destination)]
    if not sources:
        return ""
    first = sources[0]
    for ports, cause in network.admissions(first, destination):
        if isinstance(cause, Flow) and _names(world, people, cause.rule, first):
            continue
        common = [part for wanted in ports for open_ in entrance.ports if (part := _common(wanted, open_))]
        if common:
            more = f" (and {len(sources) - 1} more like it)" if len(sources) > 1 else ""
            told = network.explain(first, destination, common[0].first, common[0].protocol).sentence
            said = told.rstrip(".").replace(f" on {common[0].protocol} {common[0].first}:", f" on {spoken(common)}:", 1)
            return said.replace(f"pod {STRANGER}", "any pod of any other namespace") + more
    return ""


def _common(left: PortRange, right: PortRange) -> PortRange | None:
    first, last = max(left.first, right.first), min(left.last, right.last)
    return PortRange(left.protocol, first, last) if left.protocol == right.protocol and first <= last else None


def _is_peer(world: World, people: Population, source: ObjectKey, destination: ObjectKey) -> bool:
    if source == STRANGER:
        return False
    own, other = people.pods[source], people.pods[destination]
    labels = zones.around(world, own.namespace, own.labels)
    zone = zones.label(labels, "security-zone")
    return zones.label(labels, "pci-approved").lower() == "true" or (
        zone != "" and zone == zones.label(zones.around(world, other.namespace, other.labels), "security-zone")
    )


def _names(world: World, people: Population, rule: Rule, source: ObjectKey) -> bool:
    """Whether the rule says which pods, of which namespace, on which ports: a decision, not an oversight."""
    if source == STRANGER or rule.ports is None:
        return False
    pod = people.pods[source]
    home = meta.labels(world.namespace(pod.namespace) or {})
    return any(
        peer.block is None
        and peer.pods.requirements
        and peer.pods.matches(pod.labels)
        and (peer.namespaces is None or (peer.namespaces.requirements and peer.namespaces.matches(home)))
        for peer in rule.peers or ()
    )


def _key(world: World, workload: Mapping[str, object]) -> ObjectKey | None:
    obj: Object = dict(workload)
    owner = (str(obj.get("kind")), meta.namespace(obj), meta.name(obj))
    return population.of(world).keys.get(owner)


FUNCTIONS = (
    Function("hasPolicies", (TYPE, "string"), "bool", has_policies, receiver=True),
    Function("otherPolicies", (TYPE, "string"), "bool", other_policies, receiver=True),
    Function("policiesOf", (TYPE, "string", "map<string, dyn>", "string"), "list<string>", policies_of, receiver=True),
    Function("unresolved", (TYPE, "string", "map<string, dyn>"), "list<string>", unresolved, receiver=True),
    Function("reaches", (TYPE, "dyn", "string", "int"), "bool", reaches, receiver=True),
    Function("reachesInternet", (TYPE, "dyn"), "bool", reaches_internet, receiver=True),
    Function("intrusions", (TYPE, "dyn"), "list<string>", intrusions, receiver=True),
)
