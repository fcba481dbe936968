"""SBOMs in CycloneDX JSON and SPDX JSON: of which image they are, when they were made, and whether they list anything.

Source: CycloneDX 1.4 to 1.6 and SPDX 2.2, 2.3; names of the image as Trivy, Syft and Docker write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from dabbawala.guard.images import fields
from dabbawala.guard.images.names import digest_of
from dabbawala.guard.images.records import Malformed, Sbom

CYCLONE, SPDX = "CycloneDX", "SPDX"
_CYCLONE_VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6")
_SPDX_VERSIONS = ("SPDX-2.2", "SPDX-2.3")


def recognises(report: Mapping[str, Any]) -> bool:
    return report.get("bomFormat") == CYCLONE or "spdxVersion" in report


def sbom(report: Mapping[str, Any], source: str) -> Sbom:
    """Raises Malformed."""
    return _cyclone(report, source) if report.get("bomFormat") == CYCLONE else _spdx(report, source)


def _cyclone(report: Mapping[str, Any], source: str) -> Sbom:
    _known(report.get("specVersion"), _CYCLONE_VERSIONS, CYCLONE)
    metadata = fields.mapping(report, "metadata")
    about = fields.mapping(metadata, "component")
    if about.get("type") != "container":
        raise Malformed("metadata.component is no container: it is not an SBOM of an image")
    named = [about.get("version"), about.get("purl"), about.get("bom-ref"), about.get("name")]
    named += [one.get("value") for one in fields.objects(about, "properties")]
    held = metadata.get("timestamp"), fields.objects(report, "components")
    return _made(source, _titled(about), named, CYCLONE, held)


def _titled(about: Mapping[str, Any]) -> str:
    name, version = fields.text(about, "name"), fields.text(about, "version")
    return f"{name}:{version}" if version and ":" not in name.rpartition("/")[2] and "sha256" not in version else name


def _spdx(report: Mapping[str, Any], source: str) -> Sbom:
    _known(report.get("spdxVersion"), _SPDX_VERSIONS, SPDX)
    packages = fields.objects(report, "packages")
    described = set(_described(report))
    about = [p for p in packages if p.get("SPDXID") in described or p.get("primaryPackagePurpose") == "CONTAINER"]
    named: list[object] = [report.get("name"), report.get("documentNamespace")]
    for one in about:
        named += [one.get("name"), one.get("versionInfo")]
        named += [reference.get("referenceLocator") for reference in fields.objects(one, "externalRefs")]
        checksums = fields.objects(one, "checksums")
        named += [f"sha256:{sum_.get('checksumValue')}" for sum_ in checksums if sum_.get("algorithm") == "SHA256"]
    rest = [one for one in packages if one not in about]
    image = next((fields.text(one, "name") for one in about), "") or fields.text(report, "name")
    return _made(source, image, named, SPDX, (fields.mapping(report, "creationInfo").get("created"), rest))


def _described(report: Mapping[str, Any]) -> Iterator[str]:
    yield from fields.texts(report, "documentDescribes")
    for one in fields.objects(report, "relationships"):
        if one.get("relationshipType") == "DESCRIBES":
            yield str(one.get("relatedSpdxElement"))


def _known(version: object, known: tuple[str, ...], form: str) -> None:
    if version not in known:
        raise Malformed(f"version {version} of {form} is not known; {', '.join(known)} are")


def _made(source: str, image: str, named: list[object], form: str, held: tuple[object, list[Any]]) -> Sbom:
    made, components = held
    at = fields.moment(made)
    if at is None:
        raise Malformed("it does not say when it was made")
    if not components:
        raise Malformed("it lists no component")
    digests = frozenset(filter(None, (digest_of(unquote(str(one or ""))) for one in named)))
    return Sbom(source, image, digests, form, at, len(components))
