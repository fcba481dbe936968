"""The cluster's keys and certificates: made at first start, kept in one directory, renewed when they run out.

ECDSA P-256 throughout. Files hold PEM; keys are readable by their owner alone and written before their certificate,
so that a kill between the two is mended by the next start.

    ca.crt ca.key            signs the others; clients trust it through their kubeconfig
    server.crt server.key    what the API server shows
    admin.crt admin.key      the user `kubernetes-admin` in system:masters
    sa.key                   signs service account tokens
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)
ADMIN = "kubernetes-admin"
MASTERS = "system:masters"
SERVER_HOSTS = (
    "127.0.0.1", "::1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class PKI:
    """The files of one cluster."""

    ca: Pair
    server: Pair
    admin: Pair
    token_key: Path

    @property
    def ca_bundle(self) -> str:
        """What pods find as ca.crt and clients trust."""
        return self.ca.certificate.read_text()


def ensure(directory: Path, now: datetime, *, hosts: Iterable[str] = ()) -> PKI:
    """The cluster's keys, made or renewed where needed. `hosts` are names and addresses the server answers to besides
    `SERVER_HOSTS`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki = PKI(_pair(directory, "ca"), _pair(directory, "server"), _pair(directory, "admin"), directory / "sa.key")
    authority = _Authority(pki.ca, now)
    wanted = sorted({*SERVER_HOSTS, *hosts})
    if _expired(pki.server, now) or not authority.signed(pki.server) or _hosts(pki.server) != wanted:
        authority.issue(pki.server, "kube-apiserver", (), hosts=wanted)
    if _expired(pki.admin, now) or not authority.signed(pki.admin):
        authority.issue(pki.admin, ADMIN, (MASTERS,))
    if not pki.token_key.exists():
        _write(pki.token_key, _pem(ec.generate_private_key(ec.SECP256R1())), secret=True)
    return pki


def client_certificate(pki: PKI, target: Pair, user: str, groups: Sequence[str], now: datetime) -> None:
    """A certificate that logs `user` in, with `groups`. The files appear under `target`."""
    _Authority(pki.ca, now).issue(target, user, groups)


def kubeconfig(pki: PKI, server: str, cluster: str) -> str:
    """A kubeconfig for the administrator, with everything inside. `server` is a URL."""

    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    login = {
        "client-certificate-data": inline(pki.admin.certificate),
        "client-key-data": inline(pki.admin.key),
    }
    user = f"{cluster}-admin"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"certificate-authority-data": inline(pki.ca.certificate), "server": server}}
        ],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
        "preferences": {},
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_kubeconfig(path: Path, text: str) -> None:
    """Atomically, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text.encode(), secret=True)


def _pair(directory: Path, name: str) -> Pair:
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


class _Authority:
    """The certificate authority, made if it is not there."""

    def __init__(self, files: Pair, now: datetime) -> None:
        self._now = now
        if not files.key.exists() or not files.certificate.exists():
            self._create(files)
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{files.key} does not hold an elliptic curve key; remove the directory to start anew")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())

    def _create(self, files: Pair) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("dabbawala-ca")
        builder = self._builder(name, name, key.public_key(), _CA_LIFE)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True).add_extension(identity, critical=False)
        _write(files.key, _pem(key), secret=True)
        _write(files.certificate, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(self._now - _CLOCK_SKEW).not_valid_after(self._now + life)

    def issue(self, files: Pair, user: str, groups: Sequence[str], *, hosts: Sequence[str] = ()) -> None:
        """With `hosts` a server's certificate, without a client's."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(user, groups), self._certificate.subject, key.public_key(), _LIFE)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(signer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        _write(files.key, _pem(key), secret=True)
        _write(files.certificate, builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def signed(self, files: Pair) -> bool:
        """Whether the certificate is this authority's and belongs to the key beside it."""
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:
            return False
        return certificate.public_key() == key.public_key()


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    listed = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*listed, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts(files: Pair) -> list[str]:
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(str(name.value) for name in names)


def _expired(files: Pair, now: datetime) -> bool:
    """Whether the pair is missing, half written, or ends soon."""
    if not files.certificate.exists() or not files.key.exists():
        return True
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return certificate.not_valid_after_utc < now + _RENEW_BEFORE


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Atomically: a reader sees the old file or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
