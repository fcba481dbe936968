"""Any file about images to records. Nothing raises: what cannot be read is an `Unreadable` that says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from dabbawala.guard.images import boms, cosign, grype, registries, trivy
from dabbawala.guard.images.records import Malformed, Record, Unreadable

FILE_BYTES_MAX = 64 * 2**20
"""Of one report; the largest of real images have a tenth of it."""
_DEEP = (RecursionError, KeyError, TypeError, ValueError, AttributeError)


def records(data: bytes, source: str) -> list[Record]:
    """What a file tells: one record, or several (an array, or JSON lines, of signatures)."""
    if len(data) > FILE_BYTES_MAX:
        return [Unreadable(source, f"the file is larger than {FILE_BYTES_MAX:,} bytes")]
    if not data.strip():
        return [Unreadable(source, "the file is empty: what should have written it broke off")]
    try:
        found = _documents(data)
    except ValueError as wrong:
        return [Unreadable(source, f"the file is no JSON, or was cut off: {wrong}")]
    made = [record for document in found for record in _record(document, source)]
    return made or [Unreadable(source, "the file has nothing about an image")]


def _documents(data: bytes) -> list[Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
            raise
        return [orjson.loads(line) for line in lines]
    return found if isinstance(found, list) else [found]


def _record(report: Any, source: str) -> Iterator[Record]:
    if not isinstance(report, dict):
        yield Unreadable(source, "the report is no JSON object")
        return
    try:
        yield from list(_read(report, source))
    except Malformed as wrong:
        yield Unreadable(source, f"the report cannot be believed: {wrong}", *_about(report))
    except _DEEP as wrong:
        reason = f"the report does not have the shape of its format: {type(wrong).__name__}"
        yield Unreadable(source, reason, *_about(report))


def _read(report: Mapping[str, Any], source: str) -> Iterator[Record]:
    if trivy.recognises(report):
        yield trivy.scan(report, source)
    elif boms.recognises(report):
        yield boms.sbom(report, source)
    elif cosign.recognises(report):
        yield from cosign.attested(report, source)
    elif registries.recognises(report):
        yield registries.scan(report, source)
    elif grype.recognises(report):
        yield grype.scan(report, source)
    else:
        raise Malformed("its format is not known; Trivy, Grype, ECR, CycloneDX, SPDX and cosign are read")


def _about(report: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """Of which image a report is that tells nothing else."""
    image = report.get("ArtifactName")
    try:
        digests = trivy.digests(report) | grype.digests(report)
        image = image or (report.get("source") or {}).get("target", {}).get("userInput")
    except (Malformed, *_DEEP):
        digests = frozenset()
    return image if isinstance(image, str) else "", digests
