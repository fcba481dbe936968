"""DaemonSet: a pod on every eligible node, replaced node by node when the template changes.

The pod is bound to its node by a node affinity on the node's name, so that the scheduler places it; it tolerates
the taints that a node in trouble carries. Source: pkg/controller/daemon in Kubernetes 1.37.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dabbawala.api import apps_v1, core_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.daemonset import eligibility
from dabbawala.reconcile import pods, templates
from dabbawala.reconcile.plan import Action, Create, Delete, Plan, Record, status_change

HASH_LABEL = "controller-revision-hash"
GENERATION_LABEL = "pod-template-generation"
FAILED_REST = timedelta(seconds=10)
"""How old a failed pod must be before it is replaced: one that a node refuses at once would otherwise be made again as
fast as the node can refuse it. Upstream doubles from 1 s to 15 min."""


def plan(desired: Object, observed: Sequence[Object], nodes: Mapping[str, Object], now: datetime) -> Plan:
    """`observed` are the pods that the set owns, `nodes` all nodes by name."""
    current = templates.hash_of(desired["spec"]["template"], label=HASH_LABEL)
    on_node: dict[str, list[Object]] = {}
    for pod in observed:
        on_node.setdefault(_target(pod), []).append(pod)
    actions: tuple[Action, ...] = ()
    if not meta.is_deleting(desired):
        actions = (
            *_place(desired, on_node, nodes, current, now),
            *_replace(desired, on_node, nodes, current, now),
        )
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    status = _status(desired, on_node, nodes, current, now)
    changes = status_change(apps_v1.DAEMON_SET, desired, status)
    rests = [rest for pod in observed if pods.is_finished(pod) and (rest := _rest(pod, now)) > timedelta()]
    waits = [pods.next_available(observed, min_ready, now), *rests]
    return Plan((*actions, *changes), min((wait for wait in waits if wait is not None), default=None))


def _target(pod: Object) -> str:
    """The node that the pod is on or is meant for."""
    return pods.node_name(pod) or eligibility.intended_node(pod)


def _place(
    desired: Object,
    on_node: Mapping[str, Sequence[Object]],
    nodes: Mapping[str, Object],
    current: str,
    now: datetime,
) -> list[Action]:
    """Create what is missing; delete what failed, what is double and what is on a node that may not have it."""
    actions: list[Action] = []
    for name, node in sorted(nodes.items()):
        there = [pod for pod in on_node.get(name, ()) if not meta.is_deleting(pod)]
        run, keep = eligibility.judge(desired, node)
        finished = [pod for pod in there if pods.is_finished(pod)]
        for pod in finished:
            if _rest(pod, now) > timedelta():
                continue
            text = f"Found failed daemon pod {meta.key(pod)} on node {name}, will try to kill it"
            actions += [Record(desired, "FailedDaemonPod", text, "Warning"), _delete(pod)]
        alive = sorted((pod for pod in there if pod not in finished), key=_seniority)
        if run and not alive and not on_node.get(name):
            actions.append(Create(core_v1.POD, _pod(desired, name, current), announce_to=desired))
        actions += [_delete(pod) for pod in (alive[1:] if keep else alive)]
    gone = [pod for name, there in on_node.items() if name not in nodes for pod in there if not meta.is_deleting(pod)]
    return [*actions, *map(_delete, gone)]


def _rest(pod: Object, now: datetime) -> timedelta:
    """How long a finished pod stays where it is."""
    created = meta.metadata(pod).get("creationTimestamp")
    return clock.parse_time(created) + FAILED_REST - now if created else timedelta()


def _seniority(pod: Object) -> tuple[str, str]:
    return str(meta.metadata(pod).get("creationTimestamp", "")), meta.name(pod)


def _replace(
    desired: Object,
    on_node: Mapping[str, Sequence[Object]],
    nodes: Mapping[str, Object],
    current: str,
    now: datetime,
) -> list[Action]:
    """Delete old pods, those that do not serve first, as many as maxUnavailable allows."""
    strategy = desired["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return []
    wanted = [name for name, node in nodes.items() if eligibility.judge(desired, node)[0]]
    limit = _share((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(wanted))
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    unavailable = 0
    idle: list[Object] = []
    serving: list[Object] = []
    for name in sorted(wanted):
        pod = next((pod for pod in on_node.get(name, ()) if pods.is_active(pod)), None)
        available = pod is not None and pods.is_available(pod, min_ready, now)
        unavailable += not available
        if pod is not None and meta.labels(pod).get(HASH_LABEL) != current:
            (serving if available else idle).append(pod)
    return [_delete(pod) for pod in (*idle, *serving[: max(limit - unavailable, 0)])]


def _share(value: int | str, total: int) -> int:
    return value if isinstance(value, int) else max(math.ceil(int(value.removesuffix("%")) * total / 100), 1)


def _delete(pod: Object) -> Delete:
    return Delete(core_v1.POD, meta.key(pod), uid=meta.uid(pod))


def _pod(desired: Object, node: str, current: str) -> Object:
    made = pods.from_template(desired["spec"]["template"], desired, prefix=f"{meta.name(desired)}-")
    labels = {HASH_LABEL: current, GENERATION_LABEL: str(meta.generation(desired))}
    made["metadata"]["labels"] = {**made["metadata"].get("labels", {}), **labels}
    return {**made, "spec": eligibility.bound_to(made["spec"], node)}


def _status(
    desired: Object,
    on_node: Mapping[str, Sequence[Object]],
    nodes: Mapping[str, Object],
    current: str,
    now: datetime,
) -> Object:
    counts = dict.fromkeys(("desired", "current", "misscheduled", "ready", "available", "updated"), 0)
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    for name, node in nodes.items():
        pod = next((pod for pod in on_node.get(name, ()) if pods.is_active(pod)), None)
        run = eligibility.judge(desired, node).run
        counts["desired"] += run
        counts["misscheduled"] += pod is not None and not run
        if pod is not None and run:
            counts["current"] += 1
            counts["ready"] += pods.is_ready(pod)
            counts["available"] += pods.is_available(pod, min_ready, now)
            counts["updated"] += meta.labels(pod).get(HASH_LABEL) == current
    return {
        "desiredNumberScheduled": counts["desired"],
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["misscheduled"],
        "numberReady": counts["ready"],
        "numberAvailable": counts["available"] or None,
        "numberUnavailable": (counts["desired"] - counts["available"]) or None,
        "updatedNumberScheduled": counts["updated"] or None,
        "observedGeneration": meta.generation(desired),
    }
