"""What the data plane says about the objects it carries out, as conditions in their status. Pure.

`Programmed` (on Services, with the prefix that foreign conditions need: `dabbawala.dev/Programmed`) is True with
`observedGeneration` G when every node's Envoy runs what generation G asks for; it is what a release waits for before it
takes its next step. A Service counts only when its EndpointSlices reflect G too. `dabbawala.dev/Reachable` tells about
node ports: False when the host's port is taken by somebody else (PortTaken), or while the edge's Envoy ends again and
again (EnvoyCrashing). A node whose own Envoy does so says it by `dabbawala.dev/DataPlaneReady` False; one that never
had the trouble says nothing.

Reasons of Programmed: Programmed; Pending (something it needs is not there yet); NodesPending (written, but some node
does not run it yet); Rejected (it cannot be done as written, or an Envoy refuses it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dabbawala.api import core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.dataplane import destination_rules, hosts, virtual_services, worlds, xds
from dabbawala.cluster.dataplane.acceptance import WHOLE, Verdict
from dabbawala.cluster.dataplane.names import Destination
from dabbawala.cluster.dataplane.views import Service
from dabbawala.cluster.dataplane.worlds import World
from dabbawala.reconcile.plan import Action, Plan, Record, status_change

PROGRAMMED = "Programmed"
SERVICE_PROGRAMMED = "dabbawala.dev/Programmed"
REACHABLE = "dabbawala.dev/Reachable"
DATA_PLANE_READY = "dabbawala.dev/DataPlaneReady"
ENVOY_CRASHING, PORT_TAKEN = "EnvoyCrashing", "PortTaken"
NAMED_AT_MOST = 3
"""Nodes or problems that a message spells out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Files and listeners that an object stands behind."""

    files: frozenset[str]
    listeners: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said about one object; the empty message of a success is filled in."""

    reason: str
    message: str = ""

    @property
    def status(self) -> str:
        return "True" if self.reason == PROGRAMMED else "False"


@dataclass(frozen=True, slots=True)
class Observed:
    """The world that was delivered, and what came of it: a verdict a node, the edge's refused listeners, and what is
    wrong with the edge itself."""

    world: World
    verdicts: Sequence[Verdict]
    edge_refusals: Mapping[str, str]
    edge_address: str
    edge_trouble: str = ""


def plan(observed: Observed, services: Iterable[Object], now: datetime) -> Plan:
    """Status writes for all objects whose condition differs from what is so; routes first, as releases wait on them."""
    actions: list[Action] = []
    for obj in observed.world.virtual_services:
        outcome = virtual_service_outcome(observed, obj)
        actions += _said(istio_networking_v1.VIRTUAL_SERVICE, obj, outcome, now)
    for obj in observed.world.destination_rules:
        outcome = destination_rule_outcome(observed, obj)
        actions += _said(istio_networking_v1.DESTINATION_RULE, obj, outcome, now)
    for obj in services:
        view = observed.world.services.get(meta.key(obj))
        if view is None or meta.is_deleting(obj):
            continue
        if view.generation == meta.generation(obj):  # a newer one is not what was delivered; its turn comes
            actions += _service_actions(observed, obj, view, now)
    return Plan(tuple(actions))


def _said(kind: Kind, obj: Object, outcome: Outcome, now: datetime) -> tuple[Action, ...]:
    generation = meta.generation(obj)
    said = conditions.put(_conditions(obj), _condition(PROGRAMMED, outcome, generation), now)
    return status_change(kind, obj, {"observedGeneration": generation, "conditions": said}, guarded=True)


def _service_actions(observed: Observed, obj: Object, view: Service, now: datetime) -> list[Action]:
    generation = meta.generation(obj)
    outcome = service_outcome(observed, view)
    said = conditions.put(_conditions(obj), _condition(SERVICE_PROGRAMMED, outcome, generation), now)
    reachable, known = _reachable(observed, view), conditions.find(obj, REACHABLE)
    if reachable.reason != PROGRAMMED or known is not None:
        said = conditions.put(said, _condition(REACHABLE, reachable, generation), now)
    actions: list[Action] = [*status_change(core_v1.SERVICE, obj, {"conditions": said}, guarded=True)]
    if reachable.reason == PORT_TAKEN and (known is None or known.get("message") != reachable.message):
        actions.append(Record(obj, "NodePortTaken", reachable.message, "Warning"))
    return actions


def _reachable(observed: Observed, view: Service) -> Outcome:
    """Whether the host reaches the Service's node ports."""
    if observed.edge_trouble and any(port.node_port for port in view.ports):
        return Outcome(ENVOY_CRASHING, f"the host does not reach its node ports: {observed.edge_trouble}")
    if taken := _taken_ports(observed, view):
        return Outcome(PORT_TAKEN, taken)
    return Outcome(PROGRAMMED, "node ports are served on the host")


def node_actions(node: Object, crash_loop: str, now: datetime) -> tuple[Action, ...]:
    """`crash_loop` says what is wrong with the node's Envoy when it ends again and again, and is empty otherwise."""
    known = conditions.find(node, DATA_PLANE_READY)
    if not crash_loop and known is None:
        return ()
    said = Condition(DATA_PLANE_READY, "True", "EnvoyRunning", "the node's Envoy runs")
    if crash_loop:
        said = Condition(DATA_PLANE_READY, "False", ENVOY_CRASHING, f"the node carries no traffic: {crash_loop}")
    told = conditions.put(_conditions(node), said, now)
    return status_change(core_v1.NODE, node, {"conditions": told}, guarded=True)


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _condition(type_: str, outcome: Outcome, generation: int) -> Condition:
    return Condition(type_, outcome.status, outcome.reason, outcome.message, generation)


