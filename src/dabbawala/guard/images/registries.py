"""Findings of a registry: what Amazon ECR answers to describe-image-scan-findings, of its basic scanning.

Source: the API reference of Amazon ECR, DescribeImageScanFindings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.guard.images import fields
from dabbawala.guard.images.names import digest_of
from dabbawala.guard.images.records import UNTOLD, Malformed, Scan, Vulnerability, rated, shortened


def recognises(report: Mapping[str, Any]) -> bool:
    return "imageScanStatus" in report or "imageScanFindings" in report


def scan(report: Mapping[str, Any], source: str) -> Scan:
    """Raises Malformed."""
    status, about = fields.mapping(report, "imageScanStatus"), fields.mapping(report, "imageId")
    if status.get("status") not in ("COMPLETE", "ACTIVE"):
        raise Malformed(f"the registry's scan is {status.get('status') or 'without a status'}, not COMPLETE")
    if report.get("nextToken"):
        raise Malformed("it is one page of several; ask the registry for all of them")
    found = fields.mapping(report, "imageScanFindings")
    at = fields.moment(found.get("imageScanCompletedAt"))
    if at is None or not isinstance(found.get("findings"), list):
        raise Malformed("it has no findings, or does not say when the scan was completed")
    tag = fields.text(about, "imageTag")
    image = f"{fields.text(report, 'repositoryName')}:{tag or 'latest'}"
    digests = frozenset(filter(None, [digest_of(about.get("imageDigest"))]))
    return Scan(source, image, digests, "ecr", "", at, tuple(map(_vulnerability, fields.objects(found, "findings"))))


def _vulnerability(found: Mapping[str, Any]) -> Vulnerability:
    said = {str(one.get("key")): str(one.get("value")) for one in fields.objects(found, "attributes")}
    try:
        score = float(said["CVSS3_SCORE"])
    except (KeyError, ValueError):
        score = None
    severity = rated(found.get("severity"), score)
    return Vulnerability(
        fields.text(found, "name"), severity, said.get("package_name", ""), said.get("package_version", ""),
        UNTOLD, score=score, description=shortened(found.get("description")),
    )  # fmt: skip
