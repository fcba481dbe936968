"""A chain of evidence says which record is forged, altered, moved, missing or stale, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dabbawala.api.readiness_v1alpha1 import EVIDENCE
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import chain, evidence
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.signing import BadKey, Signer, Trust
from tests.readiness.given import (
    LAB,
    NAMESPACE,
    NOW,
    SERVICE,
    TRUST,
    ago,
    attested,
    chained,
    changed,
    rehashed,
    signed,
    spec,
)

ITEMS = ("load_testing_completed", "stress_testing_passed", "data_integrity_verified", "rto_rpo_validated")


def four() -> list[Object]:
    return chained(*(signed(spec(item)) for item in ITEMS))


def problems(objects: list[Object]) -> list[str]:
    return [str(problem) for problem in chain.of(map(Evidence.of, objects), SERVICE, NAMESPACE).problems]


def test_a_chain_as_it_was_written_is_whole_in_whatever_order_it_is_read() -> None:
    made = four()
    assert problems(made) == problems(made[::-1]) == []
    assert [obj["metadata"]["name"] for obj in made] == [f"web-00000{number}" for number in (1, 2, 3, 4)]


def test_an_altered_record_is_named() -> None:
    made = four()
    made[1] = changed(made[1], result="fail")
    assert problems(made) == ["Evidence shop/web-000002: altered: its hash is not that of what it says"]


def test_an_altered_record_with_a_new_hash_breaks_the_next_one() -> None:
    made = four()
    made[1] = rehashed(changed(made[1], result="fail"))
    assert problems(made) == [
        "Evidence shop/web-000003: does not follow web-000002: one of the two was replaced or reordered"
    ]


def test_a_missing_record_is_named() -> None:
    made = four()
    del made[1]
    assert problems(made)[0].startswith("Evidence shop/web-000002: missing: the next in the chain is web-000003")


def test_a_missing_first_record_is_named() -> None:
    assert problems(four()[1:])[0].startswith("Evidence shop/web-000001: missing")


def test_reordered_records_are_named() -> None:
    made = four()
    swapped = [changed(made[1], sequence=3), changed(made[2], sequence=2)]
    found = problems([made[0], *swapped, made[3]])
    assert any("web-000003: stands under a wrong name" in text for text in found)
    assert any("altered" in text for text in found)


def test_a_record_of_another_namespace_or_service_cannot_be_moved_here() -> None:
    made = chained(signed(spec(ITEMS[0]), namespace="other"))
    record = Evidence.of(made[0])
    assert problems(made) == []
    assert "forged or was altered" in chain.objection(record, TRUST, NOW)


def test_the_loss_of_the_end_shows_against_an_earlier_look() -> None:
    made = four()
    earlier = chain.of(map(Evidence.of, made), SERVICE, NAMESPACE)
    later = chain.of(map(Evidence.of, made[:-1]), SERVICE, NAMESPACE)
    assert later.problems == ()
    assert [str(item) for item in chain.lost(earlier, later)] == [
        "Evidence shop/web-000004: missing: an earlier export has it"
    ]
    assert chain.lost(later, earlier) == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (signed(spec(ITEMS[0])), ""),
        (spec(ITEMS[0]), "it is not signed"),
        (attested(ITEMS[0]), ""),
        (signed(spec(ITEMS[0]), Signer.make("mallory")), "it is signed by 'mallory', which is no trusted key"),
        (signed(spec(ITEMS[0]), Signer.make("lab")), "forged or was altered"),
        (signed(spec(ITEMS[0])) | {"result": "warn"}, "forged or was altered"),
        (signed(attested(ITEMS[0]), Signer.make("lab")), "forged or was altered"),
        (signed(spec(ITEMS[0], observedAt=ago(days=40), expires=ago(hours=1))), "stale: it expired at"),
        (signed(spec(ITEMS[0], observedAt=ago(days=91))), "and it counts for 90 days"),
        (signed(spec(ITEMS[0], observedAt=ago(days=-1))), "observed in the future"),
    ],
)
def test_whether_one_record_counts(said: Object, reason: str) -> None:
    found = chain.objection(Evidence.of(chained(said)[0]), TRUST, NOW, timedelta(days=90))
    assert reason in found
    assert bool(reason) == bool(found)


def test_a_signature_that_is_no_base64_is_refused_and_breaks_nothing() -> None:
    said = spec(ITEMS[0]) | {"signature": {"key": "lab", "value": "§§"}}
    assert "forged" in chain.objection(Evidence.of(chained(said)[0]), TRUST, NOW)


def test_only_public_keys_of_the_right_kind_are_trusted() -> None:
    with pytest.raises(BadKey):
        Trust.of({"lab": "no key"})
    with pytest.raises(BadKey):
        Trust.of({"lab": LAB.private_pem().decode()})


def wrong(obj: Object, old: Object | None = None) -> set[str]:
    return {error.field for error in EVIDENCE.validate(obj, old)}


def test_a_record_that_we_make_is_valid_and_may_never_change() -> None:
    made = four()
    assert [wrong(obj) for obj in made] == [set()] * 4
    assert wrong(changed(made[0], result="fail"), made[0]) == {"spec"}
    assert wrong({**made[0], "metadata": {**made[0]["metadata"], "labels": {"a": "b"}}}, made[0]) == set()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sequence": 2}, "metadata.name"),
        ({"previous": "sha256:" + "0" * 64}, "spec.previous"),
        ({"type": "attestation"}, "spec.owner"),
        ({"signature": None}, "spec.signature"),
        ({"observedAt": "yesterday, about noon"}, "spec.observedAt"),
        ({"expires": ago(days=9)}, "spec.expires"),
    ],
)
def test_the_api_refuses_a_record_without_the_form(fields: dict[str, Any], field: str) -> None:
    assert field in wrong(changed(four()[0], **fields))


def test_numbers_of_a_record_are_text_that_can_be_read() -> None:
    record = Evidence.of(chained(signed(spec(ITEMS[0], details={"p95": "120.5", "who": "me"})))[0])
    assert (record.number("p95"), record.number("who"), record.number("gone")) == (120.5, None, None)


def test_the_hash_is_of_the_value_and_not_of_its_spelling() -> None:
    made = four()[0]["spec"]
    turned = dict(reversed(list(made.items())))
    assert evidence.link_hash(NAMESPACE, turned) == made["hash"]
