"""Validation of what runs pods: Deployments, ReplicaSets, DaemonSets and Jobs. What StatefulSets, CronJobs and
ReplicationControllers share with them is public.

Source: pkg/apis/apps/validation and pkg/apis/batch/validation.
"""

from __future__ import annotations

from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import object_meta, pod_validation
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

_COMPLETION_MODES = ("NonIndexed", "Indexed")


def deployment(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.at_least(spec.get("replicas"), 0, "spec.replicas")
    yield from pods(spec, "deployment")
    yield from _deployment_strategy(spec.get("strategy") or {})
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from check.at_least(spec.get(field), 0, f"spec.{field}")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield status.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    yield from _selector_stays(new, old)


def replica_set(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.at_least(spec.get("replicas"), 0, "spec.replicas")
    yield from check.at_least(spec.get("minReadySeconds"), 0, "spec.minReadySeconds")
    yield from pods(spec, "replica set")
    yield from _selector_stays(new, old)


def daemon_set(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from pods(spec, "daemonset")
    strategy = spec.get("updateStrategy") or {}
    kinds = ("RollingUpdate", "OnDelete")
    yield from check.one_of(strategy.get("type"), kinds, "spec.updateStrategy.type")
    if strategy.get("type") == "RollingUpdate":
        yield from _rolling(strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate")
    for field in ("minReadySeconds", "revisionHistoryLimit"):
        yield from check.at_least(spec.get(field), 0, f"spec.{field}")
    yield from _selector_stays(new, old)


def _selector_stays(new: Object, old: Object | None) -> Errors:
    if old is not None:
        selector = (new.get("spec") or {}).get("selector")
        if selector != (old.get("spec") or {}).get("selector"):
            yield check.invalid_json("spec.selector", selector, "field is immutable")


def pods(spec: Object, noun: str, kind: str = "ReplicaSet") -> Errors:
    """The selector selects the template's labels, and the template's pods run for ever."""
    selector = spec.get("selector")
    if selector is None:
        yield status.required("spec.selector")
    else:
        yield from check.label_selector(selector, "spec.selector")
        if check.is_empty_selector(selector):
            yield check.invalid_json("spec.selector", selector, f"empty selector is invalid for {noun}")
    yield from selected(spec, selector)
    yield from pod_validation.template(spec, "spec")
    yield from running_for_ever(spec, kind)


def running_for_ever(spec: Object, kind: str) -> Errors:
    wanted = (spec.get("template") or {}).get("spec") or {}
    if wanted.get("restartPolicy") not in (None, "Always"):
        yield status.not_supported("spec.template.spec.restartPolicy", wanted["restartPolicy"], ("Always",))
    if wanted.get("activeDeadlineSeconds") is not None:
        message = f"activeDeadlineSeconds in {kind} is not Supported"
        yield status.forbidden("spec.template.spec.activeDeadlineSeconds", message)


def selected(spec: Object, selector: Any) -> Errors:
    labels = meta.labels(spec.get("template") or {})
    if selector is None or check.is_empty_selector(selector):
        return
    try:
        matches = selectors.from_label_selector(selector).matches(labels)
    except status.StatusError:
        return  # named by check.label_selector
    if not matches:
        message = "`selector` does not match template `labels`"
        yield check.invalid_json("spec.template.metadata.labels", labels, message)


def _deployment_strategy(strategy: Object) -> Errors:
    kind = strategy.get("type")
    yield from check.one_of(kind, ("Recreate", "RollingUpdate"), "spec.strategy.type")
    if kind == "Recreate" and strategy.get("rollingUpdate") is not None:
        message = "may not be specified when strategy `type` is 'Recreate'"
        yield status.forbidden("spec.strategy.rollingUpdate", message)
    if kind == "RollingUpdate":
        yield from _rolling(strategy.get("rollingUpdate") or {}, "spec.strategy.rollingUpdate")


def _rolling(rolling: Object, path: str) -> Errors:
    for field in ("maxUnavailable", "maxSurge"):
        yield from check.int_or_percent(rolling.get(field), f"{path}.{field}")
        if field == "maxUnavailable" and percent(rolling.get(field)) > 100:
            yield status.invalid(f"{path}.{field}", rolling[field], "must not be greater than 100%")
    if is_zero(rolling.get("maxUnavailable")) and is_zero(rolling.get("maxSurge")):
        message = "may not be 0 when `maxSurge` is 0"
        yield status.invalid(f"{path}.maxUnavailable", rolling.get("maxUnavailable"), message)


def percent(value: int | str | None) -> int:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        return int(value[:-1])
    return 0


def is_zero(value: int | str | None) -> bool:
    return value == 0 or (isinstance(value, str) and value.rstrip("%").strip("0") == "")


def job(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from selected(spec, spec.get("selector"))
    yield from job_spec(spec, "spec")
    if old is not None:
        yield from _job_update(spec, old.get("spec") or {})


def job_spec(spec: Object, path: str) -> Errors:
    """What holds for a Job and for the Jobs that a CronJob makes."""
    counts = (
        "parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished",
    )  # fmt: skip
    for field in counts:
        yield from check.at_least(spec.get(field), 0, f"{path}.{field}")
    if spec.get("completionMode") is not None:
        yield from check.one_of(spec["completionMode"], _COMPLETION_MODES, f"{path}.completionMode")
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        message = "when completion mode is Indexed"
        yield status.required(f"{path}.completions", message)
    yield from _not_counted(spec, path)
    yield from pod_validation.template(spec, path)
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        yield status.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _not_counted(spec: Object, path: str) -> Errors:
    """What the Job controller does not do is refused: a Job that says so would retry for ever, or never end."""
    for field, instead in (
        ("backoffLimitPerIndex", "use backoffLimit"),
        ("maxFailedIndexes", "use backoffLimit"),
        ("successPolicy", "use completions"),
    ):
        if spec.get(field) is not None:
            yield status.forbidden(f"{path}.{field}", f"this cluster does not count by index; {instead}")
    for number, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        where = f"{path}.podFailurePolicy.rules[{number}].action"
        yield from check.one_of(rule.get("action"), ("Count", "FailJob", "Ignore"), where)


def _job_update(new: Object, old: Object) -> Errors:
    if new.get("completionMode") == "NonIndexed" or old.get("completionMode") != "Indexed":
        yield from object_meta.immutable(new.get("completions"), old.get("completions"), "spec.completions")
    for field in ("selector", "template", "completionMode", "podFailurePolicy"):
        if new.get(field) != old.get(field):
            yield check.invalid_json(f"spec.{field}", new.get(field), "field is immutable")


def pod_disruption_budget(new: Object, old: Object | None) -> list[FieldError]:
    spec = new.get("spec") or {}
    wrong = list(check.label_selector(spec.get("selector"), "spec.selector"))
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        message = "minAvailable and maxUnavailable cannot be both set"
        wrong.append(check.invalid_json("spec", spec, message))
    for field in ("minAvailable", "maxUnavailable"):
        wrong += check.int_or_percent(spec.get(field), f"spec.{field}")
        if percent(spec.get(field)) > 100:
            wrong.append(status.invalid(f"spec.{field}", spec[field], "must not be greater than 100%"))
    return wrong
