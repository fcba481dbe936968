"""Ed25519 keys: who signed a record, and whose signature counts.

A key counts by its name, because somebody who answers for the platform has said so: in the ConfigMap
`dabbawala/readiness-trusted-keys`, out of reach of a service's own team, or by a file given to the command.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dabbawala.readiness import canonical

NAMESPACE, CONFIG_MAP = "dabbawala", "readiness-trusted-keys"


class BadKey(Exception):
    """A file or an entry that holds no Ed25519 key."""


class Signer:
    """A private key and the name of its public half."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key

    @classmethod
    def read(cls, path: Path) -> Signer:
        """From a PEM file without a password; its name is the file's, without the ending. Raises BadKey, OSError."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"{path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path} is no Ed25519 key; make one with `dabba readiness key {path.stem}`")
        return cls(path.stem, key)

    @classmethod
    def make(cls, name: str) -> Signer:
        return cls(name, Ed25519PrivateKey.generate())

    def sign(self, value: object) -> dict[str, str]:
        """A `signature` of any JSON value."""
        raw = self._key.sign(canonical.encode(value))
        return {"key": self.name, "value": base64.b64encode(raw).decode()}

    def private_pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class Trust:
    """The public keys that count, by name."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey] | None = None) -> None:
        self._keys = dict(keys or {})

    @classmethod
    def of(cls, entries: Mapping[str, str]) -> Trust:
        """From PEM texts by name, as the ConfigMap holds them. Raises BadKey."""
        return cls({name.removesuffix(".pub"): _public(name, text.encode()) for name, text in entries.items()})

    @property
    def names(self) -> list[str]:
        return sorted(self._keys)

    def objection(self, value: object, signature: Mapping[str, str] | None) -> str:
        """Why the signature of the value does not count; empty when it does."""
        if not signature:
            return "it is not signed"
        name = str(signature.get("key", ""))
        key = self._keys.get(name)
        if key is None:
            return f"it is signed by {name!r}, which is no trusted key"
        try:
            key.verify(base64.b64decode(str(signature.get("value", "")), validate=True), canonical.encode(value))
        except (InvalidSignature, ValueError):
            return f"its signature is not that of {name!r} over what it says now: it is forged or was altered"
        return ""


def read_public(path: Path) -> tuple[str, str]:
    """Name and PEM text of a public key file. Raises BadKey, OSError."""
    data = path.read_bytes()
    _public(str(path), data)
    return path.stem, data.decode()


def _public(where: str, data: bytes) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{where}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey(f"{where} is no Ed25519 public key")
    return key
