"""What every request was answered, compactly: a million of them, judged at the end against what was allowed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from release_allowed import HEARD_SECONDS, Allowed

from dabbawala.demo.load import Sample


@dataclass
class Ledger:
    """Of one lane. `failed` keeps all that was not 2xx, in full."""

    sent: array[float] = field(default_factory=lambda: array("d"))
    answered: array[float] = field(default_factory=lambda: array("d"))
    latency: array[float] = field(default_factory=lambda: array("f"))
    late: array[float] = field(default_factory=lambda: array("f"))
    version: list[str] = field(default_factory=list)
    failed: list[Sample] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sent)

    def take(self, batch: Iterable[Sample]) -> None:
        for sample in batch:
            self.sent.append(sample.intended + sample.late)
            self.answered.append(sample.intended + sample.latency)
            self.latency.append(sample.latency)
            self.late.append(sample.late)
            self.version.append(sample.version)
            if sample.failed:
                self.failed.append(sample)


@dataclass
class Judgement:
    """`misled` are (sent, answered, version) that were not allowed; `early` how many answers came before this watcher
    had heard of the write that allowed them, and `earliest` seconds by how much at most."""

    misled: list[tuple[float, float, str]] = field(default_factory=list)
    early: int = 0
    earliest: float = 0.0


def judge(ledger: Ledger, allowed: Allowed) -> Judgement:
    found = Judgement()
    for sent, answered, version in zip(ledger.sent, ledger.answered, ledger.version, strict=True):
        if not version or version in allowed.between(sent, answered):
            continue
        if version not in allowed.between(sent, answered + HEARD_SECONDS):
            found.misled.append((sent, answered, version))
            continue
        found.early += 1
        found.earliest = max(found.earliest, allowed.next_with(version, answered) - answered)
    return found


def percentile_ms(values: Sequence[float], fraction: float) -> float:
    """Nearest rank of sorted seconds, in milliseconds."""
    return values[min(len(values) - 1, int(len(values) * fraction))] * 1000 if values else 0.0
