"""Everything plugged in, as a cluster runs it: one list of what answers which question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import protobuf
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import authn, health, table, version
from dabbawala.cluster.apiserver.admission_pod_security import PodSecurity
from dabbawala.cluster.apiserver.admission_policies import PolicyAdmission
from dabbawala.cluster.apiserver.admission_policy_writes import PolicyWrites
from dabbawala.cluster.apiserver.authn import CertificateAuthenticator, Impersonation, TokenAuthenticator
from dabbawala.cluster.apiserver.authz import Aggregation, EscalationCheck, RBACAuthorizer
from dabbawala.cluster.apiserver.compiled_policies import CompiledPolicies
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.crds import CleanupFinalizer
from dabbawala.cluster.apiserver.discovery import Discovery
from dabbawala.cluster.apiserver.health import Check
from dabbawala.cluster.apiserver.metrics import Metrics
from dabbawala.cluster.apiserver.openapi import OpenAPI
from dabbawala.cluster.apiserver.plugins import Audit, BodyDecoder, Endpoint, SubresourceHandler
from dabbawala.cluster.apiserver.reviews import Reviews
from dabbawala.cluster.apiserver.token_requests import TokenRequests
from dabbawala.cluster.apiserver.tokens import Signer


@dataclass(frozen=True, slots=True)
class Extras:
    """What the parts around the API server add: streams, more body formats, readiness checks."""

    subresources: Mapping[tuple[str, str], SubresourceHandler] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    decoders: Mapping[str, BodyDecoder] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    audit: Audit | None = None
    metrics: Metrics = field(default_factory=Metrics)
    """Shared with an audit log, which counts there too."""


def _protobuf(body: bytes, kind: Kind | None) -> Object:
    return protobuf.decode(body)  # the envelope says what it holds


def plugins(core: Core, signer: Signer, *, build: str, extras: Extras | None = None) -> Plugins:
    """Authentication by certificate and token, RBAC, Pod Security, admission policies, reviews, discovery, OpenAPI,
    tables, protobuf. `build` is the product's version, as /version shows it."""
    extras = extras or Extras()
    decoders = {protobuf.MEDIA_TYPE: _protobuf, **extras.decoders}
    authorizer = RBACAuthorizer(core)
    tokens = TokenAuthenticator(core, signer)
    reviews = Reviews(core, authorizer=authorizer, tokens=tokens, decoders=decoders)
    policies = CompiledPolicies()
    validators = (
        EscalationCheck(authorizer),
        PodSecurity(core, metrics=extras.metrics),
        PolicyWrites(core, authorizer, policies),
        PolicyAdmission(core, authorizer, policies, metrics=extras.metrics),
    )
    requests = TokenRequests(core, signer, decoders, validators)
    return Plugins(
        authenticators=(CertificateAuthenticator(), tokens),
        impersonation=Impersonation(authorizer),
        authorizer=authorizer,
        mutators=(Aggregation(core), CleanupFinalizer()),
        validators=validators,
        audit=extras.audit,
        endpoints={
            **Discovery(core.kinds).endpoints(),
            **OpenAPI(core.kinds).endpoints(),
            **authn.oidc_endpoints(signer),
            **health.endpoints(extras.checks),
            "/metrics": extras.metrics.page,
            "/version": version.endpoint(build, core.clock),
            **extras.endpoints,
        },
        subresources={**reviews.handlers(), **requests.handlers(), **extras.subresources},
        decoders=decoders,
        negotiator=table.negotiator(core.clock),
    )
