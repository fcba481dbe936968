"""Reading a kubeconfig: where the API server is, and who we are to it.

Understood: `$KUBECONFIG` (several files, the first that names a thing wins), inline or file certificates, tokens,
token files, basic TLS settings, and being inside a pod. Exec plugins are refused with the reason.
Source: client-go clientcmd.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class BadKubeconfig(Exception):
    """A kubeconfig that is missing or cannot be used; the message names the file, the field and the remedy."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach an API server. Certificates are PEM bytes; `token_file` is read again for every new connection."""

    server: str
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    token_file: Path | None = None
    insecure: bool = False
    server_name: str = ""
    namespace: str = "default"
    socket: Path | None = None


def load(path: Path | None = None, context: str = "") -> Connection:
    """From a file, `$KUBECONFIG`, the pod we run in, or `~/.kube/config`. Raises BadKubeconfig."""
    if path is None and not os.environ.get("KUBECONFIG") and "KUBERNETES_SERVICE_HOST" in os.environ:
        return in_cluster()
    files = _files(path)
    merged = _merge(files)
    name = context or str(merged.get("current-context") or "")
    shown = ", ".join(str(file) for file in files)
    chosen = _named(merged, "contexts", name, shown).get("context") or {}
    cluster = _named(merged, "clusters", str(chosen.get("cluster")), shown).get("cluster") or {}
    user = _named(merged, "users", str(chosen.get("user")), shown).get("user") or {}
    return _connection(cluster, user, str(chosen.get("namespace") or "default"), shown)


def in_cluster() -> Connection:
    """As the service account of the pod we run in."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not (SERVICE_ACCOUNT / "token").exists():
        raise BadKubeconfig(f"{SERVICE_ACCOUNT}/token is not mounted; set automountServiceAccountToken on the pod")
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=(SERVICE_ACCOUNT / "ca.crt").read_bytes(),
        token_file=SERVICE_ACCOUNT / "token",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
    )


def _files(path: Path | None) -> list[Path]:
    if path is not None:
        candidates = [path]
    else:
        listed = os.environ.get("KUBECONFIG", "")
        candidates = [Path(part) for part in listed.split(":") if part] or [Path.home() / ".kube" / "config"]
    found = [file for file in candidates if file.is_file()]
    if not found:
        names = ", ".join(str(file) for file in candidates)
        raise BadKubeconfig(f"no kubeconfig at {names}; start a cluster with `dabba up`, or name one with --kubeconfig")
    return found


def _merge(files: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {"contexts": [], "clusters": [], "users": []}
    for file in files:
        try:
            read = yaml.safe_load(file.read_text()) or {}
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            raise BadKubeconfig(f"{file}: {error}") from error
        if not isinstance(read, dict):
            raise BadKubeconfig(f"{file}: this is no kubeconfig (a mapping with contexts, clusters and users)")
        for section in ("contexts", "clusters", "users"):
            merged[section] += [_resolved(entry, file.parent) for entry in read.get(section) or ()]
        if read.get("current-context"):
            merged.setdefault("current-context", read["current-context"])
    return merged


def _resolved(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """File references count from the kubeconfig's own folder."""

    def at(value: Any, key: str) -> Any:
        files = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
        return str(folder / value) if key in files and value else value

    return {
        name: {key: at(value, key) for key, value in inner.items()} if isinstance(inner, dict) else inner
        for name, inner in entry.items()
    }


def _named(merged: dict[str, Any], section: str, name: str, shown: str) -> dict[str, Any]:
    found = next((entry for entry in merged[section] if entry.get("name") == name), None)
    if found is None:
        known = ", ".join(str(entry.get("name")) for entry in merged[section]) or "none"
        raise BadKubeconfig(f"{shown}: {section} has no {name!r} (it has: {known})")
    return dict(found)


def _connection(cluster: dict[str, Any], user: dict[str, Any], namespace: str, shown: str) -> Connection:
    if "exec" in user or "auth-provider" in user:
        raise BadKubeconfig(f"{shown}: users.exec and auth-provider are not supported; use a token or a certificate")
    if not cluster.get("server"):
        raise BadKubeconfig(f"{shown}: clusters.cluster.server is missing")
    token_file = user.get("tokenFile")
    return Connection(
        server=str(cluster["server"]).rstrip("/"),
        ca=_pem(cluster, "certificate-authority", shown),
        certificate=_pem(user, "client-certificate", shown),
        key=_pem(user, "client-key", shown),
        token=str(user.get("token") or ""),
        token_file=Path(token_file) if token_file else None,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        namespace=namespace,
    )


def _pem(section: dict[str, Any], field: str, shown: str) -> bytes | None:
    try:
        if section.get(f"{field}-data"):
            return base64.b64decode(section[f"{field}-data"])
        return Path(section[field]).read_bytes() if section.get(field) else None
    except (ValueError, OSError) as error:
        raise BadKubeconfig(f"{shown}: {field}: {error}") from error
