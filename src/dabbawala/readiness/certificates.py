"""TLS certificates of a Secret: whom they are for, how long they last, whether their chain holds.

Only `tls.crt` is read; a private key never comes here. Source: core/v1 Secret of type kubernetes.io/tls.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtensionOID

EXPIRY_DAYS_MIN = 30
CHAIN_MAX = 16
"""Certificates of one Secret that are read."""


class Unreadable(Exception):
    """What should be certificates is none."""


def read(encoded: str) -> list[x509.Certificate]:
    """The chain of a Secret's `tls.crt`, leaf first. Raises Unreadable."""
    try:
        found = x509.load_pem_x509_certificates(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error) as error:
        raise Unreadable(str(error)) from error
    return found[:CHAIN_MAX]


def faults(chain: Sequence[x509.Certificate], hosts: Iterable[str], now: datetime) -> list[str]:
    """What keeps clients from trusting it now."""
    leaf = chain[0]
    found = []
    if now < leaf.not_valid_before_utc:
        found.append(f"it is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
    ended = [item for item in chain if now >= item.not_valid_after_utc]
    found += [f"{_named(item)} expired on {item.not_valid_after_utc:%Y-%m-%d}" for item in ended]
    names = _names(leaf)
    found += [f"it is not for {host}" for host in hosts if not any(_covers(name, host) for name in names)]
    for below, above in itertools.pairwise(chain):
        if not _signed_by(below, above):
            found.append(f"{_named(below)} is not signed by {_named(above)}, which follows it")
    return found


def days_left(chain: Sequence[x509.Certificate], now: datetime) -> int:
    """Of whichever of the chain ends first."""
    return min((item.not_valid_after_utc - now).days for item in chain)


def is_self_signed(chain: Sequence[x509.Certificate]) -> bool:
    return len(chain) == 1 and chain[0].issuer == chain[0].subject


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "the certificate"


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return []
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def _covers(name: str, host: str) -> bool:
    """`*.example.com` is for one label more. Source: RFC 6125, 6.4.3."""
    host = host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _signed_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
