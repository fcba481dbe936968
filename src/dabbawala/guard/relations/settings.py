"""What the configuration of programs says in its text: how long logs are kept, and whom clocks are set by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

_HOURS = {"h": 1, "d": 24, "w": 168, "m": 720, "y": 8760}
_DAY = 24
_RETENTION = re.compile(
    r"\b(?P<field>retention_period|log_retention_days|retention_in_days|retentionDays|retention_days|min_age)"
    r"\b[\"']?\s*[:=\s]\s*[\"']?(?P<number>\d+)(?P<unit>[hdwmy]?)"
)
_IN_DAYS = frozenset({"log_retention_days", "retention_in_days", "retentionDays", "retention_days"})
_TIME_FILE = re.compile(r"chrony|ntp|timesyncd")
_SERVER = re.compile(r"^\s*(?:(?:server|pool|peer)[ \t]+(\S+).*|(?:NTP|FallbackNTP)\s*=\s*(.+))$", re.MULTILINE)
_TRACEABLE = (
    "samay1.nic.in", "samay2.nic.in", "time.nplindia.org", "time.nplindia.in", "time.nic.in", "169.254.169.123",
    "time.aws.com", "metadata.google.internal", "time.google.com", "169.254.169.254", "fd00:ec2::123",
)  # fmt: skip
_TRACEABLE_ENDS = (".nic.in", ".nplindia.org", ".nplindia.in", ".gov.in")


def retentions(config: Mapping[str, Any]) -> list[Object]:
    """How long a ConfigMap's programs, or a LokiStack, keep logs: `field` and `days` (0 is for ever)."""
    return list(_retentions(config))


def _retentions(config: Mapping[str, Any]) -> Iterator[Object]:
    limits = ((config.get("spec") or {}).get("limits") or {}).get("global") or {}
    days = (limits.get("retention") or {}).get("days")
    if days is not None:
        yield {"field": "spec.limits.global.retention.days", "days": int(days)}
    own = (config.get("spec") or {}).get("retentionDays")
    if own is not None:
        yield {"field": "spec.retentionDays", "days": int(own)}
    for key, text in (config.get("data") or {}).items():
        for found in _RETENTION.finditer(str(text)):
            unit = "d" if found["field"] in _IN_DAYS else found["unit"] or "h"
            if found["field"] == "min_age" and "delete" not in text:
                continue
            yield {"field": f"data[{key}]", "days": int(found["number"]) * _HOURS[unit] // _DAY}


def time_servers(config: Mapping[str, Any]) -> list[str]:
    """The servers by which a ConfigMap's chrony, ntpd or systemd-timesyncd configuration sets clocks."""
    return list(dict.fromkeys(_servers(config)))


def _servers(config: Mapping[str, Any]) -> Iterator[str]:
    for key, text in (config.get("data") or {}).items():
        if _TIME_FILE.search(key):
            for one, several in _SERVER.findall(str(text)):
                yield from one.split() or several.split()


def traceable(server: str) -> bool:
    """Whether a time server is one of NIC or NPL, or a cloud's own for its machines."""
    return server in _TRACEABLE or server.endswith(_TRACEABLE_ENDS)


def configured(world: World, key: str, value: str) -> bool:
    """Whether some ConfigMap has that value under a key."""
    return world.once(("configured", key, value), lambda: any(_has(c, key, value) for c in world.objects("ConfigMap")))


def _has(config: Object, key: str, value: str) -> bool:
    data = config.get("data")
    return isinstance(data, dict) and data.get(key) == value


FUNCTIONS = (
    Function("configured", (TYPE, "string", "string"), "bool", configured, receiver=True),
    Function("retentions", ("dyn",), "list<dyn>", retentions),
    Function("timeServers", ("dyn",), "list<string>", time_servers),
    Function("traceable", ("string",), "bool", traceable),
)
