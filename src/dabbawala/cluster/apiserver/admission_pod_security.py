"""PodSecurity: namespaces say by their labels which pods they take.

Enforcement refuses pods; auditing and warning also look at what makes pods. A namespace without such labels costs a
look at its labels, which are read once a version. Source: kube-apiserver's plugin PodSecurity
(plugin/pkg/admission/security/podsecurity, k8s.io/pod-security-admission/admission).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from dabbawala.api.core_v1 import NAMESPACE
from dabbawala.apimachinery import meta, schema, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.metrics import Evaluation, Metrics, Write
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.policy.pod_security import levels, pods, review
from dabbawala.policy.pod_security.levels import PREFIX, UNRESTRICTED, LevelVersion, Policy
from dabbawala.policy.pod_security.review import Census

MAX_PODS_CHECKED = 3_000
"""Of the pods that are there when a namespace asks for more; so many, and no more than a second."""
_CHECK_SECONDS = 1.0
_TURN = 50
"""Pods judged before others get their turn."""
_UNRELATED = frozenset({"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"})
"""Subresources of a pod that are no pod. Source: ignoredPodSubresources."""
_NEWEST = levels.Version.parse(f"v{schema.kubernetes_version().rpartition('.')[0]}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds for namespaces that say nothing, and who is exempt. Source: PodSecurityConfiguration of
    pod-security.admission.config.k8s.io/v1."""

    defaults: Policy = UNRESTRICTED
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


