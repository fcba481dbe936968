"""What is asked of those who write policies, bindings and webhook configurations, beyond the fields' own rules: that
expressions compile, that whoever names parameters may read them, and that nobody takes a webhook here for called.

Source: pkg/apis/admissionregistration/validation, pkg/registry/admissionregistration/*/authz.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver.compiled_policies import CompiledPolicies
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.policy.access import MASTERS, Attributes, Authorizer

NOT_CALLED = (
    "this API server stores webhook configurations but calls no webhooks: nothing is checked or changed by them; "
    "use a ValidatingAdmissionPolicy"
)
_POLICY, _BINDING = v1.VALIDATING_ADMISSION_POLICY, v1.VALIDATING_ADMISSION_POLICY_BINDING
_WEBHOOKS = frozenset({v1.MUTATING_WEBHOOK_CONFIGURATION.resource, v1.VALIDATING_WEBHOOK_CONFIGURATION.resource})


class PolicyWrites:
    """A validator."""

    def __init__(self, core: Core, authorizer: Authorizer | None, compiled: CompiledPolicies) -> None:
        self._core = core
        self._authorizer = authorizer
        self._compiled = compiled

    async def validate(self, admission: Admission) -> None:
        """Raises Invalid."""
        kind, new = admission.kind, admission.object
        if kind.group != v1.GROUP or new is None or admission.subresource:
            return
        if kind.resource == _POLICY.resource:
            _refuse(admission, [*await self._faults(admission, new), *self._parameter(admission, new)])
        elif kind.resource == _BINDING.resource:
            _refuse(admission, self._binding(admission, new))
        elif kind.resource in _WEBHOOKS and NOT_CALLED not in admission.warnings:
            admission.warnings.append(NOT_CALLED)

    async def _faults(self, admission: Admission, new: Object) -> list[FieldError]:
        if new["spec"] == (admission.old or {}).get("spec"):
            return []
        (compiled,) = await self._compiled.of([new])
        return [status.invalid(fault.path, fault.source, fault.message) for fault in compiled.faults]

    def _parameter(self, admission: Admission, new: Object) -> Iterable[FieldError]:
        before = (admission.old or {}).get("spec") or {}
        kind = new["spec"].get("paramKind")
        if kind is None or kind == before.get("paramKind"):
            return
        if not self._may_read(admission, kind, namespace="*", name="*"):
            message = (
                f'user {admission.user.name} must have "get" permission on all objects of the referenced paramKind '
                f"(kind={kind['kind']}, apiVersion={kind['apiVersion']})"
            )
            yield status.forbidden("spec.paramKind", message)

    def _binding(self, admission: Admission, new: Object) -> Iterable[FieldError]:
        spec, before = new["spec"], (admission.old or {}).get("spec") or {}
        ref, name = spec.get("paramRef"), spec["policyName"]
        if ref is None or (ref == before.get("paramRef") and name == before.get("policyName")):
            return
        policy = self._core.objects.get(_POLICY.resource, "", name)
        kind = ((policy or {}).get("spec") or {}).get("paramKind")
        if not self._may_read(admission, kind, namespace=ref.get("namespace") or "", name=ref.get("name") or ""):
            message = f'user {admission.user.name} does not have "get" permission on the object referenced by paramRef'
            yield status.forbidden("spec.paramRef", message)

    def _may_read(self, admission: Admission, kind: Object | None, *, namespace: str, name: str) -> bool:
        """Of a kind that cannot be told, everything."""
        if self._authorizer is None or MASTERS in admission.user.groups:
            return True
        group = version = resource = "*"
        if kind is not None:
            group, _, version = kind["apiVersion"].rpartition("/")
            known = self._core.kinds.of(kind["apiVersion"], kind["kind"])
            resource = known.plural if known else "*"
        wanted = Attributes(admission.user, "get", group, version, resource, namespace=namespace, name=name)
        return self._authorizer.authorize(wanted).allowed


def _refuse(admission: Admission, errors: Iterable[FieldError]) -> None:
    listed = list(errors)
    if listed:
        kind = admission.kind
        raise status.invalid_object(kind.kind, meta.name(admission.object or {}), listed, group=kind.group)
