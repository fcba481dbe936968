"""Events of a Falco that runs elsewhere, taken in and handled like our own alerts. Pure.

Falco sees system calls that user space cannot; where it runs, it is the better sensor, and this is the place where its
events meet the checks. They come as lines of JSON or as the posts that Falco (`http_output`) and falcosidekick send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.rules import PRIORITIES

EVENT_BYTES_MAX = 256 * 1024

# Words in the names of Falco's rules; the first match counts. Source: falcosecurity/rules.
_BY_WORD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("RUN-03", ("contact k8s", "contact cloud")),
    ("RUN-01", ("miner", "stratum", "crypto", "mining")),
    ("RUN-09", (
        "k8s ", "kubernetes api", "clusterrole", "serviceaccount created", "attach/exec pod", "anonymous request",
    )),
    ("RUN-07", ("clear log", "log activities", "shell history", "bulk data", "sensor", "delete or rename shell")),
    ("RUN-06", (
        "release_agent", "debugfs", "kernel module", "ptrace", "namespace", "escape", "privileged container",
        "host device", "sensitive mount", "docker client", "runc", "mount launched", "core_pattern", "bpf",
    )),
    ("RUN-05", (
        "drop and execute", "fileless", "memfd", "/dev/shm", "not in image", "base image", "package management",
        "execution from", "written by interpreter", "binary dir",
    )),
    ("RUN-03", (
        "outbound", "connection", "network", "metadata", "netcat", "packet socket",
        "ssh", "remote file copy", "redirect stdout", "redirect stdin", "socket",
    )),
    ("RUN-04", ("shell", "terminal")),
    ("RUN-02", (
        "sensitive file", "private key", "credential", "symlink", "hardlink", "read ssh", "password", "environment",
        "shadow",
    )),
)  # fmt: skip


class BadEvent(Exception):
    """What came is no event of Falco's; the message says what is wrong."""


def ids(rule: str, tags: Iterable[str]) -> tuple[str, ...]:
    """The checks of guard that a rule of Falco's belongs to, by its name; those it names itself win."""
    named = tuple(tag for tag in tags if tag.startswith("RUN-"))
    if named:
        return named
    lowered = rule.lower()
    for check, words in _BY_WORD:
        if any(word in lowered for word in words):
            return (check,)
    return ()


def read(data: bytes) -> Alert:
    """Raises BadEvent."""
    if len(data) > EVENT_BYTES_MAX:
        raise BadEvent(f"{len(data)} bytes are more than an event may have ({EVENT_BYTES_MAX})")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as wrong:
        raise BadEvent(f"not JSON: {wrong}; start Falco with json_output: true") from wrong
    if not isinstance(body, Mapping) or not isinstance(body.get("rule"), str):
        raise BadEvent("an event of Falco's is an object with rule, output, priority and time")
    rule, said = body["rule"], body.get("tags")
    tags = [str(tag) for tag in said] if isinstance(said, list) else []
    known = ids(rule, tags)
    fields = body.get("output_fields")
    fields = {str(key): value for key, value in fields.items()} if isinstance(fields, Mapping) else {}
    return Alert(
        rule=rule, priority=_priority(body.get("priority")), output=_output(body), at=_time(body.get("time")),
        tags=tuple(dict.fromkeys((*tags, *known))), source=str(body.get("source") or "syscall"),
        hostname=str(body.get("hostname") or ""), output_fields=fields, regarding=_pod(fields),
    )  # fmt: skip


def _output(body: Mapping[str, Any]) -> str:
    """Without the time and priority that Falco writes in front."""
    text = str(body.get("output") or "")
    lead, _, rest = text.partition(f": {body.get('priority')} ")
    return rest if rest and len(lead) <= len("2026-01-01T00:00:00.000000000+0000") else text


def _priority(said: Any) -> str:
    text = str(said or "").capitalize()
    return "Informational" if text == "Info" else text if text in PRIORITIES else "Warning"


def _time(said: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError as wrong:
        raise BadEvent(f"time {said!r} is none; RFC 3339 belongs there") from wrong
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _pod(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The pod that Falco's own fields name, for an Event about it."""
    name, namespace = fields.get("k8s.pod.name"), fields.get("k8s.ns.name")
    if not isinstance(name, str) or not isinstance(namespace, str) or not name or not namespace:
        return {}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    uid = fields.get("k8s.pod.uid")
    if isinstance(uid, str) and uid:
        metadata["uid"] = uid
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
