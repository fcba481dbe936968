"""Which policy a namespace asks for: a level and a version for each of enforce, audit and warn, from its labels.

A wrong label never opens a namespace: an unreadable level to enforce counts as `restricted`, an unreadable version as
`latest`. Auditing and warning refuse nothing, so there an unreadable level means none.
Source: k8s.io/pod-security-admission/api (helpers.go, constants.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dabbawala.apimachinery import status
from dabbawala.apimachinery.status import FieldError

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
"""From the least strict to the strictest."""
ENFORCE, AUDIT, WARN = "enforce", "audit", "warn"
MODES = (ENFORCE, AUDIT, WARN)

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,8})")
_LATEST_MINOR = 1 << 31


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version of the policy, v1.`minor`; `LATEST` is newer than each of them."""

    minor: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Raises ValueError with the words of the API."""
        if text == "latest":
            return LATEST
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ValueError('must be "latest" or "v1.x"')
        return cls(int(found[1]))

    def __str__(self) -> str:
        return "latest" if self == LATEST else f"v1.{self.minor}"


LATEST = Version(_LATEST_MINOR)


@dataclass(frozen=True, slots=True)
class LevelVersion:
    """What is asked of a pod, e.g. `restricted:v1.37`."""

    level: str
    version: Version

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    def means(self, other: LevelVersion) -> bool:
        """Whether both ask for the same: `privileged` asks for nothing, whatever its version."""
        return self == other or self.level == other.level == PRIVILEGED


_NOTHING = LevelVersion(PRIVILEGED, LATEST)


@dataclass(frozen=True, slots=True)
class Policy:
    enforce: LevelVersion = _NOTHING
    audit: LevelVersion = _NOTHING
    warn: LevelVersion = _NOTHING

    @property
    def asks_nothing(self) -> bool:
        return self.enforce.level == self.audit.level == self.warn.level == PRIVILEGED

    def means(self, other: Policy) -> bool:
        return self.enforce.means(other.enforce) and self.audit.means(other.audit) and self.warn.means(other.warn)


UNRESTRICTED = Policy()


def parse_level(text: str) -> str:
    """Raises ValueError with the words of the API."""
    if text not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return text


def stricter(level: str, other: str) -> bool:
    return LEVELS.index(level) > LEVELS.index(other)


def policy_of(labels: Mapping[str, str], defaults: Policy = UNRESTRICTED) -> tuple[Policy, list[FieldError]]:
    """What a namespace with these labels asks for, always something usable, and what is wrong with the labels.

    Who enforces a level and says nothing of warnings is warned by it too, so that the author of a Deployment learns
    what its pods would be refused for.
    """
    if not any(label.startswith(PREFIX) for label in labels):
        return defaults, []
    reader = _Reader(labels)
    enforce = reader.read(ENFORCE, defaults.enforce, unreadable=RESTRICTED)
    enforced = PREFIX + ENFORCE in labels and not reader.errors_of(ENFORCE)
    audit = reader.read(AUDIT, defaults.audit, unreadable=PRIVILEGED)
    warn = reader.read(WARN, defaults.warn, unreadable=PRIVILEGED)
    if PREFIX + WARN not in labels and enforced and stricter(enforce.level, warn.level):
        named = f"{PREFIX}{WARN}-version" in labels
        warn = LevelVersion(enforce.level, warn.version if named else enforce.version)
    return Policy(enforce, audit, warn), reader.errors


class _Reader:
    """Reads label after label, and notes what is wrong in that order."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self.errors: list[FieldError] = []

    def errors_of(self, mode: str) -> bool:
        """Whether the level of that mode could not be read."""
        return any(error.field == _field(PREFIX + mode) for error in self.errors)

    def read(self, mode: str, default: LevelVersion, *, unreadable: str) -> LevelVersion:
        level, version = default.level, default.version
        name = PREFIX + mode
        if name in self._labels:
            try:
                level = parse_level(self._labels[name])
            except ValueError as error:
                level = unreadable
                self._note(name, error)
        name += "-version"
        if name in self._labels:
            try:
                version = Version.parse(self._labels[name])
            except ValueError as error:
                version = LATEST
                self._note(name, error)
        return LevelVersion(level, version)

    def _note(self, label: str, error: ValueError) -> None:
        self.errors.append(status.invalid(_field(label), self._labels[label], str(error)))


def _field(label: str) -> str:
    return f"metadata.labels[{label}]"
