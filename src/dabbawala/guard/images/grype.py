"""Grype's JSON report of an image. It knows vulnerabilities and, in newer versions, which are exploited; it looks for
no secrets. Source: github.com/anchore/grype, grype/presenter/models.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from dabbawala.guard.images import fields, trivy
from dabbawala.guard.images.names import digest_of
from dabbawala.guard.images.records import Distribution, Malformed, Scan, Vulnerability, rated, shortened

_EXPLOITABILITY = ("knownExploited", "epss")


def recognises(report: Mapping[str, Any]) -> bool:
    return fields.mapping(report, "descriptor").get("name") == "grype" or "matches" in report


def scan(report: Mapping[str, Any], source: str) -> Scan:
    """Raises Malformed."""
    if not isinstance(report.get("matches"), list):
        raise Malformed("it has no matches: the scan broke off")
    descriptor, about = fields.mapping(report, "descriptor"), fields.mapping(report, "source")
    if about.get("type") != "image":
        raise Malformed(f"it is about a {about.get('type')}, not about an image")
    at = fields.moment(descriptor.get("timestamp"))
    if at is None:
        raise Malformed("it does not say when it was made (descriptor.timestamp)")
    target, distro = fields.mapping(about, "target"), fields.mapping(report, "distro")
    configured = _config(target.get("config"))
    return Scan(
        source, fields.text(target, "userInput"), digests(report), "grype", fields.text(descriptor, "version"), at,
        tuple(_vulnerability(match) for match in fields.objects(report, "matches")),
        distribution=_distribution(distro),
        config=trivy.config(configured),
        created=fields.moment(configured.get("created")),
    )  # fmt: skip


def digests(report: Mapping[str, Any]) -> frozenset[str]:
    target = fields.mapping(fields.mapping(report, "source"), "target")
    named = [target.get(field) for field in ("manifestDigest", "imageID", "userInput")]
    named += fields.listed(target, "repoDigests")
    return frozenset(filter(None, map(digest_of, named)))


def _distribution(distro: Mapping[str, Any]) -> Distribution | None:
    return Distribution(str(distro["name"]), str(distro.get("version") or "")) if distro.get("name") else None


def _vulnerability(match: Mapping[str, Any]) -> Vulnerability:
    found, artifact = fields.mapping(match, "vulnerability"), fields.mapping(match, "artifact")
    if not fields.text(found, "id") or not fields.text(artifact, "name"):
        raise Malformed("a match has no vulnerability.id or no artifact.name")
    related = [one for one in fields.objects(match, "relatedVulnerabilities") if str(one.get("id")).startswith("CVE-")]
    listed = [one for one in (found, *related) if str(one.get("id")).startswith("CVE-")] or [found]
    score = _score([found, *related])
    fix = fields.mapping(found, "fix")
    told = any(field in found for field in _EXPLOITABILITY)
    epss = [value for one in fields.objects(found, "epss") if (value := fields.number(one, "epss")) is not None]
    said = next((one["description"] for one in (found, *related) if one.get("description")), "")
    fixed = ", ".join(fields.texts(fix, "versions")) if fix.get("state") == "fixed" else ""
    return Vulnerability(
        str(listed[0]["id"]), rated(found.get("severity"), score), fields.text(artifact, "name"),
        fields.text(artifact, "version"), fixed, None, score,
        bool(found.get("knownExploited")) if told else None, max(epss, default=None), shortened(said),
    )  # fmt: skip


def _score(found: list[Mapping[str, Any]]) -> float | None:
    """NVD's by CVSS v3; the source's own where NVD has none."""
    rows = [
        (row.get("source") != "nvd@nist.gov", -(fields.number(fields.mapping(row, "metrics"), "baseScore") or 0))
        for one in found
        for row in fields.objects(one, "cvss")
        if str(row.get("version")).startswith("3")
    ]
    return -min(rows)[1] if rows else None


def _config(encoded: object) -> Mapping[str, Any]:
    try:
        found = orjson.loads(base64.b64decode(str(encoded or ""), validate=True) or b"{}")
    except (binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
