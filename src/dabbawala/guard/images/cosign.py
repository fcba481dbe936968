"""What `cosign verify` and `cosign verify-attestation` write to the standard output, which they do only after they have
verified. Whoever can write the file can write anything: keep it where only the verifying job can.

Source: sigstore's simple signing payload; DSSE with an in-toto statement.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from dabbawala.guard.images import fields
from dabbawala.guard.images.names import digest_of
from dabbawala.guard.images.records import Attested, Malformed

_IN_TOTO = "application/vnd.in-toto+json"
_PROVENANCE = "https://slsa.dev/provenance/"


def recognises(report: Mapping[str, Any]) -> bool:
    return "critical" in report or "payloadType" in report


def attested(report: Mapping[str, Any], source: str) -> Iterator[Attested]:
    """Raises Malformed."""
    if "critical" in report:
        yield _signature(report, source)
    else:
        yield from _statement(report, source)


def _signature(report: Mapping[str, Any], source: str) -> Attested:
    critical = fields.mapping(report, "critical")
    digest = digest_of(fields.mapping(critical, "image").get("docker-manifest-digest"))
    image = fields.text(fields.mapping(critical, "identity"), "docker-reference")
    if not digest:
        raise Malformed("it names no docker-manifest-digest")
    return Attested(source, image, digest, False, fields.text(fields.mapping(report, "optional"), "Subject"))


def _statement(report: Mapping[str, Any], source: str) -> Iterator[Attested]:
    if report.get("payloadType") != _IN_TOTO:
        raise Malformed(f"payload type {report.get('payloadType')} is not known; {_IN_TOTO} is")
    try:
        statement = orjson.loads(base64.b64decode(fields.text(report, "payload"), validate=True))
    except (binascii.Error, ValueError) as wrong:
        raise Malformed("its payload is no JSON in base64") from wrong
    if not str(fields.mapping({"s": statement}, "s").get("predicateType")).startswith(_PROVENANCE):
        return
    builder = fields.mapping(fields.mapping(statement, "predicate"), "builder")
    for subject in fields.objects(statement, "subject"):
        digest = digest_of(f"sha256:{fields.mapping(subject, 'digest').get('sha256')}")
        if not digest:
            raise Malformed("a subject has no sha256 digest")
        yield Attested(source, fields.text(subject, "name"), digest, True, fields.text(builder, "id"))
