"""The least role that allows what was done: one rule for what has the same verbs, and nothing that nobody asked for.

Every right (a verb on a resource, on one object of it or on all) stands in exactly one rule, so that each rule is
needed: without it something that was done would be refused. Resources share a rule only where that allows nothing new.
Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate.audit_log import Asked
from dabbawala.guard.generate.writing import Piece
from dabbawala.guard.wording import counted
from dabbawala.policy.access import SERVICE_ACCOUNT, User, service_account
from dabbawala.policy.rbac import Policy

API = "rbac.authorization.k8s.io"
NAMES_MAX = 5
"""Objects of a resource up to which a rule names them; more than these come and go."""
_ORDER = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


_NAME_LENGTH_MAX = 58


class Right(NamedTuple):
    """Something that rules give out: a resource, with the objects that were asked for (none: all), or a path."""

    group: str
    resource: str
    names: tuple[str, ...]
    path: str = ""


class Rules(NamedTuple):
    """Rules of one role, with a sentence about each."""

    rules: list[Object]
    notes: list[str]


def plan(
    requests: Mapping[Asked, int], user: str, name: str, *, names_max: int = NAMES_MAX, bind: bool = True
) -> list[Piece]:
    """A ClusterRole for what was asked for in no namespace, a Role for each namespace where more than that was, and
    their bindings to who asked."""
    pieces = []
    everywhere = dict(_objects({wanted: 1 for wanted in requests if not wanted.namespace}, names_max).keys())
    left = {wanted: n for wanted, n in requests.items() if not (wanted.namespace and _holds(everywhere, wanted))}
    for namespace in sorted({wanted.namespace for wanted in left}):
        here = {wanted: count for wanted, count in left.items() if wanted.namespace == namespace}
        found = rules(here, names_max)
        notes = {f"rules[{number}]": note for number, note in enumerate(found.notes)}
        where = f"in the namespace {namespace}" if namespace else "on what is in no namespace"
        why = f"What was asked for and allowed {where}: {sum(here.values()):,} requests, {len(here):,} different ones."
        pieces.append(Piece(_role(name, namespace, found.rules), why, notes))
        if bind:
            pieces.append(Piece(_binding(name, namespace, user), f"Gives it to {user}, and to nobody else."))
    return pieces


def user_of(name: str) -> User:
    """The user of that name, with the groups that a service account is in."""
    if name.startswith(SERVICE_ACCOUNT):
        namespace, _, account = name.removeprefix(SERVICE_ACCOUNT).partition(":")
        return service_account(namespace, account)
    return User(name)


def name_of(user: str) -> str:
    """A name for the role of a user."""
    told = re.sub(r"[^a-z0-9]+", "-", user.removeprefix(SERVICE_ACCOUNT).lower()).strip("-")
    return f"{told[:_NAME_LENGTH_MAX].strip('-') or 'user'}-used"


def rules(requests: Mapping[Asked, int], names_max: int) -> Rules:
    """Rules that allow these requests of one namespace, or of none."""
    verbs: dict[Right, set[str]] = {}
    counts: Counter[Right] = Counter()
    for (wanted, names), count in _objects(requests, names_max).items():
        right = Right(wanted.group, _resource(wanted), names, wanted.path)
        verbs.setdefault(right, set()).add(wanted.verb)
        counts[right] += count
    merged: dict[tuple[str, tuple[str, ...], bool, tuple[str, ...]], list[Right]] = {}
    for right, own in sorted(verbs.items()):
        ordered = tuple(sorted(own, key=_place))
        merged.setdefault((right.group, right.names, bool(right.path), ordered), []).append(right)
    made = Rules([], [])
    for (group, names, _, ordered), rights in sorted(merged.items(), key=lambda item: _first(item[0], item[1])):
        made.rules.append(_rule(group, names, ordered, rights))
        made.notes.append(_note(names, sum(counts[right] for right in rights)))
    return made


def unproved(requests: Iterable[Asked], user: User, pieces: Iterable[Piece]) -> list[Asked]:
    """The requests that the roles and bindings do not allow, by RBAC itself: none, unless the plan is wrong."""
    policy = Policy.of(piece.object for piece in pieces)
    return [wanted for wanted in requests if not policy.allows(wanted.by(user))]


def _objects(requests: Mapping[Asked, int], names_max: int) -> dict[tuple[Asked, tuple[str, ...]], int]:
    """Each verb on each resource, with the names that it is limited to; none where it was asked without one, or with
    more of them than are worth naming."""
    asked: dict[Asked, Counter[str]] = {}
    for wanted, count in requests.items():
        asked.setdefault(wanted._replace(namespace="", name=""), Counter())[wanted.name] += count
    found = {}
    for bare, names in asked.items():
        few = "" not in names and len(names) <= names_max
        found[bare, tuple(sorted(names)) if few else ()] = sum(names.values())
    return found


def _holds(rights: Mapping[Asked, tuple[str, ...]], wanted: Asked) -> bool:
    """Whether rights that are limited to no namespace allow a request in one."""
    names = rights.get(wanted._replace(namespace="", name=""))
    return names is not None and (not names or wanted.name in names)


def _resource(wanted: Asked) -> str:
    return f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource


def _place(verb: str) -> tuple[int, str]:
    return (_ORDER.index(verb) if verb in _ORDER else len(_ORDER), verb)


def _first(key: tuple[str, tuple[str, ...], bool, tuple[str, ...]], rights: Sequence[Right]) -> tuple[object, ...]:
    group, names, is_path, verbs = key
    return is_path, group, rights[0].resource, names, [_place(verb) for verb in verbs]


def _rule(group: str, names: tuple[str, ...], verbs: Sequence[str], rights: Sequence[Right]) -> Object:
    if rights[0].path:
        return {"nonResourceURLs": [right.path for right in rights], "verbs": list(verbs)}
    rule: Object = {"apiGroups": [group], "resources": [right.resource for right in rights]}
    if names:
        rule["resourceNames"] = list(names)
    return {**rule, "verbs": list(verbs)}


def _note(names: tuple[str, ...], count: int) -> str:
    few = "; no other objects than these were asked for" if names else ""
    return f"{counted(count, 'request')}{few}."


def _role(name: str, namespace: str, found: list[Object]) -> Object:
    kind = "Role" if namespace else "ClusterRole"
    return {"apiVersion": f"{API}/v1", "kind": kind, "metadata": _metadata(name, namespace), "rules": found}


def _binding(name: str, namespace: str, user: str) -> Object:
    kind = "Role" if namespace else "ClusterRole"
    return {
        "apiVersion": f"{API}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": API, "kind": kind, "name": name},
        "subjects": [_subject(user)],
    }


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def _subject(user: str) -> Object:
    if user.startswith(SERVICE_ACCOUNT):
        namespace, _, name = user.removeprefix(SERVICE_ACCOUNT).partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": API, "kind": "User", "name": user}
