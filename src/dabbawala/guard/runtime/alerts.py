"""What a rule says when it holds: one alert, in Falco's own JSON, so that whatever reads Falco's reads ours. Pure.

Source: falco.org/docs/outputs/formatting, falcosecurity/falco outputs (`json_output: true`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dabbawala.guard.runtime import fields, syntax
from dabbawala.guard.runtime.events import INFERRED, Event
from dabbawala.guard.runtime.fields import Getter
from dabbawala.guard.runtime.rules import PRIORITIES, Rule

OUTPUT_CHARACTERS_MAX = 8 * 1024
_PLACE = re.compile(r"%(?P<field>[a-z][\w]*(?:\.[\w]+)+(?:\[[^\]]*\])?)")
_ID = re.compile(r"RUN-\d\d")
_ALWAYS = ("container.id", "container.name", "k8s.ns.name", "k8s.pod.name", "evt.time", "dabba.attribution")


@dataclass(frozen=True, slots=True)
class Alert:
    """`regarding` is the pod, for an event about it; empty for what happened on the node or was only reported."""

    rule: str
    priority: str
    output: str
    at: datetime
    tags: tuple[str, ...] = ()
    source: str = "syscall"
    hostname: str = ""
    output_fields: Mapping[str, Any] = field(default_factory=dict)
    regarding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        """The checks of guard that it belongs to."""
        return tuple(tag for tag in self.tags if _ID.fullmatch(tag))

    @property
    def sentence(self) -> str:
        """For a person: the rule and what it says, in which many a rule is named already, and whether the process that
        it names was only the likely one."""
        said = self.output if self.output.startswith(self.rule) else f"{self.rule}: {self.output}"
        guessed = self.output_fields.get("dabba.attribution") == INFERRED
        return f"{said} - the process is a guess" if guessed else said

    @property
    def line(self) -> str:
        """As Falco writes it to a file or terminal."""
        return f"{self.at.strftime('%H:%M:%S.%f')}000: {self.priority} {self.output}"

    def to_json(self) -> dict[str, Any]:
        return {
            "hostname": self.hostname,
            "output": self.line,
            "output_fields": dict(self.output_fields),
            "priority": self.priority,
            "rule": self.rule,
            "source": self.source,
            "tags": list(self.tags),
            "time": self.at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z",
        }


def is_at_least(priority: str, least: str) -> bool:
    return PRIORITIES.index(priority) <= PRIORITIES.index(least)


def of(rule: Rule, event: Event) -> Alert:
    """The alert of a rule that holds for the event."""
    read: dict[str, Any] = {}
    for name, get in _getters(rule.output):
        read[name] = None if get is None else get(event)
    text = _PLACE.sub(lambda place: fields.shown(read.get(place["field"])), rule.output)
    for name, get in _always():
        read.setdefault(name, None if get is None else get(event))
    return Alert(
        rule=rule.name,
        priority=rule.priority,
        output=_visible(text[:OUTPUT_CHARACTERS_MAX]),
        at=datetime.fromtimestamp(event.at, UTC),
        tags=rule.tags,
        source=rule.source,
        hostname=event.node,
        output_fields={name: list(value) if isinstance(value, tuple) else value for name, value in read.items()},
        regarding=event.workload.pod if event.workload is not None else {},
    )


def _visible(text: str) -> str:
    """On one line, and without what would steer a terminal: command lines are what an attacker writes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@lru_cache(maxsize=4_096)
def _getters(output: str) -> tuple[tuple[str, Getter | None], ...]:
    return tuple((name, _getter(name)) for name in dict.fromkeys(found["field"] for found in _PLACE.finditer(output)))


@lru_cache(maxsize=1)
def _always() -> tuple[tuple[str, Getter | None], ...]:
    return tuple((name, _getter(name)) for name in _ALWAYS)


def _getter(name: str) -> Getter | None:
    """None for a field that is not delivered: an output may say <NA>, only a condition may not."""
    found = syntax.field_of(name)
    try:
        return None if found is None else fields.getter(found)
    except (fields.NotDelivered, fields.NoSuchField):
        return None
