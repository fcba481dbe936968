"""The audit log: who asked what, when, and how it ended. One JSON line for each request, in audit.k8s.io/v1 form.

The request path only puts an entry on a bounded queue; a thread of its own writes. When the disk is slower than the
traffic, entries are dropped and the log says how many. Files are rotated by size and only so many are kept.
Level Metadata: bodies are never recorded, so that secrets stay out of it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.metrics import Metrics
from dabbawala.cluster.apiserver.plugins import Exchange
from dabbawala.cluster.apiserver.request import ANONYMOUS
from dabbawala.policy.access import User

log = logging.getLogger("dabbawala.apiserver.audit")

MAX_FILE_BYTES = 32 << 20
MAX_FILES = 4
MAX_QUEUED = 20_000
_BATCH = 500
_GATHER_SECONDS = 0.1
"""Entries wait this long for others, so that the thread does not wake, and write, for each request."""
_READS = frozenset({"get", "list", "watch"})
_NOISE = frozenset({"leases.coordination.k8s.io", "events", "events.events.k8s.io"})

Policy = Callable[[Exchange], bool]
_Entry = tuple[Exchange, datetime]


def worth_recording(exchange: Exchange) -> bool:
    """Everything people and programs do; of the cluster's own parts what they write, except heartbeats and events."""
    target = exchange.target
    name = (exchange.request.user or ANONYMOUS).name
    ours = name.startswith("system:") and not name.startswith(("system:serviceaccount:", "system:anonymous"))
    if target is None:
        return not ours and exchange.status >= 400
    if not ours:
        return True
    return target.verb not in _READS and target.kind.resource not in _NOISE


class AuditLog:
    """Callable as the server's audit plugin. Enter it, or call `start` and `close`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        policy: Policy = worth_recording,
        metrics: Metrics | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._new_id = new_id
        self._policy = policy
        self._metrics = metrics or Metrics()
        self._metrics.audits = True
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)

    def __call__(self, exchange: Exchange) -> None:
        if not self._policy(exchange):
            return
        if self._queue.qsize() >= MAX_QUEUED:
            self._dropped += 1
            self._metrics.audit_errors["buffered"] += 1
            return
        self._metrics.audit_events += 1
        self._queue.put((exchange, self._clock.now()))

    def start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop."""
        self._closing.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_all(self) -> None:
        open_ended = True
        while open_ended:
            batch, open_ended = self._next_batch()
            try:
                self._append(batch)
            except OSError as error:
                self._dropped += len(batch)
                self._metrics.audit_errors["log"] += len(batch)
                log.warning("cannot write the audit log %s: %s", self._path, error)

    def _next_batch(self) -> tuple[list[_Entry], bool]:
        """What is queued, at least one entry, and whether more may come."""
        batch: list[_Entry] = []
        entry = self._queue.get()
        if self._queue.qsize() < _BATCH:
            self._closing.wait(_GATHER_SECONDS)
        while entry is not None:
            batch.append(entry)
            if len(batch) >= _BATCH or self._queue.empty():
                return batch, True
            entry = self._queue.get()
        return batch, False

    def _append(self, batch: list[_Entry]) -> None:
        lines = [orjson.dumps(event(*entry, self._new_id())) for entry in batch]
        if self._dropped:
            lines.append(orjson.dumps({"kind": "Dropped", "apiVersion": "audit.k8s.io/v1", "count": self._dropped}))
            self._dropped = 0
        if not lines:
            return
        self._rotate()
        with self._path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")

    def _rotate(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < MAX_FILE_BYTES:
            return
        for number in range(MAX_FILES - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._numbered(MAX_FILES).unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def event(exchange: Exchange, finished: datetime, audit_id: str) -> Object:
    """One audit.k8s.io/v1 Event, stage ResponseComplete. `finished` is when the request ended."""
    request, target = exchange.request, exchange.target
    user = request.user or ANONYMOUS
    query = "&".join(f"{name}={value}" for name, value in request.query)
    received = finished - timedelta(seconds=exchange.finished - exchange.received)
    entry: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": f"{request.path}?{query}" if query else request.path,
        "verb": target.verb if target else request.method.lower(),
        "user": _user(user),
        "sourceIPs": [request.client] if request.client else [],
        "userAgent": request.header("user-agent"),
        "responseStatus": {"metadata": {}, "code": exchange.status},
        "requestReceivedTimestamp": clock.format_micro_time(received),
        "stageTimestamp": clock.format_micro_time(finished),
        "annotations": dict(request.annotations),
    }
    if target is not None:
        reference = {
            "resource": target.kind.plural,
            "namespace": target.namespace,
            "name": target.name,
            "apiGroup": target.kind.group,
            "apiVersion": target.kind.version,
            "subresource": target.subresource,
        }
        entry["objectRef"] = {name: value for name, value in reference.items() if value}
    if exchange.decision is not None:
        allowed = "allow" if exchange.decision.allowed else "forbid"
        entry["annotations"]["authorization.k8s.io/decision"] = allowed
        entry["annotations"]["authorization.k8s.io/reason"] = exchange.decision.reason
    return entry


def _user(user: User) -> Object:
    shown: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        shown["uid"] = user.uid
    if user.extra:
        shown["extra"] = {key: list(values) for key, values in user.extra.items()}
    return shown
