"""What is plugged into the API server of a cluster: the explicit list."""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.cluster.apiserver import authn, health, openapi, table, version
from dabbawala.cluster.apiserver.audit import AuditLog
from dabbawala.cluster.apiserver.authn import CertificateAuthenticator, Impersonation, TokenAuthenticator
from dabbawala.cluster.apiserver.authz import Aggregation, EscalationCheck, RBACAuthorizer
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.discovery import Discovery
from dabbawala.cluster.apiserver.reviews import Reviews
from dabbawala.cluster.apiserver.token_requests import TokenRequests
from dabbawala.cluster.apiserver.tokens import Signer


@dataclass(slots=True)
class Plugged:
    """The plugins, and those of them that others ask too."""

    plugins: Plugins
    authorizer: RBACAuthorizer


def plug(core: Core, signer: Signer, audit: AuditLog, build: str) -> Plugged:
    authorizer = RBACAuthorizer(core)
    bearer = TokenAuthenticator(core, signer)
    endpoints = {
        **Discovery(core.kinds).endpoints(),
        **openapi.OpenAPI(core.kinds).endpoints(),
        **health.endpoints(),
        **authn.oidc_endpoints(signer),
        "/version": version.endpoint(build, core.clock),
    }
    subresources = {
        **Reviews(core, authorizer=authorizer, tokens=bearer).handlers(),
        **TokenRequests(core, signer).handlers(),
    }
    plugins = Plugins(
        authenticators=(CertificateAuthenticator(), bearer),
        impersonation=Impersonation(authorizer),
        authorizer=authorizer,
        mutators=(Aggregation(core),),
        validators=(EscalationCheck(authorizer),),
        audit=audit,
        endpoints=endpoints,
        subresources=subresources,
        negotiator=table.negotiator(core.clock),
    )
    return Plugged(plugins, authorizer)
