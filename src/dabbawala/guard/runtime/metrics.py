"""The detector's numbers for Prometheus: what it saw, what it said, and above all what it missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dabbawala.guard.runtime.detector import Detector
from dabbawala.guard.runtime.sinks import Sink

Row = tuple[str, str, str, Mapping[str, str], float]


def render(detector: Detector | None, sinks: Iterable[Sink], taken_in: int) -> str:
    """The page of numbers, in the text exposition format."""
    lines: list[str] = []
    last = ""
    for name, kind, text, labels, value in (*_of_sinks(sinks, taken_in), *(_of_detector(detector) if detector else ())):
        if name != last:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            last = name
        shown = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels.items())
        lines.append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:g}")
    return "\n".join(lines) + "\n"


def _of_sinks(sinks: Iterable[Sink], taken_in: int) -> Iterator[Row]:
    yield (
        "dabbawala_guard_runtime_reported_events_total",
        "counter",
        "Events of Falco's that were taken in.",
        {},
        taken_in,
    )
    for sink in sinks:
        yield (
            "dabbawala_guard_runtime_dropped_alerts_total",
            "counter",
            "Alerts not delivered, by output.",
            {"output": sink.name},
            sink.dropped,
        )


def _of_detector(detector: Detector) -> Iterator[Row]:
    for rule, count in sorted(detector.engine.fired.items()):
        yield "dabbawala_guard_runtime_alerts_total", "counter", "Alerts, by rule.", {"rule": rule}, count
    for kind, count in sorted(detector.docket.events.items()):
        yield "dabbawala_guard_runtime_events_total", "counter", "Events in containers, by type.", {"type": kind}, count
    for source, count in detector.losses().items():
        text = "How often the kernel dropped events because they were not read in time, by source."
        yield "dabbawala_guard_runtime_lost_events_total", "counter", text, {"source": source}, count
    for source, why in sorted(detector.absent.items()):
        yield (
            "dabbawala_guard_runtime_source_absent",
            "gauge",
            "Sources that this machine does not give.",
            {"source": source, "reason": why},
            1,
        )
    gone = "Programs of the node that ended before they could be read."
    yield "dabbawala_guard_runtime_unread_programs_total", "counter", gone, {}, detector.gone
    unclaimed = "Acts on files that may as well have been the kubelet's."
    yield "dabbawala_guard_runtime_unclaimed_events_total", "counter", unclaimed, {}, detector.unclaimed
    foreign = "Events of pods that the API does not know."
    yield "dabbawala_guard_runtime_foreign_events_total", "counter", foreign, {}, detector.docket.foreign
    yield "dabbawala_guard_runtime_containers", "gauge", "Containers watched now.", {}, len(detector.containers)
    unwatched = detector.files.unwatched if detector.files else 0
    yield (
        "dabbawala_guard_runtime_unwatched_places_total",
        "counter",
        "Mounts and directories that could not be watched.",
        {},
        unwatched,
    )
    failed = "Networks of pods that could not be entered."
    yield "dabbawala_guard_runtime_unentered_networks_total", "counter", failed, {}, detector.networks.failed


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