class PodSecurity:
    """A validator: it sees every write, on the object as it would be stored."""

    def __init__(
        self, core: Core, configuration: Configuration | None = None, *, metrics: Metrics | None = None
    ) -> None:
        self._core = core
        self._metrics = metrics or Metrics()
        self._configuration = configuration or Configuration()

    async def validate(self, admission: Admission) -> None:
        resource, new = admission.kind.resource, admission.object
        if new is None:
            return
        if resource == pods.PODS:
            if admission.subresource not in _UNRELATED:
                self._pod(admission, new)
        elif resource in pods.TEMPLATES:
            if not admission.subresource:
                self._workload(admission, new)
        elif resource == NAMESPACE.resource and not admission.subresource:
            await self._namespace(admission, new)

    # Pods and what makes them ------------------------------------------------------------------------------------

    def _pod(self, admission: Admission, new: Object) -> None:
        if self._exempt(admission):
            return
        labels = self._core.objects.labels(NAMESPACE, "", admission.namespace)
        if labels is None:
            self._metrics.errors[True, _write(admission)] += 1
            raise status.InternalError(_missing(admission))
        policy, errors = levels.policy_of(labels, self._configuration.defaults)
        if policy.asks_nothing and not errors:
            _note(admission, "enforce-policy", str(UNRESTRICTED.enforce))
            self._count(admission, "allow", levels.ENFORCE, policy.enforce)
            return
        if admission.old is not None and not review.matters(new, admission.old):
            return
        metadata, spec = pods.mapping(new, "metadata"), pods.mapping(new, "spec")
        if self._exempt_class(admission, spec):
            return
        _note(admission, "enforce-policy", str(policy.enforce))
        self._say(admission, policy, errors, (metadata, spec), enforced=True)

    def _workload(self, admission: Admission, new: Object) -> None:
        if self._exempt(admission):
            return
        labels = self._core.objects.labels(NAMESPACE, "", admission.namespace)
        if labels is None:
            self._metrics.errors[True, _write(admission)] += 1
            _note(admission, "error", _missing(admission))
            return
        policy, errors = levels.policy_of(labels, self._configuration.defaults)
        if policy.audit.level == policy.warn.level == levels.PRIVILEGED and not errors:
            return
        pod = pods.pod_of(admission.kind.resource, new)
        if pod is not None and not self._exempt_class(admission, pod[1]):
            self._say(admission, policy, errors, pod, enforced=False)

    def _say(
        self,
        admission: Admission,
        policy: Policy,
        errors: list[FieldError],
        pod: tuple[Object, Object],
        *,
        enforced: bool,
    ) -> None:
        if errors:
            self._metrics.errors[False, _write(admission)] += 1
            _note(admission, "error", f"Failed to parse policy: {_listed(errors)}")
        found = review.review(policy, *pod, enforced=enforced)
        if enforced:
            self._count(admission, "deny" if found.denial else "allow", levels.ENFORCE, policy.enforce)
        if found.audit:
            self._count(admission, "deny", levels.AUDIT, policy.audit)
            _note(admission, "audit-violations", found.audit)
        if found.denial:
            details = {"name": admission.name, "kind": "pods"}
            raise status.Forbidden(f'pods "{admission.name}" is forbidden: {found.denial}', details=details)
        if found.warning:
            self._count(admission, "deny", levels.WARN, policy.warn)
            _warn(admission, found.warning)

    def _exempt(self, admission: Admission) -> bool:
        known = self._configuration
        if admission.namespace in known.namespaces:
            _note(admission, "exempt", "namespace")
        elif admission.user.name in known.usernames:
            _note(admission, "exempt", "user")
        else:
            return False
        self._metrics.exemptions[_write(admission)] += 1
        return True

    def _exempt_class(self, admission: Admission, spec: Object) -> bool:
        exempt = spec.get("runtimeClassName") in self._configuration.runtime_classes
        if exempt:
            self._metrics.exemptions[_write(admission)] += 1
            _note(admission, "exempt", "runtimeClass")
        return exempt

    def _count(self, admission: Admission, decision: str, mode: str, asked: LevelVersion) -> None:
        """Versions that are newer than the checks known here are one."""
        version = str(asked.version)
        if asked.level == levels.PRIVILEGED:
            version = "latest"
        elif asked.version != levels.LATEST and asked.version > _NEWEST:
            version = "future"
        self._metrics.evaluations[Evaluation(decision, mode, asked.level, version, *_write(admission))] += 1

    # Namespaces --------------------------------------------------------------------------------------------------

    async def _namespace(self, admission: Admission, new: Object) -> None:
        defaults = self._configuration.defaults
        labels = meta.labels(new)
        policy, errors = levels.policy_of(labels, defaults)
        before, known = policy, errors
        if admission.old is not None:
            before, known = levels.policy_of(meta.labels(admission.old), defaults)
        if errors and (admission.old is None or errors != known):
            raise status.invalid_object("Namespace", admission.name, errors)
        if admission.old is not None and not review.tightens(policy, before):
            return
        if admission.name in self._configuration.namespaces:
            self._warn_exempt(admission, policy, labels)
        elif admission.old is not None:
            for line in await self._census(admission.name, policy.enforce):
                _warn(admission, line)

    def _warn_exempt(self, admission: Admission, policy: Policy, labels: Mapping[str, str]) -> None:
        if not policy.asks_nothing and not policy.means(self._configuration.defaults):
            _warn(admission, review.ignored(admission.name, policy, labels))

    async def _census(self, namespace: str, asked: LevelVersion) -> list[str]:
        """Looks at a few pods at a time, and keeps none of them: there may be very many."""
        objects, now = self._core.objects, self._core.clock.monotonic
        deadline = now() + _CHECK_SECONDS
        names = review.one_of_each_first([found async for found in self._owners(namespace)])
        census, total = Census(namespace, asked), len(names)
        for turn, name in enumerate(names[:MAX_PODS_CHECKED]):
            pod = objects.get(pods.PODS, namespace, name)
            if pod is None:
                total -= 1
            else:
                census.add(pod)
            if turn % _TURN == _TURN - 1:
                await asyncio.sleep(0)
                if now() > deadline:
                    break
        return census.warnings(total)

    async def _owners(self, namespace: str) -> AsyncIterator[tuple[str, str]]:
        """Owner and name of the pods that are not exempt."""
        exempt = self._configuration.runtime_classes
        for turn, pod in enumerate(self._core.objects.list(pods.PODS, namespace)):
            if pods.mapping(pod, "spec").get("runtimeClassName") not in exempt:
                yield str((meta.controller_of(pod) or {}).get("uid") or ""), meta.name(pod)
            if turn % _TURN == _TURN - 1:
                await asyncio.sleep(0)


def _write(admission: Admission) -> Write:
    """Workloads are all one to the metrics."""
    resource = "pod" if admission.kind.resource == pods.PODS else "controller"
    return Write(admission.operation.lower(), resource, admission.subresource)


def _missing(admission: Admission) -> str:
    return f'failed to lookup namespace "{admission.namespace}"'


def _note(admission: Admission, key: str, text: str) -> None:
    admission.audit[PREFIX + key] = text


def _warn(admission: Admission, text: str) -> None:
    """Once, however often the write was tried."""
    if text not in admission.warnings:
        admission.warnings.append(text)


def _listed(errors: list[FieldError]) -> str:
    """As upstream shows one error, and several."""
    texts = [f"{error.field}: {error.message}" for error in errors]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
