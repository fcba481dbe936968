"""Rules held against events. Pure: time comes with the event."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

from dabbawala.guard.runtime import alerts, events
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.events import Event
from dabbawala.guard.runtime.rules import Rule

REPEAT_SECONDS = 1.0
"""The same rule about the same act (two sources may see one) within this time is one alert."""

REMEMBERED = 2_048


class Engine:
    """Which rules hold for an event. Rules that are switched off or not covered take no time."""

    def __init__(self, rules: Iterable[Rule], *, least: str = "Debug") -> None:
        self.repeated = 0
        self.fired: Counter[str] = Counter()
        self._by_type: dict[str, list[Rule]] = {}
        self._recent: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        for rule in rules:
            if rule.active and alerts.is_at_least(rule.priority, least):
                for kind in rule.types:
                    self._by_type.setdefault(kind, []).append(rule)

    def wants(self, kind: str) -> bool:
        """Whether any rule looks at events of this type."""
        return kind in self._by_type

    def evaluate(self, event: Event) -> list[Alert]:
        found = []
        for rule in self._by_type.get(event.type, ()):
            if rule.holds is not None and rule.holds(event) and self._is_new(rule, event):
                self.fired[rule.name] += 1
                found.append(alerts.of(rule, event))
        return found

    def _is_new(self, rule: Rule, event: Event) -> bool:
        key = (rule.name, event.container.key if event.container else "", _act(event))
        last = self._recent.get(key)
        if last is not None and abs(event.at - last) < REPEAT_SECONDS:
            self.repeated += 1
            return False
        self._recent[key] = event.at
        self._recent.move_to_end(key)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return True


def _act(event: Event) -> str:
    """What makes two events the same act."""
    process = str(event.process.pid) if event.process is not None else ""
    if event.type == events.EXECVE:
        return process
    if event.file is not None:
        return f"{process} {event.file.path}"
    if event.peer is not None:
        return f"{event.peer.protocol} {event.peer.remote}:{event.peer.remote_port} {event.peer.local_port}"
    return str((event.audit or {}).get("auditID") or process)
