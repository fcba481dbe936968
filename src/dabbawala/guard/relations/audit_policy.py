"""What an audit policy records: its rules, asked about the events that somebody will want to look up.

The first rule that matches an event decides its level. Source: audit.k8s.io/v1, apiserver/pkg/audit/policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dabbawala.cel.environment import Function

_LEVELS = ("None", "Metadata", "Request", "RequestResponse")
_METADATA = 1
_NOBODY = "system:anonymous"


class _Event(NamedTuple):
    """`most` is the level above which the event's body would be a secret in the log."""

    what: str
    verb: str
    group: str
    resource: str
    most: int = 3
    user: str = "somebody"
    groups: tuple[str, ...] = ("system:authenticated",)


_EVENTS = (
    _Event("reading Secrets", "get", "", "secrets", _METADATA),
    _Event("listing Secrets", "list", "", "secrets", _METADATA),
    _Event("writing Secrets", "update", "", "secrets", _METADATA),
    _Event("changes of ConfigMaps", "update", "", "configmaps"),
    _Event("tokens that are made", "create", "", "serviceaccounts/token", _METADATA),
    _Event("reviews of tokens", "create", "authentication.k8s.io", "tokenreviews", _METADATA),
    _Event("exec into pods", "create", "", "pods/exec"),
    _Event("attaching to pods", "create", "", "pods/attach"),
    _Event("port forwarding", "create", "", "pods/portforward"),
    _Event("new pods, and their refusal", "create", "", "pods"),
    _Event("changes of Deployments", "patch", "apps", "deployments"),
    _Event("deletions", "delete", "apps", "deployments"),
    _Event("changes of roles", "update", "rbac.authorization.k8s.io", "clusterroles"),
    _Event("changes of role bindings", "create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    _Event("changes of admission policies", "delete", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
    _Event("changes of webhooks", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    _Event("changes of network policies", "delete", "networking.k8s.io", "networkpolicies"),
    _Event("refused requests of nobody known", "get", "", "secrets", _METADATA, _NOBODY, ("system:unauthenticated",)),
)  # fmt: skip


def unrecorded(policy: Mapping[str, Any]) -> list[str]:
    """The events that an audit policy leaves out and that somebody will want to look up."""
    return [event.what for event in _EVENTS if _level(policy, event) < _METADATA]


def overshared(policy: Mapping[str, Any]) -> list[str]:
    """The events whose secret content an audit policy writes into the log."""
    return [event.what for event in _EVENTS if _level(policy, event) > event.most]


def _level(policy: Mapping[str, Any], event: _Event) -> int:
    for rule in policy.get("rules") or ():
        if _matches(rule, event):
            level = rule.get("level")
            return _LEVELS.index(level) if level in _LEVELS else 0
    return 0


def _matches(rule: Mapping[str, Any], event: _Event) -> bool:
    users, groups, verbs = rule.get("users"), rule.get("userGroups"), rule.get("verbs")
    if users and event.user not in users:
        return False
    if groups and not set(groups) & set(event.groups):
        return False
    if verbs and event.verb not in verbs and "*" not in verbs:
        return False
    if rule.get("namespaces"):
        return False
    if rule.get("nonResourceURLs") and not rule.get("resources"):
        return False
    return not rule.get("resources") or any(_names(entry, event) for entry in rule["resources"])


def _names(entry: Mapping[str, Any], event: _Event) -> bool:
    if (entry.get("group") or "") not in (event.group, "*") or entry.get("resourceNames"):
        return False
    listed = entry.get("resources") or ()
    return not listed or any(name in listed for name in _spellings(event.resource))


def _spellings(resource: str) -> Iterator[str]:
    yield resource
    yield "*"
    plural, slash, subresource = resource.partition("/")
    if slash:
        yield f"{plural}/*"
        yield f"*/{subresource}"


FUNCTIONS = (
    Function("unrecorded", ("dyn",), "list<string>", unrecorded),
    Function("overshared", ("dyn",), "list<string>", overshared),
)
