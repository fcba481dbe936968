"""What is wrong with a canary strategy by itself. Source: Argo Rollouts, pkg/apis/rollouts/validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dabbawala.api import field_checks
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.rollout import spec

Errors = Iterator[FieldError]

PATH = "spec.strategy"
SAME_SERVICES = (
    "This rollout uses the same service for the stable and canary services, but two different services are required."
)
NO_ROOM = "MaxSurge and MaxUnavailable both can not be zero"
SERVICES_NEEDED = "Canary service and Stable service must to be set to use Traffic Routing"
STEP_NEEDED = "Step must have one of the following set: experiment, setWeight, setCanaryScale or pause"
SCALE_NEEDS_ROUTING = "SetCanaryScale requires TrafficRouting to be set"
DURATION_NEEDED = "Duration needs to be greater than 0"
DELAY_NEEDS_ROUTING = "Canary scaleDownDelaySeconds can only be used with traffic routing"
DYNAMIC_NEEDS_ROUTING = "Canary dynamicStableScale can only be used with traffic routing"
DYNAMIC_WITH_DELAY = "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds"
MAX_WEIGHT_UNSUPPORTED = "Canary maxTrafficWeight in traffic routing only support in Nginx and Plugins"

ROUTER_NEEDED = "trafficRouting names no router; name istio's VirtualService, or leave trafficRouting out"

SETTINGS = ("managedRoutes", "maxTrafficWeight")
"""Of trafficRouting, and of no router."""

STEPS = ("setWeight", "pause", "setCanaryScale", "analysis")
LATER_STEPS = ("experiment", "setHeaderRoute", "setMirrorRoute", "plugin")


def canary(rollout: Object) -> Errors:
    body = spec.canary(rollout) or {}
    for rule in RULES:
        yield from rule(rollout, body)


def _room(rollout: Object, body: Object) -> Errors:
    surge, unavailable = body.get("maxSurge", spec.SURGE), body.get("maxUnavailable", spec.UNAVAILABLE)
    errors = [
        error
        for field, value in (("maxSurge", surge), ("maxUnavailable", unavailable))
        for error in field_checks.int_or_percent(value, f"{PATH}.{field}")
        if not str(value).isdecimal()
    ]
    yield from errors
    if not errors and spec.share(surge, 100, up=True) == 0 and spec.share(unavailable, 100, up=True) == 0:
        yield status.invalid(f"{PATH}.maxSurge", surge, NO_ROOM)


def _services(rollout: Object, body: Object) -> Errors:
    stable, canaried = body.get("stableService"), body.get("canaryService")
    if stable and stable == canaried:
        yield status.invalid(f"{PATH}.stableService", stable, SAME_SERVICES)
    istio = (body.get("trafficRouting") or {}).get("istio")
    if istio and not istio.get("destinationRule"):
        for field, value in (("stableService", stable), ("canaryService", canaried)):
            if not value:
                yield status.invalid(f"{PATH}.{field}", value or "", SERVICES_NEEDED)


def _router(rollout: Object, body: Object) -> Errors:
    routing = body.get("trafficRouting")
    if routing is None:
        if body.get("scaleDownDelaySeconds") is not None:
            yield status.invalid(f"{PATH}.scaleDownDelaySeconds", body["scaleDownDelaySeconds"], DELAY_NEEDS_ROUTING)
        if body.get("dynamicStableScale"):
            yield status.invalid(f"{PATH}.dynamicStableScale", True, DYNAMIC_NEEDS_ROUTING)
        return
    if body.get("scaleDownDelaySeconds") is not None and body.get("dynamicStableScale"):
        yield status.invalid(f"{PATH}.dynamicStableScale", True, DYNAMIC_WITH_DELAY)
    if routing.get("maxTrafficWeight") is not None:
        path = f"{PATH}.trafficRouting.maxTrafficWeight"
        yield status.invalid(path, routing["maxTrafficWeight"], MAX_WEIGHT_UNSUPPORTED)
    yield from _supported_router(routing)


def _supported_router(routing: Object) -> Errors:
    others = routing.keys() - {"istio", *SETTINGS}
    for name in sorted(name for name in others if routing[name] is not None):
        hint = "this controller routes through istio, or by pod counts without trafficRouting"
        yield status.forbidden(f"{PATH}.trafficRouting.{name}", f"traffic router {name} is not supported; {hint}")
    istio = routing.get("istio")
    if istio is not None and not _virtual_services(istio):
        yield status.required(f"{PATH}.trafficRouting.istio.virtualService")
    elif all(value is None or name in SETTINGS for name, value in routing.items()) and istio is None:
        yield status.required(f"{PATH}.trafficRouting.istio", ROUTER_NEEDED)


def _virtual_services(istio: Object) -> list[Object]:
    one = istio.get("virtualService")
    return [one] if one else list(istio.get("virtualServices") or ())


def _ping_pong(rollout: Object, body: Object) -> Errors:
    if body.get("pingPong") is not None:
        hint = "name stableService and canaryService instead"
        yield status.forbidden(f"{PATH}.pingPong", f"ping-pong services are not supported; {hint}")


def _steps(rollout: Object, body: Object) -> Errors:
    for position, step in enumerate(body.get("steps") or ()):
        path = f"{PATH}.steps[{position}]"
        yield from _one_kind(step, path)
        yield from _step_values(rollout, step, path)


def _one_kind(step: Object, path: str) -> Errors:
    given = [name for name in (*STEPS, *LATER_STEPS) if step.get(name) is not None]
    exclusive = [name for name in given if name in ("setWeight", "pause", "experiment", "analysis")]
    if not given or len(exclusive) > 1:
        yield status.invalid(path, ", ".join(given) or "{}", STEP_NEEDED)
    for name in given:
        if name in LATER_STEPS:
            hint = f"this controller carries the steps {', '.join(STEPS)}"
            yield status.forbidden(f"{path}.{name}", f"step {name} is not supported; {hint}")


def _step_values(rollout: Object, step: Object, path: str) -> Errors:
    weight, maximum = step.get("setWeight"), spec.max_weight(rollout)
    if weight is not None and not 0 <= int(weight) <= maximum:
        yield status.invalid(f"{path}.setWeight", weight, f"SetWeight needs to be between 0 and {maximum}")
    if step.get("setCanaryScale") is not None and spec.routing(rollout) is None:
        yield status.required(f"{PATH}.trafficRouting", SCALE_NEEDS_ROUTING)
    duration = (step.get("pause") or {}).get("duration")
    if duration is None:
        return
    try:
        if spec.seconds(duration) < 0:
            yield status.invalid(f"{path}.pause.duration", duration, DURATION_NEEDED)
    except ValueError as wrong:
        yield status.invalid(f"{path}.pause.duration", duration, str(wrong))


def _background(rollout: Object, body: Object) -> Errors:
    starting = (body.get("analysis") or {}).get("startingStep")
    if starting is not None and not 0 <= int(starting) <= len(spec.steps(rollout)):
        yield status.invalid(
            f"{PATH}.analysis.startingStep", starting, f"must be between 0 and {len(spec.steps(rollout))}"
        )


def _anti_affinity(rollout: Object, body: Object) -> Errors:
    yield from anti_affinity(body)


def anti_affinity(body: Object) -> Errors:
    """Both strategies have it."""
    rule = body.get("antiAffinity")
    if rule is None:
        return
    preferred = rule.get("preferredDuringSchedulingIgnoredDuringExecution")
    required = rule.get("requiredDuringSchedulingIgnoredDuringExecution")
    if (preferred is None) == (required is None):
        yield status.invalid(f"{PATH}.antiAffinity", "object", "AntiAffinity must have exactly one strategy listed")
    if preferred is not None and not 1 <= int(preferred.get("weight") or 0) <= 100:
        text = "AntiAffinity weight must be between 1-100"
        yield status.invalid(f"{PATH}.antiAffinity.weight", preferred.get("weight"), text)


RULES: tuple[Callable[[Object, Object], Errors], ...] = (
    _room, _services, _router, _ping_pong, _steps, _background, _anti_affinity,
)  # fmt: skip
