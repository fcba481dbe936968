"""The cases of the checks: `tests/guard/cases/<ID>.yaml`, what is good and what is bad, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dabbawala.apimachinery.meta import Object

FOLDER = Path(__file__).parent / "cases"
_LABELS = {"app": "case"}


@dataclass(frozen=True, slots=True)
class Case:
    """Objects that a check must pass or flag. `fields` are those that a bad case's findings name, where it says so;
    `flags` the subjects (`Kind namespace/name`) that fail in a case with several objects, `unknown` those of which the
    check cannot tell. `whole` makes them all the objects of a cluster. `text` is a file's, named `file`, instead of
    objects; `lines` are those that a bad one's findings name. `reports` are what is known of images (Trivy, Grype,
    SBOMs, cosign), `exploited` the CVEs of a catalogue."""

    check: str
    why: str
    good: bool
    objects: tuple[Object, ...]
    fields: tuple[str, ...] | None
    flags: tuple[str, ...] | None
    unknown: tuple[str, ...] = ()
    whole: bool = False
    file: str = "case.yaml"
    text: str = ""
    lines: tuple[int, ...] | None = None
    reports: tuple[Object, ...] | None = None
    exploited: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.check} {'good' if self.good else 'bad'}: {self.why}"


def ids() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(check_id: str) -> list[Case]:
    written = yaml.safe_load((FOLDER / f"{check_id}.yaml").read_text())
    return [_case(check_id, entry, good) for good in (True, False) for entry in written["good" if good else "bad"]]


def _case(check_id: str, entry: dict[str, Any], good: bool) -> Case:
    fields, flags = entry.get("fields"), entry.get("flags")
    return Case(
        check_id,
        entry["why"],
        good,
        tuple(_objects(entry)),
        None if fields is None else tuple(fields),
        None if flags is None else tuple(flags),
        tuple(entry.get("unknown", ())),
        bool(entry.get("whole")),
        entry.get("file", "case.yaml"),
        entry.get("text", ""),
        None if entry.get("lines") is None else tuple(entry["lines"]),
        None if entry.get("reports") is None else tuple(entry["reports"]),
        None if entry.get("exploited") is None else tuple(entry["exploited"]),
    )


def _objects(entry: dict[str, Any]) -> Iterator[Object]:
    if "pod" in entry:
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": _named(), "spec": entry["pod"]}
    if "deployment" in entry:
        template = {"metadata": {"labels": _LABELS}, "spec": entry["deployment"]}
        spec = {"replicas": 2, "selector": {"matchLabels": _LABELS}, "template": template}
        yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _named(), "spec": spec}
    if "cronjob" in entry:
        job = {"template": {"spec": {"restartPolicy": "Never", **entry["cronjob"]}}}
        spec = {"schedule": "0 1 * * *", "jobTemplate": {"spec": job}}
        yield {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": _named(), "spec": spec}
    if "object" in entry:
        yield entry["object"]
    yield from entry.get("objects", ())


def _named() -> Object:
    return {"name": "case", "namespace": "cases", "labels": _LABELS}
