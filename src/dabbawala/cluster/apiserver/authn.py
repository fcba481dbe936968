"""Who sends a request: client certificates, bearer tokens, and impersonation.

Nobody is logged in by default: a request without a credential is anonymous, and authorisation lets it see health and
version only. Source: apiserver/pkg/authentication.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from dabbawala.apimachinery import meta, status
from dabbawala.cluster.apiserver import response, tokens
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Endpoint
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.tokens import InvalidToken, Signer
from dabbawala.policy.access import AUTHENTICATED, SERVICE_ACCOUNT, SERVICE_ACCOUNTS, Attributes, Authorizer, User

_SOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."
_AUTHENTICATION = "authentication.kubernetes.io"
_BOUND_RESOURCES = {"pod": "pods", "secret": "secrets", "node": "nodes"}


def authenticated(user: User) -> User:
    """The user with the group that everybody with a credential is in."""
    return user if AUTHENTICATED in user.groups else replace(user, groups=(*user.groups, AUTHENTICATED))


class CertificateAuthenticator:
    """CN is the user, O are the groups. The TLS layer has checked that our authority signed the certificate."""

    async def authenticate(self, request: Request) -> User | None:
        if not request.peer_certificate:
            return None
        name, groups = "", []
        for part in request.peer_certificate.get("subject", ()):
            for field, value in part:
                if field == "commonName":
                    name = value
                elif field == "organizationName":
                    groups.append(value)
        if not name:
            raise status.Unauthorized("the client certificate names no user (its subject has no common name)")
        return authenticated(User(name, tuple(groups)))


class TokenAuthenticator:
    """Bearer tokens of service accounts and components. `audiences` are whom a token must be for."""

    def __init__(self, core: Core, signer: Signer, audiences: Iterable[str] = (tokens.ISSUER,)) -> None:
        self._core = core
        self._signer = signer
        self._audiences = frozenset(audiences)

    async def authenticate(self, request: Request) -> User | None:
        token = _bearer(request)
        if not token:
            return None
        try:
            user, _ = self.verify(token)
        except InvalidToken as error:
            raise status.Unauthorized("Unauthorized") from error
        return user

    def verify(self, token: str, audiences: Iterable[str] = ()) -> tuple[User, list[str]]:
        """Whose token it is, and which of the asked audiences (ours, if none is asked) it is for.
        Raises InvalidToken."""
        claims = self._signer.claims(token, self._core.clock.now())
        wanted = frozenset(audiences) or self._audiences
        if claims.get("iss") == tokens.COMPONENT_ISSUER:
            return authenticated(User(claims["sub"], tuple(claims.get("groups", ())))), sorted(wanted)
        matching = sorted(wanted & set(claims.get("aud", ())))
        if claims.get("iss") != tokens.ISSUER or not matching:
            raise InvalidToken("the token is for another audience")
        return self._service_account(claims), matching

    def _service_account(self, claims: Mapping[str, Any]) -> User:
        private = claims[tokens.PRIVATE]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._still_there("serviceaccounts", namespace, account)
        extra = {f"{_AUTHENTICATION}/credential-id": (f"JTI={claims['jti']}",)}
        for kind, resource in _BOUND_RESOURCES.items():
            bound = private.get(kind)
            if bound is None:
                continue
            self._still_there(resource, "" if kind == "node" else namespace, bound)
            if kind != "secret":
                extra[f"{_AUTHENTICATION}/{kind}-name"] = (bound["name"],)
                extra[f"{_AUTHENTICATION}/{kind}-uid"] = (bound["uid"],)
        groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"], extra)

    def _still_there(self, resource: str, namespace: str, named: Mapping[str, str]) -> None:
        """Tokens die with what they are bound to; a new object of the same name is another one."""
        found = self._core.objects.get(resource, namespace, named["name"])
        if found is None or meta.uid(found) != named["uid"]:
            raise InvalidToken(f"the token is bound to a {resource[:-1]} that is gone: {namespace}/{named['name']}")


def _bearer(request: Request) -> str:
    scheme, _, token = request.header("authorization").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for protocol in request.header("sec-websocket-protocol").split(","):
        if protocol.strip().startswith(_SOCKET_TOKEN):
            encoded = protocol.strip().removeprefix(_SOCKET_TOKEN)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return ""


def without_token(protocols: str) -> str:
    """A `Sec-WebSocket-Protocol` without the bearer token that a browser sends in it."""
    offered = (protocol.strip() for protocol in protocols.split(","))
    return ", ".join(protocol for protocol in offered if protocol and not protocol.startswith(_SOCKET_TOKEN))


class Impersonation:
    """`Impersonate-User` and its companions: act as somebody else, if authorisation allows to."""

    def __init__(self, authorizer: Authorizer | None) -> None:
        self._authorizer = authorizer

    async def __call__(self, request: Request, user: User) -> User:
        wanted = [name for name in request.headers if name.startswith("impersonate-")]
        if not wanted:
            return user
        name = request.header("impersonate-user")
        if not name:
            raise status.BadRequest("requested impersonation of groups, uid or extra without a user")
        groups = tuple(part.strip() for part in request.header("impersonate-group").split(",") if part.strip())
        extra = {
            unquote(header.removeprefix("impersonate-extra-")): (request.header(header),)
            for header in wanted
            if header.startswith("impersonate-extra-")
        }
        target = User(name, groups, request.header("impersonate-uid"), extra)
        for attributes in _impersonated(user, target):
            self._demand(attributes)
        request.annotations["impersonated-by"] = user.name
        return _completed(target)

    def _demand(self, wanted: Attributes) -> None:
        if self._authorizer is None or self._authorizer.authorize(wanted).allowed:
            return
        group = f'API group "{wanted.group}"'
        where = f' in the namespace "{wanted.namespace}"' if wanted.namespace else " at the cluster scope"
        resource = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
        raise status.Forbidden(
            f'{resource} "{wanted.name}" is forbidden: User "{wanted.user.name}" cannot impersonate resource '
            f'"{wanted.resource}" in {group}{where}'
        )


def _impersonated(user: User, target: User) -> Iterable[Attributes]:
    """One question for each thing that is taken on."""
    if target.name.startswith(SERVICE_ACCOUNT):
        _, _, namespace, name = [*target.name.split(":"), "", ""][:4]
        yield Attributes(user, "impersonate", resource="serviceaccounts", namespace=namespace, name=name)
    else:
        yield Attributes(user, "impersonate", resource="users", name=target.name)
    for group in target.groups:
        yield Attributes(user, "impersonate", resource="groups", name=group)
    if target.uid:
        yield Attributes(user, "impersonate", group="authentication.k8s.io", resource="uids", name=target.uid)
    for key, values in target.extra.items():
        for value in values:
            yield Attributes(
                user, "impersonate", "authentication.k8s.io", resource="userextras", subresource=key, name=value
            )


def _completed(target: User) -> User:
    """The groups that come with being somebody."""
    groups = target.groups
    if target.name.startswith(SERVICE_ACCOUNT) and not groups:
        groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{target.name.split(':')[2]}")
    if target.name == "system:anonymous":
        return replace(target, groups=groups or ("system:unauthenticated",))
    return authenticated(replace(target, groups=groups))


def oidc_endpoints(signer: Signer) -> dict[str, Endpoint]:
    """Where others learn to verify service account tokens."""

    async def configuration(request: Request) -> Response:
        return response.json(tokens.openid_configuration())

    async def keys(request: Request) -> Response:
        return response.json(signer.jwks(), headers={"content-type": "application/jwk-set+json"})

    return {"/.well-known/openid-configuration": configuration, "/openid/v1/jwks": keys}
