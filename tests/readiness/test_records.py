"""A record of a check holds by itself: what it saw gives what it says, and nothing in it can be changed unnoticed."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import reduce
from typing import Any

import orjson
import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import canonical, evidence, records, snapshot
from dabbawala.readiness.assessment import assess
from dabbawala.readiness.outputs import as_html, as_json
from dabbawala.readiness.signing import Signer, Trust
from tests.readiness.given import LAB, NAMESPACE, NOW, TRUST, ago, chained, signed, spec
from tests.readiness.world import World, ready

OFFICE = Signer.make("office")
KEYS = Trust.of({"lab": LAB.public_pem().decode(), "office": OFFICE.public_pem().decode()})
EVIDENCES = "evidences.readiness.dabbawala.dev"


def record_of(world: World, signer: Signer = OFFICE) -> Object:
    observed = world.observed()
    made = records.made(observed, assess(observed), signer)
    read: Object = orjson.loads(orjson.dumps(made))
    return read


def resealed(record: Object, signer: Signer = OFFICE) -> Object:
    """As somebody would write it who holds a key."""
    body = {name: value for name, value in record.items() if name not in ("hash", "signature")}
    body["hash"] = canonical.digest(body)
    return {**body, "signature": signer.sign(body)}


def problems(record: Object, **more: object) -> list[str]:
    return [str(item) for item in records.problems_of(record, KEYS, NOW, **more)]  # type: ignore[arg-type]


def test_a_record_as_it_was_written_holds() -> None:
    assert problems(record_of(ready())) == []


def test_what_was_exported_and_read_again_is_judged_the_same() -> None:
    observed = ready().observed()
    again = snapshot.from_json(orjson.loads(orjson.dumps(snapshot.to_json(observed))), TRUST)
    assert as_json.render(assess(again)) == as_json.render(assess(observed))


def test_the_same_world_gives_the_same_bytes() -> None:
    for render in (as_json.render, as_html.render):
        assert render(ready().assess()) == render(ready().assess())


def claim(record: Object) -> None:
    record["verdict"] |= {"verdict": "approved", "approval": "approved"}


def relabel(record: Object) -> None:
    record["observed"]["objects"]["nodes"][0]["metadata"]["labels"]["topology.kubernetes.io/region"] = "mumbai"


def drop(record: Object) -> None:
    del record["observed"]["objects"][EVIDENCES][3]


def forge(record: Object) -> None:
    """A better result, hashed as it should be, and without the key of whoever measured."""
    objects = record["observed"]["objects"][EVIDENCES]
    last = objects[-1]
    last["spec"] |= {"statement": "better than it was"}
    last["spec"]["hash"] = evidence.link_hash(NAMESPACE, last["spec"])


def boast(record: Object) -> None:
    record["verdict"]["score"] = "101.0"


@pytest.mark.parametrize("tamper", [boast, relabel, drop, forge])
def test_a_record_that_was_altered_is_refused(tamper: Callable[[Object], None]) -> None:
    record = record_of(ready())
    tamper(record)
    assert problems(record)[0] == "the record: altered: its hash is not that of what it holds"


def test_a_verdict_that_does_not_follow_is_refused_even_when_it_is_signed() -> None:
    world = ready()
    world.forget("disaster_recovery_tested")
    record = record_of(world)
    claim(record)
    assert "the verdict: the record says approved, but it follows rejected" in problems(resealed(record))


def test_missing_evidence_is_named_even_when_the_record_is_signed() -> None:
    record = record_of(ready())
    drop(record)
    assert any(text.startswith("Evidence shop/web-000004: missing") for text in problems(resealed(record)))


def test_forged_evidence_is_named_even_when_the_record_is_signed() -> None:
    world = ready()
    world.records.append(signed(spec("stress_testing_passed")))
    record = record_of(world)
    forge(record)
    found = problems(resealed(record))
    assert (
        f"Evidence shop/web-{len(world.records):06d}: its signature is not that of 'lab' over what it says now: "
        in found[0]
    )


def test_evidence_that_has_expired_since_is_named() -> None:
    record = record_of(ready())
    later = [str(item) for item in records.problems_of(record, KEYS, NOW + timedelta(days=8))]
    assert any("stale: observed at" in text and "container_image_scanned stood on it" in text for text in later)


def test_a_record_signed_by_nobody_who_is_trusted_is_refused() -> None:
    record = record_of(ready(), Signer.make("mallory"))
    assert problems(record) == ["the record: it is signed by 'mallory', which is no trusted key"]
    del record["signature"]
    assert problems(record) == ["the record: it is not signed"]


def test_whoever_does_not_trust_the_lab_gets_another_verdict() -> None:
    only_office = Trust.of({"office": OFFICE.public_pem().decode()})
    found = [str(item) for item in records.problems_of(record_of(ready()), only_office, NOW)]
    assert any("which is no trusted key" in text for text in found)
    assert any(
        text.startswith("disaster_recovery_tested: the record says pass, but what it saw gives unknown")
        for text in found
    )


def test_an_earlier_record_shows_what_is_gone() -> None:
    world = ready()
    earlier = record_of(world)
    world.records.pop()
    later = record_of(world)
    assert any("missing: an earlier export has it" in text for text in problems(later, earlier=earlier))
    assert problems(earlier, earlier=later) == []


def test_an_earlier_record_of_another_service_or_an_altered_one_shows_nothing() -> None:
    record = record_of(ready())
    other = record_of(ready())
    other["observed"]["service"] = "shop"
    assert problems(record, earlier=resealed(other)) == [
        "the earlier record: it is about shop/shop, not about shop/web"
    ]
    shorter = record_of(ready())
    shorter["observed"]["objects"][EVIDENCES].clear()
    assert problems(record, earlier=shorter)[0].startswith("the earlier record: altered")


def test_a_record_of_tomorrow_is_refused_today() -> None:
    found = [str(item) for item in records.problems_of(record_of(ready()), KEYS, NOW - timedelta(days=1))]
    assert found == ["the record: it says that it was made in the future, at 2026-06-01T12:00:00Z"]


def leaves(node: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from leaves(child, (*at, key)) if child and isinstance(child, dict | list) else [(*at, key)]


def test_no_value_of_a_record_can_be_changed_or_taken_away_unnoticed() -> None:
    record = record_of(ready())
    assert problems(record) == []
    places = list(leaves(record))
    assert len(places) > 900
    for *way, last in random.Random(9).sample(places, 60):
        holder = reduce(operator.getitem, way, record)
        kept = holder[last]
        holder[last] = f"{kept}0" if isinstance(kept, str) else "forged"
        assert refused(record), (way, last)
        holder[last] = kept
    assert problems(record) == []


def refused(record: Object) -> bool:
    try:
        return bool(problems(record))
    except records.BadRecord:
        return True


@pytest.mark.parametrize("wrong", [[], {}, {"kind": "ReadinessRecord"}, {"kind": "ReadinessRecord", "observed": 7}])
def test_what_is_no_record_is_said_to_be_none(wrong: object) -> None:
    with pytest.raises(records.BadRecord):
        records.problems_of(wrong, KEYS, NOW)  # type: ignore[arg-type]


def test_no_secret_is_kept() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"tls.crt": "public", "tls.key": "hidden", "p": "hidden"},
    }
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {snapshot.LAST_APPLIED: "hidden"}, "managedFields": [{"a": "hidden"}]},
        "spec": {"containers": [{"name": "c", "env": [{"name": "PASSWORD", "value": "hidden"}]}]},
    }
    deployment = {"kind": "Deployment", "metadata": {}, "spec": {"template": {"spec": pod["spec"]}}}
    kept = orjson.dumps([snapshot.trimmed(obj) for obj in (secret, pod, deployment)]).decode()
    assert "hidden" not in kept
    assert "public" in kept
    assert "PASSWORD" in kept


def test_records_of_one_service_never_mix_with_those_of_another() -> None:
    world = ready()
    observed = world.observed()
    other = chained(signed(spec("load_testing_completed", service="other")))
    observed.objects[EVIDENCES].extend(other)  # type: ignore[attr-defined]
    assert observed.chain.problems == ()
    assert ago(hours=1) in [record.spec["observedAt"] for record in observed.chain.records]
