"""The `authorizer` of expressions: questions about who may do what, put to whoever answers them here.

Source: apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

from dabbawala.cel import authorizer as questions
from dabbawala.policy import access
from dabbawala.policy.matching import Request


def of(authorizer: access.Authorizer, request: Request) -> questions.Authorizer:
    """`authorizer`: on behalf of the user of the request, unless a service account is named."""
    return questions.Authorizer(_decider(authorizer, request))


def of_request(authorizer: access.Authorizer, request: Request) -> questions.ResourceCheck:
    """`authorizer.requestResource`: about the very object of the request."""
    return of(authorizer, request).request_resource(
        group=request.group, resource=request.resource, subresource=request.subresource, namespace=request.namespace,
        name=request.name,
    )  # fmt: skip


def _decider(authorizer: access.Authorizer, request: Request) -> questions.Decide:
    def decide(asked: questions.Attributes) -> questions.Decision:
        wanted = access.Attributes(
            _user(asked.user, request), asked.verb, asked.group, "" if asked.path else "*", asked.resource,
            asked.subresource, asked.namespace, asked.name, asked.path,
        )  # fmt: skip
        decision = authorizer.authorize(wanted)
        return questions.Decision(decision.allowed, decision.reason)

    return decide


def _user(name: str, request: Request) -> access.User:
    if not name.startswith(access.SERVICE_ACCOUNT):
        return request.user
    namespace, _, account = name.removeprefix(access.SERVICE_ACCOUNT).partition(":")
    return access.service_account(namespace, account)
