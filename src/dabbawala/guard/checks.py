"""Checks: what guard looks for, one file each.

A check of one object is a ValidatingAdmissionPolicy that any Kubernetes from 1.30 on takes as it is; its annotations
say what it is about. A check that needs more than an admission request has (other objects, the files themselves) is a
`Check` of our own with the same fields, so that nobody tries to enforce it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object

if TYPE_CHECKING:
    from dabbawala.guard.fix.recipe import Fix

PREFIX = "guard.dabbawala.dev/"
FOLDER = Path(__file__).parent / "policies"
SEVERITIES = ("critical", "high", "medium", "low", "info")
STRENGTHS = ("direct", "partial", "supporting")
POLICY_KIND = "ValidatingAdmissionPolicy"
OWN_KIND = "Check"
PARAMETERS = "parameters"
NEVER = "never"
"""The annotation `exceptions` of a check whose findings nobody may accept."""

_CONTROL = re.compile(r"(?P<framework>[\w.-]+)/(?P<clause>\S+) (?P<strength>\w+): (?P<reason>.+)")


class BadCheck(Exception):
    """A check's file does not say what a check must say; the message names file, field and remedy."""


@dataclass(frozen=True, slots=True)
class Control:
    """A requirement of a framework that a check supports. `strength` is direct, partial or supporting: never proof of
    compliance, always one piece of evidence, whose `reason` says how far it goes."""

    framework: str
    clause: str
    strength: str
    reason: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The same check in another tool: `checkov/CKV_K8S_16`."""

    tool: str
    id: str


@dataclass(frozen=True)
class Check:
    """One check. `document` is the policy as it stands in its file."""

    id: str
    title: str
    severity: str
    rationale: str
    remedy: str
    controls: tuple[Control, ...]
    anchors: tuple[Anchor, ...]
    area: str
    document: Object

    @property
    def native(self) -> bool:
        """Whether a Kubernetes API server can enforce it."""
        return bool(self.document["kind"] == POLICY_KIND)

    @property
    def exceptable(self) -> bool:
        """Whether a dated exception may accept its findings."""
        return meta.annotations(self.document).get(PREFIX + "exceptions") != NEVER

    @property
    def name(self) -> str:
        return meta.name(self.document)

    @cached_property
    def spec(self) -> Object:
        spec: Object = self.document["spec"]
        return spec

    @cached_property
    def fix(self) -> Fix:
        """How an object that fails is repaired; no steps where a person must decide. Raises BadCheck."""
        from dabbawala.guard.fix import recipe  # a scan, which starts often, repairs nothing

        said = meta.annotations(self.document)
        text, risk, by_hand = (said.get(f"{PREFIX}{key}", "") for key in ("fix", "fix-risk", "fix-by-hand"))
        try:
            return recipe.parse(text, risk=risk, by_hand=by_hand)
        except recipe.BadFix as wrong:
            raise BadCheck(f"{self.id}: {PREFIX}fix: {wrong}") from wrong


def parameter_free(document: Object) -> Object:
    """A policy as it works without parameters: what a server that gives it none would evaluate, and the only form in
    which policies may stand in static manifests. Every policy reads its parameters in one variable, PARAMETERS."""
    spec = {name: value for name, value in document["spec"].items() if name != "paramKind"}
    if len(spec) == len(document["spec"]):
        return document
    spec["variables"] = [
        {**item, "expression": "{}"} if item["name"] == PARAMETERS else item for item in spec["variables"]
    ]
    return {**document, "spec": spec}


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Check]:
    """All checks that come with the product, by id, in the order of ids."""
    found = {check.id: check for path in sorted(FOLDER.glob("*/*.yaml")) for check in read(path)}
    return dict(sorted(found.items(), key=lambda item: order(item[0])))


@lru_cache(maxsize=4096)
def order(check_id: str) -> tuple[str, int, str]:
    """Sorts WL-2 before WL-10."""
    area, _, rest = check_id.partition("-")
    digits = re.match(r"\d*", rest)
    number = digits.group() if digits else ""
    return area, int(number or 0), rest


def read(path: Path) -> Iterator[Check]:
    """The checks of one file. Raises BadCheck."""
    try:
        documents = list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))
    except (OSError, yaml.YAMLError) as wrong:
        raise BadCheck(f"{path}: {wrong}") from wrong
    for document in documents:
        if document is not None:
            yield of(document, area=path.parent.name, where=str(path))


def of(document: Object, *, area: str, where: str) -> Check:
    """The check that a policy document describes. Raises BadCheck."""
    if not isinstance(document, dict) or document.get("kind") not in (POLICY_KIND, OWN_KIND):
        raise BadCheck(f"{where}: a check is a {POLICY_KIND} or a {OWN_KIND}; kind says something else")
    said = {key.removeprefix(PREFIX): value for key, value in meta.annotations(document).items()}
    missing = [field for field in ("id", "title", "severity", "remedy") if not said.get(field)]
    if missing:
        raise BadCheck(f"{where}: metadata.annotations lack {', '.join(PREFIX + field for field in missing)}")
    if said["severity"] not in SEVERITIES:
        raise BadCheck(f"{where}: {PREFIX}severity is {said['severity']!r}; use one of {', '.join(SEVERITIES)}")
    return Check(
        id=said["id"],
        title=said["title"],
        severity=said["severity"],
        rationale=said.get("rationale", ""),
        remedy=said["remedy"],
        controls=tuple(_controls(said.get("controls", ""), where)),
        anchors=tuple(Anchor(*item.split("/", 1)) for item in said.get("anchors", "").split()),
        area=area,
        document=document,
    )


def _controls(text: str, where: str) -> Iterator[Control]:
    for line in text.splitlines():
        if not line.strip():
            continue
        found = _CONTROL.fullmatch(line.strip())
        if found is None or found["strength"] not in STRENGTHS:
            raise BadCheck(
                f"{where}: {PREFIX}controls has {line.strip()!r}; write `framework/clause strength: reason`, "
                f"with one of the strengths {', '.join(STRENGTHS)}"
            )
        yield Control(**found.groupdict())
