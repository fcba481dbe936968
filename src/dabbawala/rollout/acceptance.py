"""Has the data plane taken it in? The question asked before anything shrinks and before any weight grows.

Where the cluster reports it (a `Programmed` condition on routes, `dabbawala.dev/Programmed` on Services) the report
for the object's own generation is awaited. Elsewhere EndpointSlices tell of Services, and a route is given the
propagation delay of the Rollout's annotation. DESIGN.md, Acceptance.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import keys, spec
from dabbawala.rollout.draft import Blocker
from dabbawala.rollout.observed import Observed, selector_hash
from dabbawala.rollout.sets import Set

PROPAGATION_SECONDS = 5.0
"""How long a route is given where nothing reports its acceptance."""


LONGEST_PREFIX = 58
"""Characters of a ReplicaSet's name that the API server puts into its pods' names, before five random ones."""


def ready_endpoints(world: Observed, service: str, item: Set) -> int:
    """Ready endpoints of the Service that are pods of the set: by name, for a ReplicaSet's pods carry its name and one
    random part; where that is too long for a name, by owner."""
    owned = _owned(world, item) if is_cut(item.name) else frozenset()
    return sum(
        _ready(endpoint) and (_owner_name(endpoint) == item.name or _pod_name(endpoint) in owned)
        for piece in world.slices.get(service, ())
        for endpoint in piece.get("endpoints") or ()
    )


def is_cut(name: str) -> bool:
    """The pods of a ReplicaSet of that name do not carry all of it, so that two sets' pods may be named alike."""
    return len(f"{name}-") > LONGEST_PREFIX


def _owned(world: Observed, item: Set) -> frozenset[str]:
    uid = meta.uid(item.object)
    return frozenset(meta.name(pod) for pod in world.pods if (meta.controller_of(pod) or {}).get("uid") == uid)


def _ready(endpoint: Object) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _pod_name(endpoint: Object) -> str:
    return str((endpoint.get("targetRef") or {}).get("name", ""))


def _owner_name(endpoint: Object) -> str:
    return _pod_name(endpoint).rpartition("-")[0]


def service_blocker(world: Observed, service: Object, item: Set, need: int, *, retreat: bool = False) -> Blocker | None:
    """Why the Service does not yet send its traffic to the set; None when it does, with `need` ready endpoints. A
    `retreat` to where traffic came from does not wait for a node that lags behind."""
    name = meta.name(service)
    if selector_hash(service) != item.hash:
        return Blocker("ServiceNotSwitched", f"Service {name} does not select ReplicaSet {item.name} yet")
    pending = unprogrammed(service, retreat=retreat)
    if pending is not None:
        return pending
    return endpoints_blocker(world, service, item, need)


def endpoints_blocker(world: Observed, service: Object, item: Set, need: int) -> Blocker | None:
    """Why the Service has too few ready endpoints of the set, whatever else it selects."""
    name = meta.name(service)
    found = ready_endpoints(world, name, item)
    if found < need:
        text = f"Service {name} has {found} of {need} ready endpoints of ReplicaSet {item.name}"
        return Blocker("EndpointsNotReady", text)
    return None


def unprogrammed(service: Object, *, retreat: bool = False) -> Blocker | None:
    """Why the data plane does not run this generation of the Service; None when it does or nobody reports it."""
    found = conditions.find(service, keys.SERVICE_PROGRAMMED)
    if found is None:
        return None
    return _condition_blocker("Service", service, found, retreat=retreat)


def route_blocker(route: Object, rollout: Object, now: datetime, *, retreat: bool = False) -> Blocker | None:
    """Why this generation of a VirtualService or DestinationRule does not hold yet; None when it does."""
    found = conditions.find(route, keys.PROGRAMMED)
    if found is not None:
        return _condition_blocker(str(route.get("kind", "VirtualService")), route, found, retreat=retreat)
    written = meta.annotations(route).get(keys.ROUTE_CHANGED_AT)
    if not written:
        return None
    until = clock.parse_time(written) + propagation_delay(rollout)
    if now >= until:
        return None
    text = f"the route {meta.name(route)} is given until {clock.format_time(until)} to reach the data plane"
    return Blocker("RoutePropagating", text, until)


def propagation_delay(rollout: Object) -> timedelta:
    given = meta.annotations(rollout).get(keys.PROPAGATION_DELAY)
    try:
        return timedelta(seconds=spec.seconds(given) if given else PROPAGATION_SECONDS)
    except ValueError:
        return timedelta(seconds=PROPAGATION_SECONDS)


def _condition_blocker(kind: str, obj: Object, condition: Object, *, retreat: bool) -> Blocker | None:
    seen = int(condition.get("observedGeneration") or (obj.get("status") or {}).get("observedGeneration") or 0)
    if seen < meta.generation(obj):
        text = f"{kind} {meta.name(obj)}: the data plane runs generation {seen} of {meta.generation(obj)}"
        return Blocker("NotProgrammed", text)
    if condition.get("status") != "True" and not retreat:
        why = condition.get("message") or "no reason given"
        text = f"{kind} {meta.name(obj)} is not accepted by the data plane: {why}"
        return Blocker("NotProgrammed", text)
    return None
