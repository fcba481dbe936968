"""What somebody did and was allowed to do, by an audit log: the requests that a role has to allow, each once.

Takes audit.k8s.io/v1 Events, one a line, as API servers write them, ours among them, and EventLists, as webhooks get
them. A request counts if authorization allowed it, whatever became of it afterwards: one for an object that was not
there needed the right too. Pure. Source: apiserver/pkg/apis/audit/v1 types.go, apiserver/pkg/endpoints/filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate import lines as json_lines
from dabbawala.guard.generate.faults import at_line
from dabbawala.policy.access import SERVICE_ACCOUNT, Attributes, User

REQUESTS_MAX = 200_000
"""Different requests; whoever makes more needs a role that a person writes."""
_DECISION = "authorization.k8s.io/decision"
_STAGES = frozenset({"ResponseStarted", "ResponseComplete", "Panic"})
_REFUSED = frozenset({401, 403})
_CREATED = 201
_FORM = "Give audit.k8s.io/v1 Events, one a line."


class Asked(NamedTuple):
    """A request, as authorization sees it; of whom is known. `path` is set where it is for no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def by(self, user: User) -> Attributes:
        return Attributes(user, **self._asdict())


@dataclass(slots=True)
class Usage:
    """How often each request was made. `events` are all of the log, `refused` those of the user that were not allowed,
    `dropped` those that the server says it could not write."""

    requests: Counter[Asked] = field(default_factory=Counter)
    events: int = 0
    refused: int = 0
    dropped: int = 0


def read(file: str, lines: Iterable[bytes], user: User) -> Usage:
    """What of the log is about the user. Raises BadInput."""
    found, seen = Usage(), _Seen()
    for number, event in _events(file, lines):
        if event.get("kind") == "Dropped":
            found.dropped += int(event.get("count") or 0)
            continue
        found.events += 1
        if _about(event, user.name) and event.get("stage", "ResponseComplete") in _STAGES and seen.first(event):
            _count(found, event, user)
        if len(found.requests) > REQUESTS_MAX:
            message = f"{user.name} has made more than {REQUESTS_MAX:,} different requests"
            raise at_line(file, number, message, "Give a shorter log, or write the role by hand.")
    return found


class _Seen:
    """A watch is written twice, when it begins and when it ends; the log may end before it does."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def first(self, event: Object) -> bool:
        request = str(event.get("auditID") or "")
        if event.get("stage") == "ResponseStarted":
            self._open.add(request)
            return True
        again = request in self._open
        self._open.discard(request)
        return not again


def _events(file: str, lines: Iterable[bytes]) -> Iterator[tuple[int, Object]]:
    for number, obj in json_lines.objects(file, lines):
        listed = obj["items"] if obj.get("kind") == "EventList" and isinstance(obj.get("items"), list) else [obj]
        for event in listed:
            wrong = _wrong(event)
            if wrong:
                raise at_line(file, number, wrong, _FORM)
            yield number, event


def _wrong(event: Any) -> str:
    """Why it is no event; empty if it is one."""
    if not isinstance(event, dict) or event.get("kind", "Event") not in ("Event", "Dropped"):
        return "the line is no audit Event"
    if event.get("kind") == "Dropped":
        return "" if isinstance(event.get("count"), int) else "a Dropped entry has no count"
    for name in ("user", "verb", "requestURI"):
        if not event.get(name):
            return f"the Event has no {name}"
    shapes: tuple[tuple[str, type], ...] = (
        ("user", dict), ("verb", str), ("requestURI", str), ("objectRef", dict), ("annotations", dict),
        ("responseStatus", dict), ("impersonatedUser", dict), ("stage", str),
    )  # fmt: skip
    for name, shape in shapes:
        if event.get(name) is not None and not isinstance(event[name], shape):
            return f"the Event's {name} is {type(event[name]).__name__}, not {shape.__name__}"
    return ""


def _about(event: Object, name: str) -> bool:
    return name in (event["user"].get("username"), (event.get("impersonatedUser") or {}).get("username"))


def _count(found: Usage, event: Object, user: User) -> None:
    acted_as = event.get("impersonatedUser") or {}
    if acted_as and event["user"].get("username") == user.name:
        # Whom else it acts as must be allowed even when the request itself, made as the other, was not.
        found.requests.update(_impersonations(acted_as))
        if acted_as.get("username") != user.name:
            return
    if not _allowed(event):
        found.refused += 1
        return
    found.requests.update(_wanted(event))


def _allowed(event: Object) -> bool:
    decision = (event.get("annotations") or {}).get(_DECISION)
    return decision == "allow" if decision else _code(event) not in _REFUSED


def _code(event: Object) -> int:
    code = (event.get("responseStatus") or {}).get("code")
    return code if isinstance(code, int) else 0


def _wanted(event: Object) -> Iterator[Asked]:
    verb, reference = event["verb"], event.get("objectRef")
    if not reference or not reference.get("resource"):
        yield Asked(verb.lower(), path=event["requestURI"].partition("?")[0])
        return
    named = not (verb == "create" and not reference.get("subresource"))
    yield _of(verb, reference, str(reference.get("name") or "") if named else "")
    if verb in ("update", "patch") and _code(event) == _CREATED and not reference.get("subresource"):
        yield _of("create", reference, "")  # what writes an object that is not there must be allowed to create


def _of(verb: str, reference: Mapping[str, Any], name: str) -> Asked:
    """Of what is created the log tells the name, but whoever was asked for permission did not know it."""
    parts = {field: str(reference.get(field) or "") for field in ("resource", "subresource", "namespace")}
    return Asked(verb, group=str(reference.get("apiGroup") or ""), name=name, **parts)


def _impersonations(other: Mapping[str, Any]) -> Iterator[Asked]:
    name = str(other.get("username") or "")
    if name.startswith(SERVICE_ACCOUNT):
        namespace, _, account = name.removeprefix(SERVICE_ACCOUNT).partition(":")
        yield Asked("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
    elif name:
        yield Asked("impersonate", resource="users", name=name)
    groups = other.get("groups")
    for group in groups if isinstance(groups, list) else ():
        if not name.startswith(SERVICE_ACCOUNT) and group != "system:authenticated":
            yield Asked("impersonate", resource="groups", name=str(group))
