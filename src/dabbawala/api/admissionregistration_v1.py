"""Kinds of the group admissionregistration.k8s.io, v1.

Policies and their bindings are enforced by the API server. Webhook configurations are stored, because real clusters
have them and checks look at them; the API server calls no webhooks, and says so to whoever writes one.
"""

from __future__ import annotations

from dabbawala.api import admission_policy_rules as policies
from dabbawala.api import cells, object_meta, preparation
from dabbawala.api import webhook_rules as webhooks
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object

GROUP = "admissionregistration.k8s.io"
_SCHEMA = "io.k8s.api.admissionregistration.v1."
_UNSET = "<unset>"


def _param_kind(obj: Object) -> str:
    kind = cells.spec(obj).get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else _UNSET


def _param_ref(obj: Object) -> str:
    ref = cells.spec(obj).get("paramRef")
    if not ref:
        return _UNSET
    if ref.get("name"):
        return "/".join(part for part in (ref.get("namespace"), ref["name"]) if part)
    return cells.selector(ref.get("selector"))


_WEBHOOKS = (
    cells.NAME,
    cells.column("Webhooks", lambda obj: len(obj.get("webhooks") or ()), type="integer"),
    cells.AGE,
)

VALIDATING_ADMISSION_POLICY = Kind(
    group=GROUP, version="v1", kind="ValidatingAdmissionPolicy", plural="validatingadmissionpolicies",
    namespaced=False, categories=("api-extensions",), subresources=frozenset({"status"}),
    schema=_SCHEMA + "ValidatingAdmissionPolicy",
    columns=(
        cells.NAME,
        cells.column("Validations", lambda obj: len(cells.spec(obj).get("validations") or ()), type="integer"),
        cells.column("ParamKind", _param_kind),
        cells.AGE,
    ),
    default=policies.default_policy, prepare=preparation.status_apart({}),
    validate=object_meta.validate(policies.policy),
)  # fmt: skip
VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    group=GROUP, version="v1", kind="ValidatingAdmissionPolicyBinding", plural="validatingadmissionpolicybindings",
    namespaced=False, categories=("api-extensions",), schema=_SCHEMA + "ValidatingAdmissionPolicyBinding",
    columns=(
        cells.NAME,
        cells.column("PolicyName", lambda obj: cells.spec(obj).get("policyName") or ""),
        cells.column("ParamRef", _param_ref),
        cells.AGE,
    ),
    default=policies.default_binding, validate=object_meta.validate(policies.binding),
)  # fmt: skip
MUTATING_WEBHOOK_CONFIGURATION = Kind(
    group=GROUP, version="v1", kind="MutatingWebhookConfiguration", plural="mutatingwebhookconfigurations",
    namespaced=False, categories=("api-extensions",), schema=_SCHEMA + "MutatingWebhookConfiguration",
    columns=_WEBHOOKS, default=webhooks.default_mutating, validate=object_meta.validate(webhooks.mutating),
)  # fmt: skip
VALIDATING_WEBHOOK_CONFIGURATION = Kind(
    group=GROUP, version="v1", kind="ValidatingWebhookConfiguration", plural="validatingwebhookconfigurations",
    namespaced=False, categories=("api-extensions",), schema=_SCHEMA + "ValidatingWebhookConfiguration",
    columns=_WEBHOOKS, default=webhooks.default_validating, validate=object_meta.validate(webhooks.validating),
)  # fmt: skip

KINDS = (
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
