"""Appending evidence to a service's chain: a person's word, or what was measured and signed elsewhere.

Two who append at once would both take the next number; the server lets one of them, and the other looks again.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from dabbawala.api import readiness_v1alpha1
from dabbawala.api.kind import schema_of
from dabbawala.apimachinery import clock, structural, structural_values
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import AlreadyExists
from dabbawala.client.client import Client
from dabbawala.readiness import canonical, catalogue, chain, evidence, reading
from dabbawala.readiness.checklist import OWN
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.judgement import Item
from dabbawala.readiness.signing import Signer, Trust

ATTEMPTS_MAX = 10
"""How often somebody else may be quicker."""

BYTES_MAX = 1024 * 1024
TOOL = "dabba readiness attest"


class Refused(Exception):
    """This evidence would not count; the message says why."""


def item_of(name: str) -> Item:
    """One of the 42, or of the points of the go-live list that stand for themselves. Raises Refused."""
    found = catalogue.by_id().get(name) or OWN.get(name)
    if found is None:
        raise Refused(f"there is no item {name!r}; `dabba readiness check` and `checklist` name them")
    return found


def attestation(service: str, item: str, now: datetime, **said: Any) -> Object:
    """The word of `owner` until `expires`, backed by the file `backing`. Raises Refused."""
    about = item_of(item)
    if readiness_v1alpha1.ATTESTATION not in about.accepts:
        raise Refused(f"nobody's word is enough for {item}: it takes {about.proof}")
    expires = _end(str(said["expires"]))
    if expires <= now:
        raise Refused(f"it would already have expired at {clock.format_time(expires)}")
    backing: Path = said["backing"]
    spec: Object = {
        "service": service,
        "item": item,
        "type": readiness_v1alpha1.ATTESTATION,
        "result": "pass",
        "observedAt": clock.format_time(now),
        "expires": clock.format_time(expires),
        "source": {"tool": TOOL},
        "owner": said["owner"],
        "details": {"document": backing.name},
        "documentHash": canonical.digest_of_bytes(backing.read_bytes()),
    }
    return spec | ({"statement": said["statement"]} if said.get("statement") else {})


def _end(text: str) -> datetime:
    """A date means its end in UTC. Raises Refused."""
    try:
        if "T" in text:
            return clock.parse_time(text)
        return clock.parse_time(f"{text}T00:00:00Z") + timedelta(days=1)
    except ValueError as error:
        raise Refused(f"--expires {text!r}: write a date such as 2026-12-31, or RFC 3339") from error


def read(path: Path) -> list[Object]:
    """The specs of a file with Evidence, as objects or bare. Raises Refused."""
    data = path.read_bytes()
    if len(data) > BYTES_MAX:
        raise Refused(f"{path} is larger than {BYTES_MAX} bytes")
    try:
        # All that is signed is text. A date must stay the text that was signed, and an alias can grow without bound.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(data)):
            raise Refused(f"{path} has YAML aliases; write evidence out")
        documents = [item for item in yaml.load_all(data, yaml.BaseLoader) if item]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{path} is no YAML: {error}") from error
    found = []
    for item in documents:
        spec = item.get("spec", item) if isinstance(item, dict) else None
        if not isinstance(spec, dict):
            raise Refused(f"{path} holds something that is no Evidence")
        found.append(spec)
    return found


def signed(spec: Object, namespace: str, signer: Signer) -> Object:
    kept = {name: spec[name] for name in evidence.CONTENT if name in spec}
    return {**kept, "signature": signer.sign(evidence.content(namespace, kept))}


def refusals(spec: Object, namespace: str, trust: Trust, now: datetime) -> list[str]:
    """Why this would not be taken, as sentences; empty when it would."""
    about = f"evidence of {spec.get('item')} for {spec.get('service')}"
    if spec.get("type") != readiness_v1alpha1.IMPORTED:
        return [f"{about}: its type is {spec.get('type')!r}, and what comes from outside is of type imported"]
    try:
        item = item_of(str(spec.get("item", "")))
    except Refused as error:
        return [str(error)]
    made = evidence.appended({"metadata": {"namespace": namespace}, "spec": spec}, None)
    wrong = _wrong_form(made)
    if wrong:
        return [f"{about}: {text}" for text in wrong]
    against = chain.objection(Evidence.of(made), trust, now, timedelta(days=item.days))
    return [f"{about}: {against}"] if against else []


def _wrong_form(made: Object) -> list[str]:
    """What the server would refuse, or drop: a record that lost a field would no longer have its hash."""
    kind = readiness_v1alpha1.EVIDENCE
    node = schema_of(kind)
    assert node is not None, "the kind declares its schema"
    private = copy.deepcopy(made)
    found = structural.conform(private, node)
    errors = [mismatch.field_error() for mismatch in found.mismatches]
    errors += [] if errors else [*structural_values.validate(private, node), *kind.validate(private, None)]
    return [f"unknown field {name}" for name in found.unknown] + [f"{error.field}: {error.message}" for error in errors]


async def append(client: Client, namespace: str, spec: Object) -> Object:
    """The record as it was stored, last in its service's chain. Raises Refused and StatusError."""
    for _ in range(ATTEMPTS_MAX):
        known = await reading.chain_of(client, str(spec["service"]), namespace)
        if known.problems:
            raise Refused(f"the chain of evidence is not whole, and nothing is appended to it: {known.problems[0]}")
        made = evidence.appended({"metadata": {"namespace": namespace}, "spec": spec}, known.last)
        try:
            return await client.create(readiness_v1alpha1.EVIDENCE, made, namespace)
        except AlreadyExists:
            continue
    raise Refused(f"{ATTEMPTS_MAX} times somebody else was quicker; try again")
