"""Services as tests need them: records of evidence in a chain, and a world in which everything passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import evidence
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.signing import Signer, Trust

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SERVICE, NAMESPACE = "web", "shop"
LAB = Signer.make("lab")
TRUST = Trust.of({"lab.pub": LAB.public_pem().decode()})
DOCUMENT = "sha256:" + "d" * 64
DIGEST = "sha256:" + "a" * 64


def ago(**age: float) -> str:
    return clock.format_time(NOW - timedelta(**age))


def spec(item: str, **fields: Any) -> Object:
    """What a record says, before it is signed and appended."""
    made: Object = {
        "service": SERVICE, "item": item, "type": "imported", "result": "pass", "observedAt": ago(hours=1),
        "expires": ago(days=-30), "source": {"tool": "lab", "version": "1"},
    }  # fmt: skip
    return made | fields


def signed(said: Object, signer: Signer = LAB, namespace: str = NAMESPACE) -> Object:
    return {**said, "signature": signer.sign(evidence.content(namespace, said))}


def attested(item: str, **fields: Any) -> Object:
    return spec(item, type="attestation", owner="Asha", documentHash=DOCUMENT, **fields)


def chained(*specs: Object, after: Evidence | None = None) -> list[Object]:
    """The records as objects, one after the other."""
    found = []
    for said in specs:
        made = evidence.appended({"metadata": {"namespace": NAMESPACE}, "spec": said}, after)
        after = Evidence.of(made)
        found.append(made)
    return found


def changed(obj: Object, **fields: Any) -> Object:
    return {**obj, "spec": {**obj["spec"], **fields}}


def rehashed(obj: Object) -> Object:
    """With a hash that fits, as somebody would write it who knows how."""
    return changed(obj, hash=evidence.link_hash(NAMESPACE, obj["spec"]))
