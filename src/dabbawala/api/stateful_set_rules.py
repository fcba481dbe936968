"""Defaults and validation of StatefulSets, and of the revisions in which controllers remember what they have run.

Source: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation.
"""

from __future__ import annotations

from dabbawala.api import field_checks as check
from dabbawala.api import names, pod_defaults, storage_rules, workload_validation
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

_POLICIES = ("OrderedReady", "Parallel")
_STRATEGIES = ("RollingUpdate", "OnDelete")
_RETENTIONS = ("Retain", "Delete")
_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_IMMUTABLE = (
    "updates to statefulset spec for fields other than "
    + ", ".join(f"'{field}'" for field in _MUTABLE[:-1])
    + f" and '{_MUTABLE[-1]}' are forbidden"
)


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    strategy = spec["updateStrategy"] = spec.get("updateStrategy") or {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec["persistentVolumeClaimRetentionPolicy"] = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        retention[field] = retention.get(field) or "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    pod_defaults.template(spec)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        storage_rules.default_claim(claim)
        claim["status"] = claim.get("status") or {"phase": "Pending"}


def stateful_set(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    if policy not in _POLICIES:
        yield status.invalid("spec.podManagementPolicy", policy, f"must be '{_POLICIES[0]}' or '{_POLICIES[1]}'")
    yield from _strategy(spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        path = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
        yield from check.one_of(retention.get(field), _RETENTIONS, path)
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        yield from check.at_least(spec.get(field), 0, f"spec.{field}")
    yield from check.at_least((spec.get("ordinals") or {}).get("start"), 0, "spec.ordinals.start")
    yield from check.optionally_named(spec.get("serviceName"), names.dns_label, "spec.serviceName")
    yield from _claims(spec)
    yield from workload_validation.pods({**spec, "template": _with_claims(spec)}, "statefulset", "StatefulSet")
    if old is not None:
        yield from _update(spec, old.get("spec") or {})


def _strategy(strategy: Object) -> Errors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    path = "spec.updateStrategy"
    if kind not in _STRATEGIES:
        yield check.invalid_json(path, strategy, f"must be '{_STRATEGIES[0]}' or '{_STRATEGIES[1]}'")
    elif rolling is not None and kind == "OnDelete":
        yield check.invalid_json(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'")
    elif rolling is not None:
        yield from check.at_least(rolling.get("partition"), 0, f"{path}.rollingUpdate.partition")
        yield from _unavailable(rolling.get("maxUnavailable"), f"{path}.rollingUpdate.maxUnavailable")


def _unavailable(value: int | str | None, path: str) -> Errors:
    yield from check.int_or_percent(value, path)
    if workload_validation.is_zero(value):
        yield status.invalid(path, value, "cannot be 0")
    if workload_validation.percent(value) > 100:
        yield status.invalid(path, value, "must not be greater than 100%")


def _claims(spec: Object) -> Errors:
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        for error in storage_rules.claim(claim, None):
            yield status.FieldError(f"spec.volumeClaimTemplates[{index}].{error.field}", error.reason, error.message)


def _with_claims(spec: Object) -> Object:
    """The template with a volume for each claim, as its pods will have them: that is what containers mount."""
    template: Object = spec.get("template") or {}
    claimed = [(claim.get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()]
    pods = template.get("spec") or {}
    kept = [volume for volume in pods.get("volumes") or () if volume.get("name") not in claimed]
    added = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claimed]
    return {**template, "spec": {**pods, "volumes": [*kept, *added]}}


def _update(new: Object, old: Object) -> Errors:
    fields = (new.keys() | old.keys()) - set(_MUTABLE)
    if any(new.get(field) != old.get(field) for field in fields):
        yield status.forbidden("spec", _IMMUTABLE)


def controller_revision(new: Object, old: Object | None) -> Errors:
    if new.get("data") is None:
        yield status.required("data", "data is mandatory")
    yield from check.at_least(new.get("revision"), 0, "revision")
    if old is not None and new.get("data") != old.get("data"):
        yield check.invalid_json("data", new.get("data"), "field is immutable")
