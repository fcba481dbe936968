"""The `authorizer` variable: a question about a permission is built step by step, and asked with `check`.

Whoever evaluates gives one function that decides. Source: apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import signature

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_MAX = 253  # characters


@dataclass(frozen=True, slots=True)
class Decision:
    """What an authorizer answers. `error` is empty when it could tell."""

    cel_type = "kubernetes.authorization.Decision"

    allowed: bool
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked. `user` is empty for whoever makes the request; `path` is of a request outside the resources."""

    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user: str = ""
    field_selector: str = ""
    label_selector: str = ""


Decide = Callable[[Attributes], Decision]


@dataclass(frozen=True, slots=True)
class Authorizer:
    """The value of the variable `authorizer`."""

    cel_type = "kubernetes.authorization.Authorizer"

    decide: Decide
    user: str = ""

    def request_resource(self, **attributes: str) -> ResourceCheck:
        """The value of the variable `authorizer.requestResource`."""
        return ResourceCheck(self.decide, Attributes(user=self.user, **attributes))


@dataclass(frozen=True, slots=True)
class PathCheck:
    cel_type = "kubernetes.authorization.PathCheck"

    decide: Decide
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class GroupCheck:
    cel_type = "kubernetes.authorization.GroupCheck"

    decide: Decide
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    cel_type = "kubernetes.authorization.ResourceCheck"

    decide: Decide
    attributes: Attributes


def _expect(function: str, kinds: tuple[type, ...], value: Any, *texts: Any) -> Any:
    if type(value) not in kinds or any(type(text) is not str for text in texts):
        raise signature(function, value, *texts)
    return value


def path(value: Any, text: Any) -> PathCheck:
    found = _expect("path", (Authorizer,), value, text)
    if not text.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(found.decide, Attributes(path=text, user=found.user))


def group(value: Any, text: Any) -> GroupCheck:
    found = _expect("group", (Authorizer,), value, text)
    return GroupCheck(found.decide, Attributes(group=text, user=found.user))


def service_account(value: Any, namespace: Any, name: Any) -> Authorizer:
    found = _expect("serviceAccount", (Authorizer,), value, namespace, name)
    if not _SUBDOMAIN.fullmatch(name) or len(name) > _SUBDOMAIN_MAX:
        raise EvaluationError("Invalid service account name")
    if not _LABEL.fullmatch(namespace):
        raise EvaluationError("Invalid service account namespace")
    return Authorizer(found.decide, f"system:serviceaccount:{namespace}:{name}")


def resource(value: Any, text: Any) -> ResourceCheck:
    found = _expect("resource", (GroupCheck,), value, text)
    if not text.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(found.decide, replace(found.attributes, resource=text))


def _narrowing(function: str, attribute: str) -> Callable[[Any, Any], ResourceCheck]:
    def narrow(value: Any, text: Any) -> ResourceCheck:
        found = _expect(function, (ResourceCheck,), value, text)
        return ResourceCheck(found.decide, replace(found.attributes, **{attribute: text}))

    return narrow


def check(value: Any, verb: Any) -> Decision:
    found = _expect("check", (PathCheck, ResourceCheck), value, verb)
    decided: Decision = found.decide(replace(found.attributes, verb=verb))
    return decided


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "path": path,
    "group": group,
    "serviceAccount": service_account,
    "resource": resource,
    "subresource": _narrowing("subresource", "subresource"),
    "namespace": _narrowing("namespace", "namespace"),
    "name": _narrowing("name", "name"),
    "fieldSelector": _narrowing("fieldSelector", "field_selector"),
    "labelSelector": _narrowing("labelSelector", "label_selector"),
    "check": check,
    "allowed": lambda value: _expect("allowed", (Decision,), value).allowed,
    "reason": lambda value: _expect("reason", (Decision,), value).reason,
    "errored": lambda value: bool(_expect("errored", (Decision,), value).error),
    "error": lambda value: _expect("error", (Decision,), value).error,
}
