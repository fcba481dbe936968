"""Trivy's JSON report of an image, schema version 2.

A report without `Results` is none: that is what is left of a scan that broke off, and of an image in which Trivy
recognised nothing. Which scanners ran the report does not say; leaks and misconfigurations are known to have been
looked for where it names some, and in reports that `dabba guard images --scan` has made, which say so under SCANNERS.
Source: github.com/aquasecurity/trivy, pkg/types/report.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.guard.images import fields
from dabbawala.guard.images.names import digest_of
from dabbawala.guard.images.records import (
    Config,
    Distribution,
    Leak,
    Malformed,
    Misconfiguration,
    Scan,
    Vulnerability,
    rated,
    shortened,
)

SCHEMA = 2
SCANNERS, FAILED = "dabbawala.dev/scanners", "dabbawala.dev/failed"
"""What `dabba guard images --scan` adds to a report: what was looked for; why there is none."""
_PACKAGES = frozenset({"os-pkgs", "lang-pkgs"})


def recognises(report: Mapping[str, Any]) -> bool:
    return "SchemaVersion" in report or "ArtifactName" in report


def scan(report: Mapping[str, Any], source: str) -> Scan:
    """Raises Malformed."""
    if report.get(FAILED):
        raise Malformed(f"the scan failed: {report[FAILED]}")
    if report.get("SchemaVersion") != SCHEMA:
        raise Malformed(f"schema version {report.get('SchemaVersion')} of Trivy is not known; {SCHEMA} is")
    if fields.text(report, "ArtifactType") not in ("container_image", ""):
        raise Malformed(f"it is about a {fields.text(report, 'ArtifactType')}, not about an image")
    if not report.get("Results"):
        raise Malformed("it has no results: the scan broke off, or recognised nothing in the image")
    at = fields.moment(report.get("CreatedAt"))
    if at is None:
        raise Malformed("it does not say when it was made (CreatedAt); scan with Trivy 0.49 or newer")
    results, metadata = fields.objects(report, "Results"), fields.mapping(report, "Metadata")
    looked = {str(name) for name in fields.listed(report, SCANNERS)}
    classes = {str(result.get("Class")) for result in results}
    return Scan(
        source, fields.text(report, "ArtifactName"), digests(report), "trivy",
        fields.text(fields.mapping(report, "Trivy"), "Version"), at,
        tuple(_vulnerabilities(results)) if classes & _PACKAGES else None,
        tuple(_leaks(results)) if "secret" in classes | looked else None,
        tuple(_misconfigurations(results)) if "misconfig" in looked or "config" in classes else None,
        _distribution(fields.mapping(metadata, "OS")),
        config(fields.mapping(metadata, "ImageConfig")),
        fields.moment(fields.mapping(metadata, "ImageConfig").get("created")),
    )  # fmt: skip


def digests(report: Mapping[str, Any]) -> frozenset[str]:
    """Of the image in its registries, and of its configuration, which some runtimes call it by."""
    metadata = report.get("Metadata")
    given = metadata if isinstance(metadata, dict) else {}
    listed = given.get("RepoDigests")
    named = [*(listed if isinstance(listed, list) else ()), given.get("ImageID"), report.get("ArtifactName")]
    return frozenset(filter(None, map(digest_of, named)))


def _vulnerabilities(results: list[Mapping[str, Any]]) -> Iterator[Vulnerability]:
    for found in (found for result in results for found in fields.objects(result, "Vulnerabilities")):
        score = fields.number(fields.mapping(fields.mapping(found, "CVSS"), "nvd"), "V3Score")
        if not fields.text(found, "VulnerabilityID") or not fields.text(found, "PkgName"):
            raise Malformed("a vulnerability has no VulnerabilityID or no PkgName")
        yield Vulnerability(
            fields.text(found, "VulnerabilityID"), rated(found.get("Severity"), score), fields.text(found, "PkgName"),
            fields.text(found, "InstalledVersion"), fields.text(found, "FixedVersion"),
            fields.moment(found.get("PublishedDate")), score,
            description=shortened(found.get("Description") or found.get("Title")),
        )  # fmt: skip


def _leaks(results: list[Mapping[str, Any]]) -> Iterator[Leak]:
    for result in results:
        for found in fields.objects(result, "Secrets"):
            title, severity = fields.text(found, "Title"), rated(found.get("Severity"), None)
            yield Leak(fields.text(found, "RuleID"), severity, title, fields.text(result, "Target"))


def _misconfigurations(results: list[Mapping[str, Any]]) -> Iterator[Misconfiguration]:
    for found in (found for result in results for found in fields.objects(result, "Misconfigurations")):
        if found.get("Status", "FAIL") == "FAIL":
            name = fields.text(found, "AVDID") or fields.text(found, "ID")
            severity = rated(found.get("Severity"), None)
            yield Misconfiguration(name, severity, fields.text(found, "Title"), fields.text(found, "Resolution"))


def _distribution(given: Mapping[str, Any]) -> Distribution | None:
    if not given.get("Family") or given.get("Family") == "none":
        return None
    ended = True if given.get("EOSL") is True else None
    return Distribution(str(given["Family"]), str(given.get("Name") or ""), ended)


def config(given: Mapping[str, Any]) -> Config | None:
    """Of an image's configuration file; None where there is none."""
    if "config" not in given:
        return None
    found = fields.mapping(given, "config")
    return Config(
        fields.text(found, "User"), tuple(sorted(fields.mapping(found, "ExposedPorts"))), fields.texts(found, "Env"),
        fields.texts(found, "Entrypoint"), fields.texts(found, "Cmd"), bool(found.get("Healthcheck")),
    )  # fmt: skip
