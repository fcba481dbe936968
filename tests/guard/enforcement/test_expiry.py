"""An exception means the same in a scan and at admission, at every instant: also after it has ended, although nobody
has touched the policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import clock, status
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import documents, exceptions, requests
from dabbawala.guard.checks import Check
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.enforcement import bundle
from dabbawala.guard.enforcement.bundle import Terms
from dabbawala.guard.engine import Engine
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Place, Status
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request
from tests.guard.enforcement.worlds import Guarded, container, deployment, guarded, kind_of, pod, some

END = datetime(2026, 3, 1, tzinfo=UTC)
PRIVILEGED = container(securityContext={"privileged": True})
CHECKS = ("WL-01", "WL-02", "WL-27")


def excepting(*checks: str, name: str = "legacy", expires: str = "2026-02-28", **match: Any) -> PolicyException:
    spec = {
        "checks": list(checks),
        "match": match or {"namespaces": ["shop"]},
        "reason": "moves soon",
        "owner": "shop@example.com",
        "ticket": "SHOP-1",
        "expires": expires,
    }
    obj = {"apiVersion": "guard.dabbawala.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": name}}
    assert not exceptions.wrong_with({**obj, "spec": spec})
    return exceptions.of({**obj, "spec": spec})


@pytest.fixture
async def world() -> AsyncIterator[Guarded]:
    async with guarded("shop") as made:
        yield made


async def test_an_exception_ends_by_itself_for_what_is_created(world: Guarded) -> None:
    await world.enforce(some("WL-01"), terms=Terms((excepting("WL-01"),)))
    world.at(END - timedelta(seconds=1))
    assert not await world.refusal(pod(containers=[PRIVILEGED]))
    world.at(END)
    assert "is privileged" in await world.refusal(pod(containers=[PRIVILEGED]))


async def stored_before(world: Guarded) -> Object:
    """A Deployment that an exception lets in."""
    await world.enforce(some("WL-01"), terms=Terms((excepting("WL-01"),)))
    await world.create(deployment(containers=[PRIVILEGED]))
    return await world.current(deployment())


def newer(obj: Object, *containers: Object, **metadata: Any) -> Object:
    spec = {**obj["spec"]["template"]["spec"], "containers": list(containers)}
    template = {**obj["spec"]["template"], "spec": spec}
    return {**obj, "metadata": {**obj["metadata"], **metadata}, "spec": {**obj["spec"], "template": template}}


NEXT = {**PRIVILEGED, "image": "registry.example.com/web:2"}


async def test_an_exception_ends_by_itself_for_what_is_updated(world: Guarded) -> None:
    stored = await stored_before(world)
    world.at(END - timedelta(seconds=1))
    assert not await world.update_refusal(newer(stored, NEXT))
    world.at(END)
    assert "is privileged" in await world.update_refusal(newer(stored, NEXT))
    assert not await world.update_refusal({**stored, "metadata": {**stored["metadata"], "labels": {"still": "here"}}})


async def test_server_side_apply_has_the_same_clock(world: Guarded) -> None:
    await stored_before(world)
    applied = deployment(containers=[NEXT])
    del applied["metadata"]["labels"]
    client = world.client.writing_as("pipeline")
    world.at(END - timedelta(seconds=1))
    await client.apply(kind_of(applied), applied, dry_run=True)
    world.at(END)
    with pytest.raises(status.Invalid, match="is privileged"):
        await client.apply(kind_of(applied), applied)


@pytest.mark.parametrize("managed", [[], [{}], "old"])
async def test_nobody_makes_an_update_look_earlier_than_it_is(world: Guarded, managed: Any) -> None:
    stored = await stored_before(world)
    world.at(END)
    if managed == "old":
        managed = [{**entry, "time": "2020-01-01T00:00:00Z"} for entry in stored["metadata"]["managedFields"]]
    forged = newer(stored, NEXT, managedFields=managed, creationTimestamp="2020-01-01T00:00:00Z")
    assert "is privileged" in await world.update_refusal(forged)


async def test_more_exceptions_than_conditions_are_all_kept(world: Guarded) -> None:
    many = [excepting("WL-01", name=f"e-{number}", names=[f"pod-{number}"]) for number in range(100)]
    await world.enforce(some("WL-01"), terms=Terms(tuple(many)))
    assert not await world.refusal(pod("pod-99", containers=[PRIVILEGED]))
    assert not await world.refusal(pod("pod-0", containers=[PRIVILEGED]))
    assert await world.refusal(pod("pod-100", containers=[PRIVILEGED]))


async def test_a_check_that_may_never_be_excepted_is_not(world: Guarded) -> None:
    (check,) = some("SEC-14")
    wrong = excepting("WL-01")
    forced = PolicyException(
        **{name: getattr(wrong, name) for name in wrong.__slots__} | {"checks": frozenset({check.id})}
    )
    assert Terms((forced,)).excepted(check) == []


# The law ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["shop", "bank", "shop-eu", "web", "web-1", "batch"])
PATTERNS = WORDS | WORDS.map(lambda word: f"{word}*")
LABELS = st.dictionaries(st.sampled_from(["tier", "example.com/zone"]), st.sampled_from(["", "a", "b"]), max_size=2)
MOMENTS = st.integers(-2, 2).map(lambda seconds: END + timedelta(seconds=seconds))
TERMS = st.one_of(
    st.builds(lambda key, values: {"key": key, "operator": "In", "values": values},
              st.sampled_from(["tier", "example.com/zone"]), st.lists(st.sampled_from(["", "a"]), min_size=1)),
    st.builds(lambda key, values: {"key": key, "operator": "NotIn", "values": values},
              st.sampled_from(["tier", "example.com/zone"]), st.lists(st.sampled_from(["", "a"]), min_size=1)),
    st.builds(lambda key, op: {"key": key, "operator": op},
              st.sampled_from(["tier", "example.com/zone"]), st.sampled_from(["Exists", "DoesNotExist"])),
)  # fmt: skip
SELECTORS = st.fixed_dictionaries({}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(TERMS, max_size=2)})
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "kinds": st.lists(st.sampled_from(["Pod", "Deployment"]), min_size=1, max_size=2),
        "namespaces": st.lists(PATTERNS, min_size=1, max_size=2),
        "names": st.lists(PATTERNS, min_size=1, max_size=2),
        "selector": SELECTORS.filter(bool),
    },
).filter(lambda match: any(match.values()))
ENDS = st.sampled_from(["2026-02-28", clock.format_time(END), "2026-03-01T05:30:01+05:30"])
EXCEPTIONS = st.lists(
    st.builds(
        lambda checks, match, expires: excepting(*checks, expires=expires, **match),
        st.lists(st.sampled_from(CHECKS), min_size=1, unique=True),
        MATCHES,
        ENDS,
    ),
    max_size=3,
)
CONTAINERS = st.sampled_from([container(), PRIVILEGED, container(securityContext={"readOnlyRootFilesystem": True})])
PODS = st.builds(
    lambda name, home, labels, one, host: pod(name, home, labels=labels.items(), containers=[one], hostPID=host),
    WORDS, st.sampled_from(["shop", "bank", "shop-eu"]), LABELS, CONTAINERS, st.booleans(),
)  # fmt: skip


def scanned(obj: Object, asked: list[Check], given: list[PolicyException], now: datetime) -> dict[str, Status]:
    """What a scan says of an object by check."""
    (document,) = documents.read("pod.yaml", orjson.dumps(obj)).documents
    prepared = Preparation().prepare(document)
    assert prepared.object is not None
    judgement = Engine(asked, given, now=now).judge(
        requests.creating(prepared.object, prepared.resource), None, lambda field: Place(field=field)
    )
    return {finding.check.id: finding.status for finding in judgement.findings}


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(EXCEPTIONS, st.lists(st.tuples(PODS, MOMENTS), min_size=1, max_size=6))
async def test_a_scan_fails_what_admission_refuses_and_nothing_else(
    given_now: list[PolicyException], writes: list[tuple[Object, datetime]]
) -> None:
    asked = some(*CHECKS)
    renamed = [excepting_as(item, f"e-{number}") for number, item in enumerate(given_now)]
    async with guarded("shop", "bank", "shop-eu") as world:
        await world.enforce(asked, terms=Terms(tuple(renamed)))
        for obj, now in sorted(writes, key=lambda write: write[1]):
            world.at(max(now, world.clock.now()))
            failing = {
                name for name, said in scanned(obj, asked, renamed, world.clock.now()).items() if said is Status.FAIL
            }
            refused = await world.refusal(obj)
            assert bool(refused) == bool(failing), (refused, failing)
            for name in CHECKS:
                assert (f"'{some(name)[0].name}'" in refused) <= (name in failing)


def excepting_as(item: PolicyException, name: str) -> PolicyException:
    return PolicyException(**{field: getattr(item, field) for field in item.__slots__} | {"name": name})


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(EXCEPTIONS, LABELS, CONTAINERS, st.lists(st.tuples(CONTAINERS, st.booleans(), MOMENTS), min_size=1, max_size=5))
async def test_an_update_is_refused_for_what_it_changes_and_what_the_scan_fails(
    found: list[PolicyException], labels: dict[str, str], first: Object, writes: list[tuple[Object, bool, datetime]]
) -> None:
    asked = some(*CHECKS)
    renamed = [excepting_as(item, f"e-{number}") for number, item in enumerate(found)]
    async with guarded("shop") as world:
        made = deployment(containers=[first])
        made["metadata"]["labels"] = labels
        await world.create(made)
        await world.enforce(asked, terms=Terms(tuple(renamed)))
        for number, (one, host, now) in enumerate(sorted(writes, key=lambda write: write[2])):
            world.at(max(now, world.clock.now()))
            before = await world.current(made)
            after = newer(before, {**one, "image": f"registry.example.com/web:v{number}"})
            after["spec"]["template"]["spec"]["hostPID"] = host
            refused = await world.update_refusal(after)
            said = scanned(after, asked, renamed, world.clock.now())
            failing = {name for name, each in said.items() if each is Status.FAIL}
            if before["spec"]["template"]["spec"].get("hostPID", False) == host:
                failing.discard("WL-02")
            assert bool(refused) == bool(failing), (refused, failing)
            if not refused:
                await world.client.update(kind_of(after), after)


@settings(max_examples=50)
@given(EXCEPTIONS, PODS, MOMENTS)
def test_each_exception_changes_exactly_its_findings(found: list[PolicyException], obj: Object, now: datetime) -> None:
    asked = some(*CHECKS)
    plain = scanned(obj, asked, [], now)
    for number, one in enumerate(found):
        others = found[:number] + found[number + 1 :]
        without, within = scanned(obj, asked, others, now), scanned(obj, asked, found, now)
        for check in plain:
            if one.covers(check, obj) and now < one.expires:
                assert within[check] is Status.EXCEPTED
            else:
                assert within[check] is without[check]
        assert plain.keys() == within.keys()


ONE_THING = st.one_of(
    st.fixed_dictionaries({"names": st.sampled_from([["web*"], ["web"], ["x", "web-*"], ["web-1", "w*"]])}),
    st.fixed_dictionaries({"namespaces": st.sampled_from([["shop*"], ["shop"], ["x*", "shop-eu"]])}),
    st.fixed_dictionaries({"selector": st.fixed_dictionaries({"matchExpressions": st.tuples(TERMS).map(list)})}),
    MATCHES,
)
ALL_LABELS = [{}, *({"tier": value} for value in ("", "a", "b")), {"example.com/zone": "a"}, {"tier": "b", "other": ""}]
ALL_PODS = [
    pod(name, namespace, labels=labels.items())
    for name in ("web", "web-1")
    for namespace in ("shop", "shop-eu")
    for labels in ALL_LABELS
]


@settings(max_examples=40)
@given(ONE_THING, ENDS, MOMENTS)
def test_the_conditions_leave_out_exactly_what_is_covered(match: dict[str, Any], expires: str, now: datetime) -> None:
    (check,) = some("WL-27")
    one = excepting("WL-27", expires=expires, **match)
    compiled = CompiledPolicy.of(bundle.policy(check, Terms((one,))))
    for obj in ALL_PODS:
        made = {**obj, "metadata": {**obj["metadata"], "creationTimestamp": clock.format_time(now)}}
        request = Request("CREATE", "", "v1", "pods", "Pod", namespace="shop", name="x", object=made)
        covered = exceptions.accepting([one], check.id, obj, now) is not None
        assert compiled.evaluate(request).excluded.startswith("except-") == covered
