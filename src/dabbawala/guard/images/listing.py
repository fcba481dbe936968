"""The images and their state, for a person and in JSON. Byte-stable: the same input, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from dabbawala.apimachinery import clock
from dabbawala.guard.images.answers import GOOD
from dabbawala.guard.images.approval import row
from dabbawala.guard.images.archive import Archive
from dabbawala.guard.images.gate import Passage
from dabbawala.guard.images.records import SEVERITIES
from dabbawala.guard.images.running import Use
from dabbawala.guard.images.state import State
from dabbawala.guard.wording import counted

Listed = Sequence[tuple[State, Sequence[Use]]]


def as_json(listed: Listed, archive: Archive, now: datetime, passage: Passage | None = None) -> bytes:
    """All of it."""
    report: dict[str, Any] = {
        "at": clock.format_time(now),
        "images": [_image(state, uses) for state, uses in listed],
        "problems": [{"file": one.source, "reason": one.reason, "image": one.image} for one in archive.problems],
    }
    if passage is not None:
        report["gate"] = _gate(passage)
    return orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n"


def _image(state: State, uses: Sequence[Use]) -> dict[str, Any]:
    late, waived = {due.vulnerability: due for due in state.overdue}, dict(state.accepted)
    return {
        "image": str(state.name),
        "digest": state.name.digest or None,
        "state": state.word,
        "reason": state.reason,
        "scanned_at": clock.format_time(state.scanned) if state.scanned else None,
        "counts": {severity: state.count(severity) for severity in SEVERITIES},
        "answers": {
            name: {"verdict": one.verdict, "reason": one.reason} for name, one in sorted(state.answers.items())
        },
        "vulnerabilities": [row(found, late.get(found), waived.get(found, "")) for found in state.vulnerabilities],
        "used_by": [{"namespace": use.namespace, "workload": use.workload, "container": use.container} for use in uses],
    }


def _gate(passage: Passage) -> dict[str, Any]:
    return {
        "passed": passage.status == 0,
        "blocking": [
            {"image": image, "id": found.id, "severity": found.severity, "package": found.package}
            for image, found in passage.blocking
        ],
        "accepted": [{"image": image, "id": found.id, "by": why} for image, found, why in passage.accepted],
        "unknown": [{"image": image, "reason": reason} for image, reason in passage.unknown],
    }


def lines(listed: Listed, archive: Archive, passage: Passage | None = None) -> Iterator[str]:
    """For a person."""
    for state, uses in listed:
        counts = ", ".join(f"{count} {severity}" for severity in SEVERITIES if (count := state.count(severity)))
        yield f"{state.word:<10} {state.name}" + (f"  ({counts})" if counts else "")
        users = sorted({f"{use.namespace}/{use.workload}" for use in uses})
        if users:
            yield f"{'':<10} of {', '.join(users)}"
        reasons = dict.fromkeys(answer.reason for answer in state.answers.values() if answer.verdict != GOOD)
        yield from (f"{'':<10} - {reason}" for reason in reasons if reason)
    yield from (f"{'unread':<10} {one.source}: {one.reason}" for one in archive.problems)
    if passage is not None:
        yield from _passage(passage)
    yield _summary([state for state, _ in listed])


def _passage(passage: Passage) -> Iterator[str]:
    for image, found in passage.blocking:
        fix = f"fixed in {found.fixed}" if found.fixed else "no fix yet"
        yield f"{'blocks':<10} {image}: {found.id} ({found.severity}) in {found.package} {found.installed}, {fix}"
    yield from (f"{'accepted':<10} {image}: {found.id}: {why}" for image, found, why in passage.accepted)
    yield from (f"{'unknown':<10} {image}: {reason}" for image, reason in passage.unknown)


def _summary(states: Sequence[State]) -> str:
    counts: Mapping[str, int] = {word: sum(state.word == word for state in states) for word in WORDS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return counted(len(states), "image") + (f": {told}" if told else "")


WORDS = ("error", "unknown", "exploited", "overdue", "vulnerable", "clean")


def of_namespaces(listed: Listed, now: datetime) -> Iterator[tuple[str, bytes]]:
    """A report for each namespace, of what runs in it (S034)."""
    for namespace in sorted({use.namespace for _, uses in listed for use in uses}):
        own = [(state, [use for use in uses if use.namespace == namespace]) for state, uses in listed]
        images = [_image(state, uses) for state, uses in own if uses]
        yield namespace, orjson.dumps({"at": clock.format_time(now), "namespace": namespace, "images": images})
