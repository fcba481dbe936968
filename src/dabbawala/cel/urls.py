"""URLs as Go's net/url reads them. Source: apiserver/pkg/cel/library/urls.go."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import signature

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.S)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_IN_HOST = re.compile(r"[ <>\"\\^`{|}#?/]")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PATH_SAFE = "/$&+,:;=@"  # beside letters, digits and -_.~
_PATH_VALID = re.compile(r"[A-Za-z0-9\-._~/$&+,:;=@!'()*\[\]%]*")


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute URL, or an absolute path."""

    cel_type = "kubernetes.URL"

    scheme: str
    host: str
    path: str  # as it was written
    query: str

    @property
    def hostname(self) -> str:
        if self.host.startswith("["):
            return self.host[1:].partition("]")[0]
        return self.host.partition(":")[0]

    @property
    def port(self) -> str:
        rest = self.host.rpartition("]")[2]
        return rest.partition(":")[2]


def url(text: Any) -> Url:
    """The URL. Raises EvaluationError."""
    if type(text) is not str:
        raise signature("url", text)
    try:
        return _parse(text)
    except ValueError as error:
        raise EvaluationError(f'URL parse error during conversion from string: parse "{text}": {error}') from None


def _parse(text: str) -> Url:
    if _CONTROL.search(text):
        raise ValueError("net/url: invalid control character in URL")
    if not text:
        raise ValueError("empty url")
    scheme, rest = _scheme(text)
    if not rest.startswith("/"):
        # Opaque ones such as mailto:x have a scheme; a relative path has none.
        if not scheme:
            raise ValueError("invalid URI for request")
        return Url(scheme, "", "", rest.partition("#")[0].partition("?")[2])
    rest = rest.partition("#")[0]
    rest, _, query = rest.partition("?")
    host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    if _BAD_ESCAPE.search(rest):
        raise ValueError(f'invalid URL escape "{rest[_bad(rest) : _bad(rest) + 3]}"')
    return Url(scheme, host, rest, query)


def _bad(text: str) -> int:
    found = _BAD_ESCAPE.search(text)
    return found.start() if found else 0


def _scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(text)
    if found is not None:
        return found[1].lower(), found[2]
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    first = text.partition("/")[0]
    if ":" in first and not text.startswith("/"):
        raise ValueError("first path segment in URL cannot contain colon")
    return "", text


def _host(authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise ValueError("net/url: invalid userinfo")
    if host.startswith("["):
        closing = host.rfind("]")
        if closing < 0:
            raise ValueError("missing ']' in host")
        if not _PORT.fullmatch(host[closing + 1 :]):
            raise ValueError(f'invalid port "{host[closing + 1 :]}" after host')
    elif ":" in host and not _PORT.fullmatch(host[host.rfind(":") :]):
        raise ValueError(f'invalid port "{host[host.rfind(":") :]}" after host')
    if _BAD_IN_HOST.search(host):
        raise ValueError(f"invalid character {host[_BAD_IN_HOST.search(host).start()]!r} in host name")  # type: ignore[union-attr]  # searched above
    if _BAD_ESCAPE.search(host):
        raise ValueError(f'invalid URL escape "{host[_bad(host) : _bad(host) + 3]}"')
    return unquote_to_bytes(host).decode("utf-8", "replace") if "%" in host else host


def is_url(text: Any) -> bool:
    if type(text) is not str:
        raise signature("isURL", text)
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def escaped_path(value: Url) -> str:
    if _PATH_VALID.fullmatch(value.path):
        return value.path
    plain = unquote_to_bytes(value.path)
    return "*" if plain == b"*" else quote(plain, safe=_PATH_SAFE)


def query(value: Url) -> dict[str, list[str]]:
    """The parameters by name; pairs with a semicolon or a broken escape are left out, as Go does."""
    found: dict[str, list[str]] = {}
    for pair in value.query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, text = pair.partition("=")
        found.setdefault(unquote_plus(name), []).append(unquote_plus(text))
    return found


def _of_url(function: str, read: Callable[[Url], Any]) -> Callable[[Any], Any]:
    def ask(value: Any) -> Any:
        if type(value) is not Url:
            raise signature(function, value)
        return read(value)

    return ask


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "url": url,
    "isURL": is_url,
    "getScheme": _of_url("getScheme", lambda value: value.scheme),
    "getHost": _of_url("getHost", lambda value: value.host),
    "getHostname": _of_url("getHostname", lambda value: value.hostname),
    "getPort": _of_url("getPort", lambda value: value.port),
    "getEscapedPath": _of_url("getEscapedPath", escaped_path),
    "getQuery": _of_url("getQuery", query),
}
