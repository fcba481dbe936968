"""Questions to the API server: who is this token, who am I, may they, may I, what may I. Answered, never stored.

Source: authentication.k8s.io/v1, authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dabbawala.api import authentication_v1, authorization_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response, rest_bodies
from dabbawala.cluster.apiserver.authn import TokenAuthenticator
from dabbawala.cluster.apiserver.authz import RBACAuthorizer
from dabbawala.cluster.apiserver.core import Call, Core, Plugins
from dabbawala.cluster.apiserver.plugins import BodyDecoder, SubresourceHandler
from dabbawala.cluster.apiserver.request import ANONYMOUS, Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.apiserver.tokens import InvalidToken
from dabbawala.policy.access import Attributes, Authorizer, User

_Answer = Callable[[Request, Target, Object], Awaitable[Object]]


class Reviews:
    """Handlers for the review kinds. Without an authorizer everything is allowed, as the server itself then does;
    without a token authenticator no token is anybody's."""

    def __init__(
        self,
        core: Core,
        *,
        authorizer: Authorizer | None = None,
        tokens: TokenAuthenticator | None = None,
        decoders: Mapping[str, BodyDecoder] | None = None,
    ) -> None:
        self._core = core
        self._authorizer = authorizer
        self._tokens = tokens
        self._plugins = Plugins(decoders=decoders or {})

    def handlers(self) -> dict[tuple[str, str], SubresourceHandler]:
        """To be plugged in as `Plugins.subresources`."""
        answers: dict[str, _Answer] = {
            authentication_v1.TOKEN_REVIEW.resource: self._token_review,
            authentication_v1.SELF_SUBJECT_REVIEW.resource: self._who_am_i,
            authorization_v1.SUBJECT_ACCESS_REVIEW.resource: self._may_they,
            authorization_v1.LOCAL_SUBJECT_ACCESS_REVIEW.resource: self._may_they,
            authorization_v1.SELF_SUBJECT_ACCESS_REVIEW.resource: self._may_i,
            authorization_v1.SELF_SUBJECT_RULES_REVIEW.resource: self._what_may_i,
        }
        return {(resource, ""): self._handler(answer) for resource, answer in answers.items()}

    def _handler(self, answer: _Answer) -> SubresourceHandler:
        async def handle(request: Request, target: Target) -> Response:
            if target.verb != "create" or target.name:
                raise status.MethodNotAllowed("the server does not allow this method on the requested resource")
            review = rest_bodies.read(Call(self._core, self._plugins, request, target))
            kind = target.kind
            for field, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
                if review.setdefault(field, expected) != expected:
                    raise status.BadRequest(f"{field} is {review[field]!r}; this resource takes {expected!r}")
            review["status"] = await answer(request, target, review.get("spec") or {})
            return response.json(review, 201)

        return handle

    async def _token_review(self, request: Request, target: Target, spec: Object) -> Object:
        token = spec.get("token") or ""
        if not token:
            raise status.BadRequest("token is required for TokenReview in authentication")
        if self._tokens is None:
            return {"authenticated": False, "error": "this server issues no tokens"}
        try:
            user, audiences = self._tokens.verify(token, spec.get("audiences") or ())
        except InvalidToken as error:
            return {"authenticated": False, "error": str(error)}
        return {"authenticated": True, "user": user_info(user), "audiences": audiences}

    async def _who_am_i(self, request: Request, target: Target, spec: Object) -> Object:
        return {"userInfo": user_info(request.user or ANONYMOUS)}

    async def _may_they(self, request: Request, target: Target, spec: Object) -> Object:
        if not spec.get("user") and not spec.get("groups"):
            error = status.invalid("spec.user", "", "at least one of user or group must be specified")
            raise status.invalid_object(target.kind.kind, "", [error], group=target.kind.group)
        extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
        user = User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)
        wanted = _asked(user, spec, target)
        if target.namespace and wanted.namespace != target.namespace:
            message = "must match metadata.namespace"
            error = status.invalid("spec.resourceAttributes.namespace", wanted.namespace, message)
            raise status.invalid_object(target.kind.kind, "", [error], group=target.kind.group)
        return self._decide(wanted)

    async def _may_i(self, request: Request, target: Target, spec: Object) -> Object:
        return self._decide(_asked(request.user or ANONYMOUS, spec, target))

    def _decide(self, wanted: Attributes) -> Object:
        if self._authorizer is None:
            return {"allowed": True}
        decision = self._authorizer.authorize(wanted)
        answer: Object = {"allowed": decision.allowed}
        if decision.reason:
            answer["reason"] = decision.reason
        return answer

    async def _what_may_i(self, request: Request, target: Target, spec: Object) -> Object:
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise status.BadRequest("no namespace on request")
        if not isinstance(self._authorizer, RBACAuthorizer):
            return {"resourceRules": [], "nonResourceRules": [], "incomplete": True}
        rules = [rule.as_object() for rule in self._authorizer.rules(request.user or ANONYMOUS, namespace)]
        return {
            "resourceRules": [rule for rule in rules if "resources" in rule],
            "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
            "incomplete": False,
        }


def user_info(user: User) -> Object:
    """authentication/v1 UserInfo."""
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _asked(user: User, spec: Object, target: Target) -> Attributes:
    resource: Mapping[str, Any] | None = spec.get("resourceAttributes")
    path: Mapping[str, Any] | None = spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        error = status.invalid("spec.resourceAttributes", None, message)
        raise status.invalid_object(target.kind.kind, meta.name({}), [error], group=target.kind.group)
    if path is not None:
        return Attributes(user, path.get("verb") or "", path=path.get("path") or "")
    assert resource is not None
    fields = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(user, *(resource.get(field) or "" for field in fields))
