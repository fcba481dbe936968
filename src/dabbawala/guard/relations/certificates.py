"""X.509 certificates in objects: until when they last, and how strong they are. Private keys are never looked at."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
CERTIFICATES_MAX = 50
"""Of one field; a bundle of public authorities is looked at no further."""
_RSA_MIN_BITS, _CURVE_MIN_BITS = 2048, 224
_WEAK_HASHES = frozenset({"md5", "sha1"})


def certificates(text: str) -> list[Object]:
    """The certificates of a PEM text, plain or in base64: `name`, `notBefore`, `notAfter`, `weak` (why its key or its
    signature is not strong enough, empty if it is). What cannot be read as one is passed over."""
    return list(_certificates(text))


def _certificates(text: str) -> Iterator[Object]:
    from cryptography import x509  # expensive to load, and most scans have none

    for part in _plain(text).split(_BEGIN)[1 : CERTIFICATES_MAX + 1]:
        pem = _BEGIN + part.partition(_END)[0] + _END
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
            yield {
                "name": found.subject.rfc4514_string() or "without a subject",
                "notBefore": clock.format_time(found.not_valid_before_utc),
                "notAfter": clock.format_time(found.not_valid_after_utc),
                "weak": _weakness(found),
            }
        except (ValueError, TypeError):
            continue


def _plain(text: str) -> str:
    if _BEGIN in text:
        return text
    try:
        return base64.b64decode(text, validate=False).decode("ascii", "ignore")
    except (binascii.Error, ValueError):
        return ""


def _weakness(found: Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key: Any = found.public_key()
        signed = found.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return "its key or signature is of a kind that is not known"
    bits, kind = getattr(key, "key_size", None), type(key).__name__.lstrip("_").removesuffix("PublicKey")
    if kind == "DSA":
        return "it has a DSA key"
    if bits is not None and bits < (_RSA_MIN_BITS if kind == "RSA" else _CURVE_MIN_BITS):
        return f"its {kind} key has {bits} bits"
    if signed is not None and signed.name in _WEAK_HASHES and found.issuer != found.subject:
        return f"it is signed with {signed.name.upper()}"
    return ""


def certificates_in(obj: Mapping[str, Any]) -> list[Object]:
    """The certificates of an object, each with its `field`: of a Secret, of webhooks, of an APIService, of a
    CustomResourceDefinition's conversion."""
    return [{"field": field, **found} for field, text in _fields(obj) for found in _certificates(text)]


def _fields(obj: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("data", "stringData"):
        for key, text in (obj.get(field) or {}).items() if obj.get("kind") == "Secret" else ():
            if isinstance(text, str) and key.endswith((".crt", ".pem", ".cert", ".cer")):
                yield f"{field}[{key}]", text
    for webhook in obj.get("webhooks") or ():
        yield f"webhooks[{webhook.get('name')}].clientConfig.caBundle", _bundle(webhook.get("clientConfig"))
    spec = obj.get("spec") or {}
    if spec.get("caBundle"):
        yield "spec.caBundle", str(spec["caBundle"])
    conversion = (spec.get("conversion") or {}).get("webhook") or {}
    yield "spec.conversion.webhook.clientConfig.caBundle", _bundle(conversion.get("clientConfig"))


def _bundle(client: Mapping[str, Any] | None) -> str:
    return str((client or {}).get("caBundle") or "")


FUNCTIONS = (
    Function("certificates", ("string",), "list<dyn>", certificates),
    Function("certificatesIn", ("dyn",), "list<dyn>", certificates_in),
)
