"""What a namespace's policy says to a write: refused, audited, warned of; and what tightening it would mean for the
pods that are there.

Only pods are refused. A Deployment whose pods would be is accepted with a warning, because what makes the pods is not
what runs them. Source: k8s.io/pod-security-admission/admission/admission.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import evaluation, pods
from dabbawala.policy.pod_security.evaluation import Violation
from dabbawala.policy.pod_security.levels import MODES, PREFIX, PRIVILEGED, LevelVersion, Policy, stricter


@dataclass(frozen=True, slots=True)
class Review:
    """Three sentences, each empty where there is nothing to say; who is refused is not warned as well."""

    denial: str = ""
    audit: str = ""
    warning: str = ""


def review(policy: Policy, metadata: Object, spec: Object, *, enforced: bool) -> Review:
    """What the policy says to a pod, or with `enforced` false to a workload that makes such pods."""
    found: dict[LevelVersion, list[Violation]] = {}

    def said(asked: LevelVersion, sentence: str) -> str:
        if asked not in found:
            found[asked] = list(evaluation.evaluate(asked.level, asked.version, metadata, spec))
        return f'{sentence} PodSecurity "{asked}": {evaluation.details(found[asked])}' if found[asked] else ""

    denial = said(policy.enforce, "violates") if enforced else ""
    audit = said(policy.audit, "would violate")
    return Review(denial, audit, "" if denial else said(policy.warn, "would violate"))


def matters(new: Object, old: Object) -> bool:
    """Whether an update of a pod is judged anew: of what the checks look at only containers and images can change.
    A pod that is there already keeps running under a policy that came later, and must still be labelled and finalized.
    """
    now, before = pods.mapping(new, "spec"), pods.mapping(old, "spec")
    for group in ("initContainers", "containers"):
        if [_image(item) for item in pods.items(now, group)] != [_image(item) for item in pods.items(before, group)]:
            return True
    known = {pods.text(item, "name"): _image(item) for item in pods.items(before, "ephemeralContainers")}
    added = {pods.text(item, "name"): _image(item) for item in pods.items(now, "ephemeralContainers")}
    return any(known.get(name) != image for name, image in added.items())


def _image(container: Object) -> str:
    return pods.text(container, "image")


def tightens(new: Policy, old: Policy) -> bool:
    """Whether the pods of a namespace may be in the way of what it enforces now."""
    asked, before = new.enforce, old.enforce
    if asked == before or asked.level == PRIVILEGED:
        return False
    return asked.version != before.version or stricter(asked.level, before.level)


def ignored(name: str, policy: Policy, labels: Mapping[str, str]) -> str:
    """The warning to who labels a namespace that is exempt."""
    listed = [
        f"{mode}={asked}"
        for mode, asked in zip(MODES, (policy.enforce, policy.audit, policy.warn), strict=True)
        if asked.level != PRIVILEGED and not labels.keys().isdisjoint({PREFIX + mode, f"{PREFIX}{mode}-version"})
    ]
    return f'namespace "{name}" is exempt from Pod Security, and the policy ({", ".join(listed)}) will be ignored'


# The pods that are there -----------------------------------------------------------------------------------------


def one_of_each_first(owners: Iterable[tuple[str, str]]) -> list[str]:
    """The pods, given by owner (empty for none) and name, in the order to check them: those without an owner and one of
    each owner's come first, because the others are alike and time may run out."""
    first: list[str] = []
    later: list[str] = []
    seen: set[str] = set()
    for owner, name in owners:
        (later if owner in seen else first).append(name)
        if owner:
            seen.add(owner)
    return first + later


@dataclass(slots=True)
class Census:
    """Which of a namespace's pods violate what it is to enforce, gathered pod by pod."""

    namespace: str
    asked: LevelVersion
    checked: int = 0
    _names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, pod: Object) -> None:
        self.checked += 1
        asked = self.asked
        found = evaluation.evaluate(
            asked.level, asked.version, pods.mapping(pod, "metadata"), pods.mapping(pod, "spec")
        )
        if found:
            self._names.setdefault(evaluation.reasons(found), []).append(meta.name(pod))

    def warnings(self, total: int) -> list[str]:
        """One line for each set of reasons, after a heading. `total` is how many pods there are to check."""
        lines = []
        if self.checked < total:
            which = f"the first {self.checked} of {total} existing pods"
            lines.append(f"new PodSecurity enforce level only checked against {which}")
        if self._names:
            what = f'violate the new PodSecurity enforce level "{self.asked}"'
            lines.append(f'existing pods in namespace "{self.namespace}" {what}')
        return lines + sorted(f"{_one_and(names)}: {reasons}" for reasons, names in self._names.items())


def _one_and(names: list[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{min(names)} (and {others} other {'pod' if others == 1 else 'pods'})"
