"""What is known of an image: values that every reader makes, whatever wrote the file.

A record that cannot be believed is an `Unreadable` with its reason. It is never nothing: who does not hear of a scan
that failed takes the image for clean. Fields that a source does not tell are None, which is not the same as empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
"""From the worst on; what nobody rated is `unknown`."""
DESCRIPTION_MAX = 200
"""Characters of a description that are kept."""
UNTOLD = "a version that the registry does not name"
"""The fix, where a source does not say whether there is one: taken for one, as what has no fix has no deadline."""
_RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))  # CVSS v3.1, section 5


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One CVE in one package. `fixed` is the version to go to, empty where there is none; `score` is NVD's, by CVSS v3;
    `exploited` and `epss` (a probability for the next 30 days) are None where the report does not tell."""

    id: str
    severity: str
    package: str
    installed: str
    fixed: str = ""
    published: datetime | None = None
    score: float | None = None
    exploited: bool | None = None
    epss: float | None = None
    description: str = ""

    def sort_key(self) -> tuple[object, ...]:
        return SEVERITIES.index(self.severity), self.id, self.package, self.installed


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret in a layer: which rule saw it and in which file, never what it is."""

    rule: str
    severity: str
    title: str
    file: str


@dataclass(frozen=True, slots=True)
class Misconfiguration:
    id: str
    severity: str
    title: str
    resolution: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """What the image is built on. `ended` is what the scanner says of its support, None where it does not."""

    family: str
    version: str
    ended: bool | None = None

    def __str__(self) -> str:
        return f"{self.family} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Config:
    """How the image starts, of its configuration (OCI image-spec, config.md)."""

    user: str = ""
    ports: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: bool = False

    @property
    def root(self) -> bool:
        return self.user.partition(":")[0] in ("", "0", "root")


@dataclass(frozen=True, slots=True)
class Scan:
    """A report that can be believed. What was not looked for is None: vulnerabilities, leaks, configuration."""

    source: str
    image: str
    digests: frozenset[str]
    scanner: str
    version: str
    at: datetime
    vulnerabilities: tuple[Vulnerability, ...] | None
    leaks: tuple[Leak, ...] | None = None
    misconfigurations: tuple[Misconfiguration, ...] | None = None
    distribution: Distribution | None = None
    config: Config | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sbom:
    """A list of what is in an image: how many components, and of which bytes."""

    source: str
    image: str
    digests: frozenset[str]
    form: str
    at: datetime
    components: int


@dataclass(frozen=True, slots=True)
class Attested:
    """What `cosign` wrote after it had verified: a signature, or a provenance, of a digest."""

    source: str
    image: str
    digest: str
    provenance: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that tells nothing, and why; of which image, as far as it says so."""

    source: str
    reason: str
    image: str = ""
    digests: frozenset[str] = frozenset()


Record = Scan | Sbom | Attested | Unreadable


class Malformed(Exception):
    """A report that does not have the shape that its format has; the message is a sentence."""


def rated(text: object, score: float | None) -> str:
    """A severity in our words. What is not rated is rated by its score."""
    word = str(text or "").strip().lower()
    if word in SEVERITIES[:-1]:
        return word
    if word in ("negligible", "info", "informational"):
        return "low"
    if word in ("important", "moderate"):
        return "high" if word == "important" else "medium"
    return next((name for least, name in _RATINGS if score is not None and score >= least), "unknown")


def shortened(text: object) -> str:
    """A description in one line, cut."""
    return " ".join(str(text or "").split())[:DESCRIPTION_MAX]