def service_outcome(observed: Observed, service: Service) -> Outcome:
    if service.selects and not service.external_name and (service.reflected or 0) < service.generation:
        return Outcome("Pending", f"its EndpointSlices do not reflect generation {service.generation} yet")
    if not service.cluster_ip:
        return Outcome(PROGRAMMED, "its name is answered by the cluster's DNS")
    return _nodes_outcome(observed.verdicts, parts_of(service, observed.world))


def virtual_service_outcome(observed: Observed, obj: Object) -> Outcome:
    found = list(virtual_services.problems(obj, observed.world))
    fatal = [problem.message for problem in found if problem.fatal]
    if fatal:
        return Outcome("Rejected", _listed(fatal))
    routed = worlds.named(obj, observed.world.services)
    outcome = _nodes_outcome(observed.verdicts, _joined(parts_of(each, observed.world) for each in routed))
    notes = _listed([problem.message for problem in found])
    return Outcome(outcome.reason, f"{outcome.message}; {notes}" if notes else outcome.message)


def destination_rule_outcome(observed: Observed, obj: Object) -> Outcome:
    host = str((obj.get("spec") or {}).get("host") or "")
    key = hosts.resolve(host, meta.namespace(obj))
    service = observed.world.services.get(key) if key else None
    if service is None:
        return Outcome("Pending", f"spec.host: there is no Service {host!r}")
    winner = observed.world.rule(service.key)
    if winner.key != meta.key(obj):
        return Outcome("Rejected", f"spec.host: DestinationRule {winner.key} already speaks for {service.host}")
    outcome = _nodes_outcome(observed.verdicts, parts_of(service, observed.world))
    ignored = _listed([f"{field} is not carried out" for field in destination_rules.unsupported(obj)])
    return Outcome(outcome.reason, f"{outcome.message}; {ignored}" if ignored else outcome.message)


def parts_of(service: Service, world: World) -> Parts:
    """Everything that every node's Envoy runs for a Service."""
    subsets = world.rule(service.key).subsets
    files, listening = {xds.LISTENERS, xds.CLUSTERS}, set()
    for port in service.ports:
        whole = Destination(service.key, port.number, udp=port.protocol == "UDP")
        files |= {xds.routes_file(whole.cluster), xds.endpoints_file(whole.cluster)}
        files |= {xds.endpoints_file(whole._replace(subset=subset).cluster) for subset in subsets}
        listening |= {whole.cluster, f"node-port-{port.node_port}", f"edge-{port.node_port}"}
    return Parts(frozenset(files), frozenset(listening))


def _joined(parts: Iterable[Parts]) -> Parts:
    every = list(parts)
    files = frozenset().union(*(each.files for each in every))
    return Parts(files, frozenset().union(*(each.listeners for each in every)))


def _nodes_outcome(verdicts: Sequence[Verdict], parts: Parts) -> Outcome:
    if not verdicts:
        return Outcome("Pending", "no node runs a data plane yet")
    refused = [f"{each.node}: {why}" for each in verdicts for why in _refusals(each, parts)]
    if refused:
        return Outcome("Rejected", _listed(refused))
    waiting = [f"{each.node}: {why}" for each in verdicts if (why := _delay(each, parts))]
    if waiting:
        return Outcome("NodesPending", _listed(waiting))
    count = len(verdicts)
    return Outcome(PROGRAMMED, f"the Envoys of all {count} nodes run it" if count > 1 else "the node's Envoy runs it")


def _refusals(verdict: Verdict, parts: Parts) -> Iterable[str]:
    for name in sorted(parts.files & verdict.rejected.keys()):
        yield f"Envoy refuses {name}: {verdict.rejected[name]}"
    for name in sorted((parts.listeners | {WHOLE}) & verdict.listeners.keys()):
        yield f"Envoy cannot listen for {name or 'anything'}: {verdict.listeners[name]}"


def _delay(verdict: Verdict, parts: Parts) -> str:
    if verdict.down:
        return verdict.down
    late = sorted(parts.files & verdict.pending)
    return f"its Envoy does not run {_listed(late)} yet" if late else ""


def _taken_ports(observed: Observed, service: Service) -> str:
    """What to tell the owner of node ports that the edge could not bind."""
    told = [
        f"node port {port.node_port} cannot be served at {observed.edge_address}: {observed.edge_refusals[name]}; "
        f"end the program that has it (ss -ltnp 'sport = :{port.node_port}') or choose another nodePort; "
        "it is tried again by itself"
        for port in service.ports
        if port.node_port and (name := f"edge-{port.node_port}") in observed.edge_refusals
    ]
    return "; ".join(told)


def _listed(messages: Sequence[str]) -> str:
    shown = "; ".join(messages[:NAMED_AT_MOST])
    more = len(messages) - NAMED_AT_MOST
    return f"{shown}; and {more} more" if more > 0 else shown
