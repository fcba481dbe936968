"""Exceptions: a finding that somebody accepted, with a reason, an owner, a ticket and an end.

They mean the same in three places: a scan of files, a scan of a cluster, and admission, where they become match
conditions of the policies. An expired exception is none: what it covered fails again by itself, in admission too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.api import guard_v1alpha1
from dabbawala.apimachinery import clock, meta, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.apimachinery.status import FieldError
from dabbawala.guard import checks


@dataclass(frozen=True, slots=True)
class PolicyException:
    """`expires` is the first instant at which it counts no more."""

    name: str
    checks: frozenset[str]
    kinds: frozenset[str]
    namespaces: tuple[str, ...]
    names: tuple[str, ...]
    selector: LabelSelector
    reason: str
    owner: str
    ticket: str
    expires: datetime

    def covers(self, check_id: str, obj: Object) -> bool:
        return (
            check_id in self.checks
            and (not self.kinds or obj.get("kind") in self.kinds)
            and _named(self.namespaces, meta.namespace(obj))
            and _named(self.names, meta.name(obj) or str(meta.metadata(obj).get("generateName") or ""))
            and self.selector.matches(meta.labels(obj))
        )

    def __str__(self) -> str:
        until = clock.format_time(self.expires)
        return f"{self.reason} ({self.name}: {self.owner}, {self.ticket}, until {until})"


def _named(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(name.startswith(item[:-1]) if item.endswith("*") else name == item for item in patterns)


def wrong_with(obj: Object) -> list[FieldError]:
    """What keeps the object from being an exception."""
    return guard_v1alpha1.POLICY_EXCEPTION.validate(obj, None) or list(_unfit(obj["spec"]["checks"]))


def _unfit(ids: Iterable[str]) -> Iterator[FieldError]:
    known = checks.shipped()
    for index, name in enumerate(ids):
        if name not in known:
            yield status.invalid(f"spec.checks[{index}]", name, "no such check; `dabba guard checks` lists them")
        elif not known[name].exceptable:
            message = f"{known[name].title} may never be excepted: {known[name].remedy}"
            yield status.invalid(f"spec.checks[{index}]", name, message)


def of(obj: Object) -> PolicyException:
    """The exception that a valid PolicyException object describes."""
    spec = obj["spec"]
    match = spec["match"]
    return PolicyException(
        name=meta.name(obj),
        checks=frozenset(spec["checks"]),
        kinds=frozenset(match.get("kinds") or ()),
        namespaces=tuple(match.get("namespaces") or ()),
        names=tuple(match.get("names") or ()),
        selector=selectors.from_label_selector(match.get("selector") or {}),
        reason=spec["reason"],
        owner=spec["owner"],
        ticket=spec["ticket"],
        expires=_end(spec["expires"]),
    )


def _end(text: str) -> datetime:
    """To the second, as the times are by which admission tells."""
    if "T" in text:
        return clock.parse_time(text).replace(microsecond=0)
    return clock.parse_time(f"{text}T00:00:00Z") + timedelta(days=1)


def accepting(
    exceptions: Iterable[PolicyException], check_id: str, obj: Object, now: datetime
) -> PolicyException | None:
    """The exception that covers a finding now; of several, the one that lasts longest."""
    found = [item for item in exceptions if item.covers(check_id, obj) and now < item.expires]
    return max(found, key=lambda item: (item.expires, item.name), default=None)


def expired(exceptions: Iterable[PolicyException], check_id: str, obj: Object, now: datetime) -> PolicyException | None:
    """The one that ended last of those that would have covered it: worth a word beside the finding."""
    found = [item for item in exceptions if item.covers(check_id, obj) and now >= item.expires]
    return max(found, key=lambda item: (item.expires, item.name), default=None)
