"""ValidatingAdmissionPolicies at work: the last validator, and the one that looks at every write and connection.

Policies and bindings are compiled from the store when one of them has changed, and only what has changed; a write that
no policy is about costs a look-up, and without policies a comparison of two numbers.

Source: apiserver/pkg/admission/plugin/policy/{generic/plugin,validating/dispatcher}.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import orjson

from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.api.core_v1 import NAMESPACE
from dabbawala.api.kind import Kind, Scale
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.apiserver import objects, rest_scale
from dabbawala.cluster.apiserver.compiled_policies import CompiledPolicies
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.metrics import Metrics
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.cluster.store.entry import Key
from dabbawala.policy.access import Attributes, Authorizer, Decision
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.bindings import CompiledBinding
from dabbawala.policy.enforcement import MAX_FAILURES, Consequences, PolicySet, Step, World
from dabbawala.policy.matching import Equivalent, Request

MAX_WARNINGS = 50
"""Of one answer, all policies together."""
SLOW_SECONDS = 0.005
"""A policy that once took longer is evaluated beside the loop from then on, until it changes. One that asks the
authorizer, who reads what only the loop may read, is not; others get their turn after it."""
_POLICIES = v1.VALIDATING_ADMISSION_POLICY.resource
_BINDINGS = v1.VALIDATING_ADMISSION_POLICY_BINDING.resource
# What is written to a subresource that does not take the object itself: group, version, kind.
_BODIES = {
    ("pods", "eviction"): ("policy", "v1", "Eviction"),
    ("pods", "binding"): ("", "v1", "Binding"),
    ("pods", "exec"): ("", "v1", "PodExecOptions"),
    ("pods", "attach"): ("", "v1", "PodAttachOptions"),
    ("pods", "portforward"): ("", "v1", "PodPortForwardOptions"),
    ("pods", "proxy"): ("", "v1", "PodProxyOptions"),
    ("services", "proxy"): ("", "v1", "ServiceProxyOptions"),
    ("nodes", "proxy"): ("", "v1", "NodeProxyOptions"),
    ("serviceaccounts", "token"): ("authentication.k8s.io", "v1", "TokenRequest"),
}
_SCALE = ("autoscaling", "v1", "Scale")

Convert = Callable[[Object], Object]


class _EverybodyMay:
    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)


class PolicyAdmission:
    """A validator. Without an authorizer everybody may do everything, in expressions too."""

    def __init__(
        self,
        core: Core,
        authorizer: Authorizer | None = None,
        compiled: CompiledPolicies | None = None,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._core = core
        self._metrics = metrics or Metrics()
        self._authorizer = authorizer or _EverybodyMay()
        self._revisions = (0, 0)
        self._policies = PolicySet((), ())
        self._compiled = compiled or CompiledPolicies()
        self._compiling = asyncio.Lock()
        self._slow: set[CompiledPolicy] = set()
        self._parameters = _StoredParameters(core)
        self._equivalents: dict[Kind, tuple[Equivalent, ...]] = {}
        self._kinds_version = -1

    async def validate(self, admission: Admission) -> None:
        """Raises what a policy that denies says, as the StatusError of its reason."""
        if self._stored() != self._revisions:
            await self._catch_up()
        policies = self._policies
        if not policies:
            return
        request = self._request(admission)
        if not policies.about(request):
            return
        world = World(self._parameters, self._namespace(request), self._authorizer)
        found = Consequences()
        for step in policies.steps(request, world, found):
            await self._run(step)
        _tell(admission, found)
        if found.denials:
            raise found.denials[0].error(request)

    def _stored(self) -> tuple[int, int]:
        stored = self._core.objects
        return stored.changed(_POLICIES), stored.changed(_BINDINGS)

    async def _catch_up(self) -> None:
        """Whoever comes meanwhile waits for the policies of the moment, too."""
        async with self._compiling:
            while (revisions := self._stored()) != self._revisions:
                policies = list(self._core.objects.list(_POLICIES))
                bound = [CompiledBinding.of(binding) for binding in self._core.objects.list(_BINDINGS)]
                self._policies = PolicySet(await self._compiled.of(policies), bound)
                self._metrics.keep({(binding.policy_name, binding.name) for binding in bound})
                self._revisions = revisions
                self._slow.clear()

    async def _run(self, step: Step) -> None:
        begun, slow = self._core.clock.monotonic(), step.policy in self._slow
        if slow:
            await asyncio.to_thread(step.run)
        else:
            step.run()
        seconds = self._core.clock.monotonic() - begun
        self._metrics.acted(step.acts, seconds)
        if seconds > SLOW_SECONDS and not slow:
            if not step.policy.asks:
                self._slow.add(step.policy)
            await asyncio.sleep(0)

    def _request(self, admission: Admission) -> Request:
        kind, name = admission.kind, "" if admission.generated else admission.name
        namespace = name if kind.resource == NAMESPACE.resource else admission.namespace
        request = Request(
            admission.operation, kind.group, kind.version, kind.plural, kind.kind,
            subresource=admission.subresource, namespace=namespace, name=name,
            object=admission.object, old=admission.old, user=admission.user, dry_run=admission.dry_run,
            options=admission.options, equivalents=self._equivalents_of(kind),
        )  # fmt: skip
        if not admission.subresource:
            return request
        if admission.subresource == "scale":
            return _scaled(request, kind)
        body = _BODIES.get((kind.resource, admission.subresource))
        return request if body is None else replace(request, written=body)

    def _namespace(self, request: Request) -> Object | None:
        if not request.namespace:
            return None
        return self._core.objects.get(NAMESPACE.resource, "", request.namespace)

    def _equivalents_of(self, kind: Kind) -> tuple[Equivalent, ...]:
        kinds = self._core.kinds
        if kinds.version != self._kinds_version:
            self._equivalents.clear()
            self._kinds_version = kinds.version
        found = self._equivalents.get(kind)
        if found is None:
            found = self._equivalents[kind] = tuple(_others(kind, kinds.all()))
        return found


def _others(kind: Kind, kinds: Iterable[Kind]) -> Iterator[Equivalent]:
    """Other views of the same stored objects."""
    for other in kinds:
        if other is not kind and other.is_stored and other.store_resource == kind.store_resource:
            yield Equivalent(other.group, other.version, other.plural, other.kind, _conversion(kind, other))


def _conversion(kind: Kind, other: Kind) -> Convert:
    def convert(obj: Object) -> Object:
        return objects.parsed(other, objects.encoded(kind, obj))

    return convert


def _scaled(request: Request, kind: Kind) -> Request:
    """A write to `scale` as the Scale that is written, which is the same under every version of the kind."""
    where = kind.scale or Scale()
    old = None if request.old is None else rest_scale.of_object(where, request.old)
    new = None if request.object is None else rest_scale.of_object(where, request.object)
    others = tuple(Equivalent(other.group, other.version, other.resource, other.kind) for other in request.equivalents)
    return replace(request, written=_SCALE, object=new, old=old, equivalents=others)


def _tell(admission: Admission, found: Consequences) -> None:
    """Into the answer's warnings and the audit event, once, however often the write was tried."""
    for text in found.warnings:
        if text not in admission.warnings and len(admission.warnings) < MAX_WARNINGS:
            admission.warnings.append(text)
    for key, value in found.annotations().items():
        admission.audit[key] = value if isinstance(value, str) else _failures(admission.audit.get(key), value)


def _failures(before: str | None, found: list[Object]) -> str:
    listed: list[Object] = orjson.loads(before) if before else []
    listed += [failure for failure in found if failure not in listed]
    return orjson.dumps(listed[:MAX_FAILURES]).decode()


class _StoredParameters:
    """Any stored object may be a parameter, whatever its kind."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def _kind(self, api_version: str, kind: str) -> Kind | None:
        found = self._core.kinds.of(api_version, kind)
        return found if found is not None and found.is_stored else None

    def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        found = self._kind(api_version, kind)
        return None if found is None else found.namespaced

    def one(self, api_version: str, kind: str, key: ObjectKey) -> Object | None:
        found = self._kind(api_version, kind)
        if found is None:
            return None
        entry = self._core.store.get(Key(found.store_resource, key.namespace, key.name))
        return None if entry is None else objects.parsed(found, entry.body)

    def all(self, api_version: str, kind: str, namespace: str) -> Iterator[Object]:
        found = self._kind(api_version, kind)
        if found is not None:
            for entry in self._core.store.list(found.store_resource, namespace):
                yield objects.parsed(found, entry.body)
