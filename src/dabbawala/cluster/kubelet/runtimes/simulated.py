"""Containers that only exist on paper: what a simulated container would do, told by annotations. Pure.

    simulated.dabbawala.dev/start-delay    how long until its containers run (default 0s)
    simulated.dabbawala.dev/ready-delay    how long after that until they are ready (default: initialDelaySeconds of
                                           the readiness probe)
    simulated.dabbawala.dev/run-duration   when its containers end by themselves (default: 1s for pods of a Job,
                                           else never)
    simulated.dabbawala.dev/exit-code      with what (default 0)
    simulated.dabbawala.dev/stop-delay     how long they take to end after the stop signal (default 0s)

Durations are Go's (`1m30s`). Images that Kubernetes' own conformance tests use because they cannot be pulled
(`webserver:404`, any tag `non-existent`) cannot be pulled here either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.cluster.kubelet import pod_spec

PREFIX = "simulated.dabbawala.dev/"
_PART = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MISSING_IMAGE = re.compile(r"(:non-?existent$|webserver:404$|^invalid\.)")
JOB_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the containers of one pod do."""

    start_delay: timedelta = timedelta()
    ready_delay: timedelta = timedelta()
    run_duration: timedelta | None = None
    exit_code: int = 0
    stop_delay: timedelta = timedelta()


def behaviour(pod: Mapping[str, Any]) -> Behaviour:
    """Read off the annotations; one that cannot be read counts as absent."""
    return Behaviour(
        start_delay=_duration(pod, "start-delay") or timedelta(),
        ready_delay=_ready_delay(pod),
        run_duration=_run_duration(pod),
        exit_code=_exit_code(pod),
        stop_delay=_duration(pod, "stop-delay") or timedelta(),
    )


def has_image(image: str) -> bool:
    return not _MISSING_IMAGE.search(image)


def parse_duration(text: str) -> timedelta | None:
    """Go's `1m30s`; None for anything else."""
    if not _PART.match(text) or _PART.sub("", text):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def _duration(pod: Mapping[str, Any], name: str) -> timedelta | None:
    text = meta.annotations(pod).get(PREFIX + name)
    return None if text is None else parse_duration(text)


def _ready_delay(pod: Mapping[str, Any]) -> timedelta:
    told = _duration(pod, "ready-delay")
    if told is not None:
        return told
    probes = [item.get("readinessProbe") or {} for item in pod_spec.containers(pod)]
    return timedelta(seconds=max((int(probe.get("initialDelaySeconds") or 0) for probe in probes), default=0))


def _run_duration(pod: Mapping[str, Any]) -> timedelta | None:
    told = _duration(pod, "run-duration")
    owner = meta.controller_of(pod)
    if told is None and owner is not None and owner.get("kind") == "Job":
        return timedelta(seconds=JOB_SECONDS)
    return told


def _exit_code(pod: Mapping[str, Any]) -> int:
    text = meta.annotations(pod).get(PREFIX + "exit-code", "")
    return int(text) if text.isdecimal() else 0
