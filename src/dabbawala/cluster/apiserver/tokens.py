"""Tokens: JSON Web Tokens signed with the cluster's key, for service accounts and for the cluster's own components.

A service account's token names the account, whom it is for (audiences), until when, and the pod or secret it is bound
to; it dies with any of them. A component's token names a user and its groups. Both are ES256.
Source: KEP-1205 bound tokens, RFC 7515/7517/7519.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dabbawala.apimachinery.meta import Object

ISSUER = "https://kubernetes.default.svc.cluster.local"
COMPONENT_ISSUER = "dabbawala"
PRIVATE = "kubernetes.io"
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_HALF = 32  # bytes of each of the two numbers of a P-256 signature
_LONGEST = 8192
_CACHED = 4096


class InvalidToken(ValueError):
    """The token is not ours, was changed, is for somebody else, or its time is over. The message says which."""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Signer:
    """Signs and verifies. A verified signature is remembered; times and bindings are checked on every use."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id = _encode(hashlib.sha256(public).digest())
        self._verified = lru_cache(maxsize=_CACHED)(self._verify)

    @classmethod
    def load(cls, path: Path) -> Signer:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path} does not hold an elliptic curve key")
        return cls(key)

    def sign(self, claims: Mapping[str, Any]) -> str:
        header = {"alg": "ES256", "kid": self.key_id, "typ": "JWT"}
        signed = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(dict(claims)))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _ALGORITHM))
        return f"{signed}.{_encode(r.to_bytes(_HALF) + s.to_bytes(_HALF))}"

    def claims(self, token: str, now: datetime) -> Mapping[str, Any]:
        """What a token says, once it is known to be ours and in time. Raises InvalidToken."""
        claims = self._verified(token)
        seconds = now.timestamp()
        if "exp" in claims and seconds >= claims["exp"]:
            raise InvalidToken("service account token has expired")
        if seconds < claims.get("nbf", 0) - 1:
            raise InvalidToken("service account token is not yet valid")
        return claims

    def _verify(self, token: str) -> Mapping[str, Any]:
        try:
            if len(token) > _LONGEST:
                raise ValueError("too long")
            header, body, signature = token.split(".")
            if orjson.loads(_decode(header)).get("alg") != "ES256":
                raise ValueError("another algorithm")
            raw = _decode(signature)
            pair = encode_dss_signature(int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:]))
            self._key.public_key().verify(pair, f"{header}.{body}".encode(), _ALGORITHM)
            claims: Mapping[str, Any] = orjson.loads(_decode(body))
        except (ValueError, AttributeError, InvalidSignature) as error:
            raise InvalidToken("the token is malformed or was not signed by this cluster") from error
        return claims

    def jwks(self) -> Object:
        """The public key, as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        point = {"x": _encode(numbers.x.to_bytes(_HALF)), "y": _encode(numbers.y.to_bytes(_HALF))}
        key = {"use": "sig", "kty": "EC", "kid": self.key_id, "alg": "ES256", "crv": "P-256", **point}
        return {"keys": [key]}


@dataclass(frozen=True, slots=True)
class Bound:
    """An object a token lives and dies with: kind as in `kubernetes.io` claims (`pod`, `secret`, `node`)."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Account:
    """A service account, as tokens name it."""

    namespace: str
    name: str
    uid: str

    @property
    def user_name(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"


def service_account_claims(
    account: Account, *, audiences: Sequence[str], seconds: int, now: datetime, token_id: str, bound: Sequence[Bound]
) -> Object:
    """The claims of a token for `account`, valid for `seconds` from `now`."""
    issued = int(now.timestamp())
    private: Object = {
        "namespace": account.namespace,
        "serviceaccount": {"name": account.name, "uid": account.uid},
    }
    for item in bound:
        private[item.kind] = {"name": item.name, "uid": item.uid}
    return {
        "iss": ISSUER,
        "sub": account.user_name,
        "aud": list(audiences),
        "iat": issued,
        "nbf": issued,
        "exp": issued + seconds,
        "jti": token_id,
        PRIVATE: private,
    }


def component_claims(user: str, groups: Sequence[str], now: datetime) -> Object:
    """The claims of a component's token; it is good for as long as the cluster's key."""
    return {"iss": COMPONENT_ISSUER, "sub": user, "groups": list(groups), "iat": int(now.timestamp())}


def openid_configuration() -> Object:
    """What `/.well-known/openid-configuration` says. Source: KEP-1393."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
