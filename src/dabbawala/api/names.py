"""What names, labels, keys and ports may look like, with the words Kubernetes uses to say so.

Every function returns what is wrong, one message each; empty means fine.
Source: apimachinery/pkg/util/validation.
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_COMPILED = {
    pattern: re.compile(pattern)
    for pattern in (_LABEL, _SUBDOMAIN, _WILDCARD, _LABEL_1035, _QUALIFIED, _LABEL_VALUE, _CONFIG_KEY)
}
_QUALIFIED_MESSAGE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
MAX_LABEL = 63
MAX_SUBDOMAIN = 253


def _explained(message: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _matching(value: str, pattern: str, limit: int, explanation: str) -> list[str]:
    wrong = [too_long(limit)] if len(value.encode()) > limit else []
    if not _COMPILED[pattern].fullmatch(value):
        wrong.append(explanation)
    return wrong


_NOT_A_LABEL = _explained(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL, "my-name", "123-abc",
)  # fmt: skip
_NOT_A_SUBDOMAIN = _explained(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN, "example.com",
)  # fmt: skip
_NOT_A_WILDCARD = _explained(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD, "*.example.com",
)  # fmt: skip
_NOT_A_1035_LABEL = _explained(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    _LABEL_1035, "my-name", "abc-123",
)  # fmt: skip
_NOT_QUALIFIED = _explained(_QUALIFIED_MESSAGE, _QUALIFIED, "MyName", "my.name", "123-abc")
_NOT_A_LABEL_VALUE = _explained(
    f"a valid label must be an empty string or {_QUALIFIED_MESSAGE[5:]}", _LABEL_VALUE, "MyValue", "my_value", "12345"
)
_NOT_A_CONFIG_KEY = _explained(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY, "key.name", "KEY_NAME", "key-name",
)  # fmt: skip


def dns_label(value: str) -> list[str]:
    """RFC 1123 label, at most 63 bytes."""
    return _matching(value, _LABEL, MAX_LABEL, _NOT_A_LABEL)


def dns_subdomain(value: str) -> list[str]:
    """RFC 1123 subdomain, at most 253 bytes: what most objects are named by."""
    return _matching(value, _SUBDOMAIN, MAX_SUBDOMAIN, _NOT_A_SUBDOMAIN)


def wildcard_subdomain(value: str) -> list[str]:
    """`*.` and an RFC 1123 subdomain: a host that stands for many."""
    return _matching(value, _WILDCARD, MAX_SUBDOMAIN, _NOT_A_WILDCARD)


def dns_1035_label(value: str) -> list[str]:
    """RFC 1035 label: what Services are named by."""
    return _matching(value, _LABEL_1035, MAX_LABEL, _NOT_A_1035_LABEL)


def path_segment(value: str) -> list[str]:
    """Anything that fits between two slashes: what RBAC objects are named by."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{mark}'" for mark in ("/", "%") if mark in value]


def qualified_name(value: str) -> list[str]:
    """`name` or `prefix/name`: label keys, annotation keys, finalizers, resource names."""
    prefix, slash, name = value.rpartition("/")
    wrong: list[str] = []
    if "/" in prefix:
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a qualified name {_NOT_QUALIFIED} {optional}"]
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif slash:
        wrong += [f"prefix part {message}" for message in dns_subdomain(prefix)]
    if not name:
        wrong.append("name part must be non-empty")
    elif len(name.encode()) > MAX_LABEL:
        wrong.append(f"name part {too_long(MAX_LABEL)}")
    if not _COMPILED[_QUALIFIED].fullmatch(name):
        wrong.append(f"name part {_NOT_QUALIFIED}")
    return wrong


def label_value(value: str) -> list[str]:
    return _matching(value, _LABEL_VALUE, MAX_LABEL, _NOT_A_LABEL_VALUE)


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret, which becomes a file name."""
    wrong = _matching(value, _CONFIG_KEY, MAX_SUBDOMAIN, _NOT_A_CONFIG_KEY)
    if value in (".", ".."):
        wrong.append(f"must not be '{value}'")
    elif value.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def env_var_name(value: str) -> list[str]:
    wrong = [] if value else ["must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in value):
        wrong.append("a valid environment variable name must consist only of printable ASCII characters other than '='")
    return wrong


def port_name(value: str) -> list[str]:
    """An IANA service name, at most 15 bytes: what container ports are named by."""
    wrong = [too_long(15)] if len(value) > 15 else []
    if not re.fullmatch(r"[-a-z0-9]+", value):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in value:
        wrong.append("must not contain consecutive hyphens")
    if value[:1] == "-" or value[-1:] == "-":
        wrong.append("must not begin or end with a hyphen")
    return wrong


def port_number(value: object) -> list[str]:
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
    return [] if good else ["must be between 1 and 65535, inclusive"]


def ip_address(value: str) -> list[str]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []
