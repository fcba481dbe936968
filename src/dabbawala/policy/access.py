"""Who asks and what for: the words in which the API server, admission policies and scanners speak about authorisation.

Source: authentication/v1 UserInfo, authorization/v1 SubjectAccessReviewSpec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Source: authentication/v1 UserInfo."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def service_account(namespace: str, name: str) -> User:
    """A service account as its token shows it, with the groups that come with being one."""
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT}{namespace}:{name}", groups)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do. `path` is set for non-resource requests only. Source: authorization/v1."""

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Answers from memory, without awaiting: it runs on every request."""

    def authorize(self, attributes: Attributes) -> Decision: ...
