"""Validation of pods and pod templates, and what may change in a pod that exists.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from dabbawala.api import container_validation, names, object_meta, scheduling_validation, volume_validation
from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

SPECS_REMEMBERED, SPEC_BYTES_REMEMBERED = 256, 16 * 1024
"""Pods of one template come by the hundred with the same spec, to the byte; each spec is validated once."""
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_SYSCTL_MAX = 253
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_NAME = rf"({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}"
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod(new: Object, old: Object | None) -> Errors:
    """A pod on create; on update only what may change is looked at."""
    spec = new.get("spec") or {}
    text = orjson.dumps(spec)
    yield from _remembered(text) if len(text) <= SPEC_BYTES_REMEMBERED else pod_spec(spec, "spec")
    if old is not None:
        yield from _update(spec, old.get("spec") or {})


@lru_cache(maxsize=SPECS_REMEMBERED)
def _remembered(spec: bytes) -> tuple[FieldError, ...]:
    return tuple(pod_spec(orjson.loads(spec), "spec"))


def template(holder: Object, path: str) -> Errors:
    """`holder["template"]`: the labels and the spec of the pods to come."""
    wanted = holder.get("template") or {}
    metadata = wanted.get("metadata") or {}
    yield from object_meta.labels(metadata.get("labels") or {}, f"{path}.template.metadata.labels")
    yield from pod_spec(wanted.get("spec") or {}, f"{path}.template.spec")


def pod_spec(spec: Object, path: str) -> Errors:
    yield from volume_validation.volumes(spec.get("volumes") or (), f"{path}.volumes")
    yield from container_validation.containers(spec, path)
    yield from check.one_of(spec.get("restartPolicy"), _RESTART_POLICIES, f"{path}.restartPolicy")
    yield from check.one_of(spec.get("dnsPolicy"), _DNS_POLICIES, f"{path}.dnsPolicy")
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        message = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield status.required(f"{path}.dnsConfig.nameservers", message)
    yield from object_meta.labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    yield from scheduling_validation.scheduling(spec, path)
    for field, rule in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
        ("priorityClassName", names.dns_subdomain),
        ("runtimeClassName", names.dns_subdomain),
    ):
        yield from check.optionally_named(spec.get(field), rule, f"{path}.{field}")
    yield from check.at_least(spec.get("terminationGracePeriodSeconds"), 0, f"{path}.terminationGracePeriodSeconds")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        message = "must be between 1 and 2147483647, inclusive"
        yield status.invalid(f"{path}.activeDeadlineSeconds", deadline, message)
    yield from _host_ports(spec, path)
    yield from _sysctls((spec.get("securityContext") or {}).get("sysctls") or (), f"{path}.securityContext.sysctls")


def _sysctls(given: Iterable[Object], path: str) -> Errors:
    """That a name is well-formed; whether it may be set is for the node to say."""
    taken: set[str] = set()
    for index, sysctl in enumerate(given):
        name, where = sysctl.get("name") or "", f"{path}[{index}].name"
        if not name:
            yield status.required(where)
        elif len(name) > _SYSCTL_MAX or not re.fullmatch(_SYSCTL_NAME, name):
            message = f"must have at most {_SYSCTL_MAX} characters and match regex ^{_SYSCTL_NAME}$"
            yield status.invalid(where, name, message)
        elif name in taken:
            yield status.duplicate(where, name)
        taken.add(name)


def _host_ports(spec: Object, path: str) -> Errors:
    taken: set[tuple[Any, ...]] = set()
    for index, container in enumerate(spec.get("containers") or ()):
        for at, port in enumerate(container.get("ports") or ()):
            where = f"{path}.containers[{index}].ports[{at}]"
            if spec.get("hostNetwork") and port.get("hostPort") != port.get("containerPort"):
                message = "must match `hostPort` when `hostNetwork` is true"
                yield status.invalid(f"{where}.containerPort", port.get("containerPort"), message)
            if port.get("hostPort"):
                wanted = (port["hostPort"], port.get("protocol"), port.get("hostIP"))
                if wanted in taken:
                    yield status.duplicate(f"{where}.hostPort", port["hostPort"])
                taken.add(wanted)


def _update(new: Object, old: Object) -> Errors:
    """Compare after putting back what may change; whatever still differs may not."""
    if new == old:
        return
    kept = {**new, "tolerations": old.get("tolerations")}
    for field in ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "schedulingGates"):
        kept[field] = old.get(field)
    for field in ("containers", "initContainers"):
        kept[field] = _with_images(new.get(field) or (), old.get(field) or ())
    fields = kept.keys() | old.keys()
    changed = sorted(field for field in fields if (kept.get(field) or None) != (old.get(field) or None))
    if changed:
        yield status.forbidden("spec", _MUTABLE + "\nchanged: " + ", ".join(f"spec.{field}" for field in changed))
    before = old.get("tolerations") or ()
    if any(toleration not in (new.get("tolerations") or ()) for toleration in before):
        message = "existing toleration can not be modified except its tolerationSeconds"
        yield status.forbidden("spec.tolerations", message)
    yield from _deadline(new, old)
    gates = {gate["name"] for gate in old.get("schedulingGates") or ()}
    for gate in new.get("schedulingGates") or ():
        if gate["name"] not in gates:
            yield status.forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gate")


def _deadline(new: Object, old: Object) -> Errors:
    before, after = old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds")
    if before is not None and after is None:
        yield status.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    elif before is not None and after is not None and after > before:
        message = f"must be less than or equal to previous value {before}"
        yield status.invalid("spec.activeDeadlineSeconds", after, message)


def _with_images(new: Iterable[Mapping[str, Any]], old: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    images = {container.get("name"): container.get("image") for container in old}
    return [{**container, "image": images.get(container.get("name"))} for container in new]
