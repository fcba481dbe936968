"""What is wrong between a Rollout and the objects it names: missing, somebody else's, or of another shape.

Source: Argo Rollouts, pkg/apis/rollouts/validation/validation_references.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dabbawala.api import apps_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.rollout import keys, spec, traffic, validation
from dabbawala.rollout.analysis import plan as runs
from dabbawala.rollout.analysis import templates
from dabbawala.rollout.observed import Situation

Errors = Iterator[FieldError]


def validate(situation: Situation) -> list[FieldError]:
    return [error for rule in RULES for error in rule(situation)]


def _workload(situation: Situation) -> Errors:
    reference = situation.rollout["spec"].get("workloadRef")
    if not reference:
        return
    version = str(reference.get("apiVersion") or apps_v1.DEPLOYMENT.api_version)
    if version.partition("/")[0] != apps_v1.DEPLOYMENT.group:
        yield status.not_supported("spec.workloadRef.apiVersion", version, (apps_v1.DEPLOYMENT.api_version,))
    if situation.world.workload is None:
        text = f'{str(reference.get("kind", "")).lower()}s "{reference.get("name")}" not found'
        yield status.invalid("spec.workloadRef.name", reference.get("name"), text)
        return
    body = situation.rollout["spec"]
    yield from validation.template_errors(body.get("template") or {}, body.get("selector"))


def _services(situation: Situation) -> Errors:
    strategy = "blueGreen" if spec.blue_green(situation.rollout) is not None else "canary"
    for role, name in spec.services(situation.rollout).items():
        path = f"spec.strategy.{strategy}.{role}Service"
        service = situation.world.services.get(name)
        if service is None:
            yield status.invalid(path, name, f'service "{name}" not found')
        else:
            yield from _service(situation.rollout, service, path)


def _service(rollout: Object, service: Object, path: str) -> Errors:
    name = meta.name(service)
    owner = meta.annotations(service).get(keys.MANAGED_BY)
    if owner and owner != meta.name(rollout):
        yield status.invalid(path, name, f'Service "{name}" is managed by another Rollout')
    labels = (spec.template(rollout).get("metadata") or {}).get("labels") or {}
    for key, value in ((service.get("spec") or {}).get("selector") or {}).items():
        if key != keys.HASH and labels.get(key) != value:
            yield status.invalid(path, name, f'Service "{name}" has unmatch label "{key}" in rollout')


def _routes(situation: Situation) -> Errors:
    routing = spec.routing(situation.rollout)
    if routing is None:
        return
    path, istio = "spec.strategy.canary.trafficRouting.istio.virtualService", routing.get("istio") or {}
    if istio.get("virtualService") and istio.get("virtualServices"):
        text = "either VirtualService or VirtualServices must be configured, and not both"
        yield status.invalid(path, istio["virtualService"].get("name"), text)
    for reference in traffic.references(situation.rollout):
        found = situation.world.virtual_services.get(reference.key)
        if found is None:
            text = f'virtualservices.networking.istio.io "{reference.key.name}" not found'
            yield status.invalid(f"{path}.name", reference.key.name, text)
            continue
        try:
            traffic.check(found, reference, traffic.sides(situation.rollout))
        except traffic.Unroutable as wrong:
            text = f"Istio VirtualService has invalid HTTP routes. Error: {wrong}"
            yield status.invalid(f"{path}.name", reference.key.name, text)


def _subsets(situation: Situation) -> Errors:
    key = traffic.destination_rule(situation.rollout)
    if key is None:
        return
    path = "spec.strategy.canary.trafficRouting.istio.destinationRule.name"
    rule = situation.world.destination_rules.get(key)
    if rule is None:
        yield status.invalid(path, key.name, f'destinationrules.networking.istio.io "{key.name}" not found')
        return
    who = traffic.sides(situation.rollout)
    names = {item.get("name") for item in (rule.get("spec") or {}).get("subsets") or ()}
    for subset in (who.canary_subset, who.stable_subset):
        if subset and subset not in names:
            yield status.invalid(path, key.name, f"DestinationRule {key.name} has no subset {subset}")
    owner = meta.annotations(rule).get(keys.MANAGED_BY)
    if owner and owner != meta.name(situation.rollout):
        yield status.invalid(path, key.name, f'DestinationRule "{key.name}" is managed by another Rollout')


def analyses(rollout: Object) -> Iterator[tuple[str, Object, bool]]:
    """(field path, analysis block, must it end by itself) of every analysis that a Rollout asks for."""
    blue_green, canary = spec.blue_green(rollout) or {}, spec.canary(rollout) or {}
    for field in ("prePromotionAnalysis", "postPromotionAnalysis"):
        if blue_green.get(field):
            yield f"spec.strategy.blueGreen.{field}", blue_green[field], True
    for position, step in enumerate(canary.get("steps") or ()):
        if step.get("analysis"):
            yield f"spec.strategy.canary.steps[{position}].analysis", step["analysis"], True
    if canary.get("analysis"):
        yield "spec.strategy.canary.analysis", canary["analysis"], False


def _analyses(situation: Situation) -> Errors:
    for path, analysis, must_end in analyses(situation.rollout):
        try:
            found = templates.flatten(analysis.get("templates") or (), situation.world.templates)
            run = {"spec": templates.run_spec(situation, analysis)}
        except templates.Unusable as wrong:
            yield status.invalid(f"{path}.templates", _names(analysis), str(wrong))
            continue
        wrong_run = runs.invalid(run)
        if wrong_run:
            yield status.invalid(f"{path}.templates", _names(analysis), wrong_run)
        elif must_end:
            yield from _endless(run, found, f"{path}.templates")


def _endless(run: Object, found: list[Object], path: str) -> Errors:
    """Metrics of a run that its Rollout would wait for in vain, by the template they come from."""
    owners = [meta.name(item) for item in found for _ in (item.get("spec") or {}).get("metrics") or ()]
    endless = runs.endless(run)
    for name, metric in zip(owners, runs.metrics(run), strict=True):
        if metric.get("name") in endless:
            text = f"AnalysisTemplate {name} has metric {metric['name']} which runs indefinitely"
            yield status.invalid(path, name, f"{text}. Invalid value for count: {metric.get('count', '<nil>')}")


def _names(analysis: Object) -> str:
    return ", ".join(str(item.get("templateName")) for item in analysis.get("templates") or ())


RULES: tuple[Callable[[Situation], Errors], ...] = (_workload, _services, _routes, _subsets, _analyses)
