"""What `podFailurePolicy` says about a pod that has failed: the first rule that matches decides. Source: KEP-3329."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object

FAIL_JOB, IGNORE, COUNT = "FailJob", "Ignore", "Count"


class Ruling(NamedTuple):
    """`why` is a sentence's beginning: what about the pod matched."""

    action: str
    why: str = ""


def ruling(job: Object, pod: Object) -> Ruling:
    """Count, unless a rule says otherwise."""
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or ():
        why = _by_exit_code(rule, pod) or _by_condition(rule, pod)
        if why:
            return Ruling(rule["action"], why)
    return Ruling(COUNT)


def _by_exit_code(rule: Object, pod: Object) -> str:
    wanted = rule.get("onExitCodes")
    if not wanted:
        return ""
    for name, code in _exit_codes(pod):
        named = not wanted.get("containerName") or wanted["containerName"] == name
        if code and named and (code in wanted["values"]) == (wanted["operator"] == "In"):
            return f"Container {name} for pod {_shown(pod)} failed with exit code {code}"
    return ""


def _exit_codes(pod: Object) -> Iterator[tuple[str, int]]:
    status = pod.get("status") or {}
    for item in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        ended = (item.get("state") or {}).get("terminated")
        if ended:
            yield item["name"], int(ended.get("exitCode") or 0)


def _by_condition(rule: Object, pod: Object) -> str:
    for pattern in rule.get("onPodConditions") or ():
        found = conditions.find(pod, pattern["type"])
        if found is not None and found.get("status") == pattern.get("status", "True"):
            return f"Pod {_shown(pod)} has condition {pattern['type']}"
    return ""


def _shown(pod: Object) -> str:
    return f"{meta.namespace(pod)}/{meta.name(pod)}"
