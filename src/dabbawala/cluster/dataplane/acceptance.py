"""Reading back what an Envoy runs: exactly the versions that were written, or which of them it refuses, and why.

Versions come from the subscriptions' own text statistics: one request, whatever the number of resources. An update is
visible there after Envoy's main thread has handed it to its worker; that the worker has taken it is known when it has
answered a request that was sent after (`probe.sock`, a listener of that worker). Refusals are counted by Envoy; what it
says about them is in its log, and for listeners in its configuration dump.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from dabbawala.cluster.dataplane import admin, xds

VERSIONS = "/stats?filter=version_text$&type=TextReadouts"
REFUSALS = "/stats?filter=update_(rejected|failure)$&type=Counters"
LISTENER_DUMP = "/config_dump?resource=dynamic_listeners"

FILE_OF_STATISTIC = (
    (re.compile(r"listener_manager\.lds\.(\w+)$"), xds.LISTENERS),
    (re.compile(r"cluster_manager\.cds\.(\w+)$"), xds.CLUSTERS),
    (re.compile(r"http\..*\.rds\.([^.]+)\.(\w+)$"), xds.ROUTES),
    (re.compile(r"cluster\.([^.]+)\.(\w+)$"), xds.ENDPOINTS),
)
COMPLAINT = re.compile(r"Filesystem config update (?:rejected|failure): (.*)")
LOG_BYTES_MAX = 64 * 1024
WHOLE = ""
"""Stands for all of an Envoy's listeners, when it could not read the file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one Envoy makes of what was written for it. `pending`: files it does not run yet; `rejected`: files it
    refuses, with its words; `listeners`: single listeners it refuses; `down`: why it cannot be asked, or empty."""

    node: str
    pending: frozenset[str] = frozenset()
    rejected: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, str] = field(default_factory=dict)
    down: str = ""

    @property
    def settled(self) -> bool:
        """Nothing will change by waiting."""
        return not self.pending and not self.down

    @property
    def accepted(self) -> bool:
        return self.settled and not self.rejected and not self.listeners


def file_of(statistic: str) -> str | None:
    """The file whose subscription a statistic belongs to."""
    for pattern, kind in FILE_OF_STATISTIC:
        found = pattern.match(statistic)
        if found:
            return kind if kind.endswith(".json") else f"{kind}/{found[1]}.json"
    return None


def versions(text: str) -> dict[str, str]:
    """Version by file, of everything that an Envoy subscribes to."""
    found = {}
    for line in text.splitlines():
        statistic, _, value = line.partition(": ")
        file = file_of(statistic)
        if file:
            found[file] = value.strip('"')
    return found


def refusals(text: str) -> dict[str, int]:
    """How many updates of each file were refused since the Envoy started."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        statistic, _, value = line.partition(": ")
        file = file_of(statistic)
        if file and value.isdecimal():
            found[file] = found.get(file, 0) + int(value)
    return found


class Observer:
    """Watches one Envoy's acceptance; remembers its count of refusals, to tell a refusal from a delay."""

    def __init__(self, node: str, folder: Path, log_path: Path) -> None:
        self._node = node
        self._admin = folder / "envoy-admin.sock"
        self._probe = folder / "probe.sock"
        self._log = log_path
        self._log_offset = 0
        self._counts: dict[str, int] = {}
        self._refused: dict[str, tuple[str, str]] = {}

    def about_to_write(self) -> None:
        """Complaints from here on are about what is written next."""
        self._log_offset = self._log_size()

    async def missing(self, wanted: Mapping[str, str]) -> frozenset[str]:
        """Files whose wanted version is not run. Raises EnvoyGone or Unanswered."""
        running = versions(await admin.get(self._admin, VERSIONS))
        return frozenset(name for name, version in wanted.items() if running.get(name) != version)

    async def worker_caught_up(self) -> None:
        """Return when the worker has taken all that the main thread had given it. Raises EnvoyGone or Unanswered."""
        await admin.get(self._probe, "/")

    def knows_refused(self, wanted: Mapping[str, str], missing: frozenset[str]) -> bool:
        """Whether all that is missing has been refused before, so that waiting for it is of no use."""
        return all(self._refused.get(name, ("", ""))[0] == wanted[name] for name in missing)

    async def judge(self, wanted: Mapping[str, str], missing: frozenset[str]) -> Verdict:
        """Sort what is missing into what is refused and what only takes time. Raises EnvoyGone or Unanswered."""
        counted = refusals(await admin.get(self._admin, REFUSALS)) if missing else {}
        for name in missing:
            known = self._counts.get(name, 0)
            count = counted.get(name, 0)
            if count > known or (0 < count < known):
                self._refused[name] = (wanted[name], self._complaints())
            self._counts[name] = count
        rejected = {name: why for name, (of, why) in self._refused.items() if name in missing and wanted[name] == of}
        listeners: dict[str, str] = {}
        if xds.LISTENERS in rejected:
            listeners = failed_listeners(await admin.get(self._admin, LISTENER_DUMP))
            listeners = listeners or {WHOLE: rejected[xds.LISTENERS]}
            del rejected[xds.LISTENERS]
        pending = missing - rejected.keys() - ({xds.LISTENERS} if listeners else set())
        return Verdict(self._node, frozenset(pending), rejected, listeners)

    def _log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _complaints(self) -> str:
        """What Envoy has said about updates since `about_to_write`, shortened."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(min(self._log_offset, self._log_size()), self._log_size() - LOG_BYTES_MAX))
                text = file.read(LOG_BYTES_MAX).decode(errors="replace")
        except OSError:
            text = ""
        found = list(dict.fromkeys(line.strip()[:300] for line in COMPLAINT.findall(text)))
        return "; ".join(found[:3]) or f"see {self._log}"


def failed_listeners(dump: str) -> dict[str, str]:
    """Listeners that Envoy could not set up, with its words."""
    found = {}
    for entry in orjson.loads(dump).get("configs") or ():
        if entry.get("name") and entry.get("error_state"):
            found[str(entry["name"])] = str(entry["error_state"].get("details") or "")
    return found
