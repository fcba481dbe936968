"""What is wrong with a Rollout by itself, in Argo's words, which people and tests search for.

What this controller does not carry yet (other routers, experiments, header and mirror routes, plugins, the template of
a PodTemplate) is refused here by name, so that nothing is half done. Source: Argo Rollouts,
pkg/apis/rollouts/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

from dabbawala.api import field_checks, pod_defaults, pod_validation
from dabbawala.apimachinery import meta, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError, StatusError
from dabbawala.rollout import spec
from dabbawala.rollout.validation_canary import anti_affinity, canary

Errors = Iterator[FieldError]

SAME_SERVICES = (
    "This rollout uses the same service for the active and preview services, but two different services are required."
)
MULTIPLE_STRATEGIES = "Multiple Strategies can not be listed"
LIMIT_TOO_LARGE = "This rollout's revision history limit can not be smaller than the rollout's scale down limit"
TEMPLATE_AND_REFERENCE = "template must be empty for workload reference rollout"
REMEDY = "Correct the field, or create what it names; the controller looks again by itself"
WORKLOAD_KINDS = ("Deployment", "ReplicaSet")


def validate(rollout: Object) -> list[FieldError]:
    """Everything wrong with the object as the user wrote it."""
    if not isinstance(rollout.get("spec"), dict):
        return [status.required("spec", "Rollout has missing field '.spec'")]
    return [error for rule in RULES for error in rule(rollout)]


def message(rollout: Object, errors: Iterable[FieldError]) -> str:
    """The message of the InvalidSpec condition: Argo's words, and then what to do."""
    first = next(iter(errors))
    return f'The Rollout "{meta.name(rollout)}" is invalid: {first.field}: {first.message.rstrip(".")}. {REMEDY}'


def _numbers(rollout: Object) -> Errors:
    body = rollout["spec"]
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from field_checks.at_least(body.get(field), 0, f"spec.{field}")
    deadline = int(spec.progress_deadline(rollout).total_seconds())
    if deadline <= spec.min_ready_seconds(rollout):
        yield status.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _selector(rollout: Object) -> Errors:
    selector = rollout["spec"].get("selector")
    if rollout["spec"].get("workloadRef"):
        return
    if selector is None:
        yield status.required("spec.selector", "Rollout has missing field '.spec.selector'")
        return
    yield from field_checks.label_selector(selector, "spec.selector")
    if field_checks.is_empty_selector(selector):
        yield status.invalid("spec.selector", selector, "empty selector is invalid for deployment")


def _workload(rollout: Object) -> Errors:
    reference = rollout["spec"].get("workloadRef")
    if not reference:
        return
    if (rollout["spec"].get("template") or {}).get("spec"):
        yield FieldError("spec.template", "InternalError", f"Internal error: {TEMPLATE_AND_REFERENCE}")
    if reference.get("kind") not in WORKLOAD_KINDS:
        yield status.not_supported("spec.workloadRef.kind", reference.get("kind"), WORKLOAD_KINDS)


def _template(rollout: Object) -> Errors:
    template = rollout["spec"].get("template")
    if rollout["spec"].get("workloadRef"):
        return
    if not template:
        yield status.required("spec.template", "Rollout has missing field '.spec.template'")
        return
    yield from template_errors(template, rollout["spec"].get("selector"))


def template_errors(template: Object, selector: Any) -> Errors:
    """What is wrong with a pod template, and whether the selector finds its pods."""
    containers = (template.get("spec") or {}).get("containers")
    if not containers:
        yield status.required("spec.template.spec.containers")
        return
    yield from pod_validation.template({"template": _defaulted(template)}, "spec.template")
    restart = (template.get("spec") or {}).get("restartPolicy", "Always")
    if restart != "Always":
        yield status.not_supported("spec.template.spec.restartPolicy", restart, ("Always",))
    labels = (template.get("metadata") or {}).get("labels") or {}
    try:
        matches = selectors.from_label_selector(selector).matches(labels)
    except StatusError:
        return
    if selector and not matches:
        yield status.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _defaulted(template: Object) -> Object:
    holder = {"template": deepcopy(template)}
    pod_defaults.template(holder)
    result: Object = holder["template"]
    return result


def _strategy(rollout: Object) -> Errors:
    blue_green, canaried = spec.blue_green(rollout), spec.canary(rollout)
    if blue_green is None and canaried is None:
        missing = "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'"
        yield status.required("spec.strategy.strategy", missing)
    elif blue_green is not None and canaried is not None:
        yield status.invalid("spec.strategy.strategy", "blueGreen: true canary: true", MULTIPLE_STRATEGIES)
    elif blue_green is not None:
        yield from _blue_green(rollout, blue_green)
    else:
        yield from canary(rollout)


def _blue_green(rollout: Object, body: Object) -> Errors:
    path = "spec.strategy.blueGreen"
    active = body.get("activeService")
    if not active:
        yield status.required(f"{path}.activeService", f"Rollout has missing field '.{path}.activeService'")
    elif active == body.get("previewService"):
        yield status.invalid("spec.strategy.activeService", active, SAME_SERVICES)
    limit = body.get("scaleDownDelayRevisionLimit")
    if limit is not None and spec.revision_history_limit(rollout) < limit:
        yield status.invalid("spec.strategy.scaleDownDelayRevisionLimit", limit, LIMIT_TOO_LARGE)
    for field in ("previewReplicaCount", "autoPromotionSeconds", "scaleDownDelaySeconds", "abortScaleDownDelaySeconds"):
        yield from field_checks.at_least(body.get(field), 0, f"{path}.{field}")
    if not str(body.get("maxUnavailable")).isdecimal():  # a bare "25" is a percentage to Argo
        yield from field_checks.int_or_percent(body.get("maxUnavailable"), f"{path}.maxUnavailable")
    yield from anti_affinity(body)


RULES: tuple[Callable[[Object], Errors], ...] = (_numbers, _selector, _workload, _template, _strategy)
