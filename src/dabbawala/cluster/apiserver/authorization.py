"""What a request asks to be allowed, and how a refusal reads.

A request that finds nothing to update and therefore creates is asked for twice: as what it is, and as a create.
"""

from __future__ import annotations

from dataclasses import replace

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import routes
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.request import ANONYMOUS, Request
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.policy.access import Attributes, Authorizer, Decision

_ALLOWED = Decision(True)


def demand(authorizer: Authorizer | None, wanted: Attributes) -> Decision:
    """Raises Forbidden. Without an authorizer everything is allowed."""
    if authorizer is None:
        return _ALLOWED
    decision = authorizer.authorize(wanted)
    if not decision.allowed:
        raise forbidden(wanted, decision)
    return decision


def demand_create(call: Call) -> None:
    """For an update or an apply that is about to create. Source: withAuthorization in
    apiserver/pkg/endpoints/handlers/create.go."""
    demand(call.plugins.authorizer, replace(attributes(call.request, call.target), verb="create"))


def attributes(request: Request, target: Target | None) -> Attributes:
    """What a request wants to do, as authorisation sees it."""
    user = request.user or ANONYMOUS
    if target is None:
        return Attributes(user, request.method.lower(), path=request.path.rstrip("/") or "/")
    kind = target.kind
    name = target.name
    if not name and request.query.pairs and target.verb in ("list", "watch", "deletecollection"):
        name = routes.single_name(request.query)
    return Attributes(
        user, target.verb, kind.group, kind.version, kind.plural, target.subresource, target.namespace, name
    )


def forbidden(wanted: Attributes, decision: Decision) -> status.Forbidden:
    """The sentence that kubectl shows. Source: apiserver/pkg/endpoints/handlers/responsewriters/errors.go."""
    why = f": {decision.reason}" if decision.reason else ""
    who = f'User "{wanted.user.name}" cannot {wanted.verb}'
    if wanted.path:
        return status.Forbidden(f'forbidden: {who} path "{wanted.path}"{why}')
    resource = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    part = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    named = f' "{wanted.name}"' if wanted.name else ""
    message = f'{resource}{named} is forbidden: {who} resource "{part}" in API group "{wanted.group}" {where}{why}'
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    return status.Forbidden(message, details={key: value for key, value in details.items() if value})
