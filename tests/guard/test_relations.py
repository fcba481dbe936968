"""What checks ask of many objects: answers that must agree with asking one by one, tables that must be read as meant,
and what no message may say."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.apimachinery import selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks, scanning
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import read
from dabbawala.guard.engine import Engine
from dabbawala.guard.findings import Report
from dabbawala.guard.inventory import Inventory, as_selector
from dabbawala.guard.relations import dialect, regions, settings, zones
from dabbawala.guard.relations.selecting import Selecting
from dabbawala.guard.world import World
from tests.guard import many

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)
TERMS = st.builds(
    lambda key, op, values: {"key": key, "operator": op, **({"values": values} if op in ("In", "NotIn") else {})},
    st.sampled_from("abc"),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=2),
)
SELECTORS = st.fixed_dictionaries({"matchLabels": LABELS, "matchExpressions": st.lists(TERMS, max_size=2)})


def world(objects: Iterable[Object], *, whole: bool = False) -> World:
    listed = list(objects)
    preparation = Preparation(listed)
    known = Inventory(resources=preparation.resources)
    for document in (document for obj in listed for document in read("case.yaml", orjson.dumps(obj)).documents):
        prepared = preparation.prepare(document)
        if prepared.object is not None:
            known.add(prepared.object, document)
    return World(known, now=NOW, whole=whole)


def judged(seen: World) -> Report:
    report = Report()
    own = [check for check in checks.shipped().values() if not check.native]
    scanning.judge(seen, Engine(own, now=NOW), report)
    return report


@given(st.lists(SELECTORS, max_size=6), LABELS)
def test_selectors_are_found_by_label_as_if_each_was_asked(chosen: list[Object], labels: dict[str, str]) -> None:
    read_ = [selectors.from_label_selector(selector) for selector in chosen]
    found = Selecting((selector, number) for number, selector in enumerate(read_)).of(labels)
    assert found == [number for number, selector in enumerate(read_) if selector.matches(labels)]


@given(st.lists(LABELS, max_size=6), SELECTORS)
def test_pods_are_found_by_label_as_if_each_was_asked(pods: list[dict[str, str]], selector: Object) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    seen = world(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{n}", "namespace": "a", "labels": own},
            "spec": spec,
        }
        for n, own in enumerate(pods)
    )
    wanted = as_selector(selector)
    expected = [f"p{number}" for number, own in enumerate(pods) if wanted.matches(own)]
    assert [pod.owner.name for pod in seen.selected("a", wanted)] == expected
    assert not seen.selected("b", wanted)


@pytest.mark.parametrize(
    ("place", "region", "country"),
    [
        ("ap-south-1", "ap-south-1", "IN"), ("ap-south-1a", "ap-south-1", "IN"), ("ap-south-2c", "ap-south-2", "IN"),
        ("ap-south-1-ccu-1a", "ap-south-1", "IN"), ("asia-south1-b", "asia-south1", "IN"),
        ("centralindia-1", "centralindia", "IN"), ("ap-hyderabad-1", "ap-hyderabad-1", "IN"),
        ("us-east-1f", "us-east-1", "US"), ("asia-southeast1-a", "asia-southeast1", "SG"),
        ("dc-mumbai-3", "", "IN"), ("rack-7", "", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_regions_and_zones_are_in_their_country(place: str, region: str, country: str) -> None:
    assert (regions.region_of(place), regions.country(place)) == (region, country)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("https://logs.us-east-1.amazonaws.com", {"us-east-1": "US"}),
        ("s3://ledger-ap-south-1-prod/base", {"ap-south-1": "IN"}),
        ("https://o1.ingest.de.sentry.io/2", {"o1.ingest.de.sentry.io": "DE"}),
        ("bom", {"bom": "IN"}),
        ("the bom of the image", {}),
        ("https://example.com/southindian-food", {}),
    ],
)
def test_places_are_named_once_and_by_their_longest_name(text: str, named: dict[str, str]) -> None:
    assert {found["text"]: found["country"] for found in regions.places({"value": [text]})} == named


def test_a_namespace_says_what_its_pods_do_not() -> None:
    home = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "pay", "labels": {"x.example.com/tier": "financial"}},
    }
    seen = world([home])
    assert zones.regulated(seen, "pay", {})
    assert not zones.regulated(seen, "web", {})
    assert not zones.in_card_zone(seen, "pay", {})
    assert zones.in_card_zone(seen, "pay", {"pci-scope": "true"})


def test_every_function_says_what_it_gives() -> None:
    assert not [function.name for function in dialect.FUNCTIONS if not function.call.__doc__]
    names = [(function.name, function.receiver) for function in dialect.FUNCTIONS]
    assert len(names) == len(set(names))


def test_no_message_of_any_check_tells_what_is_in_a_secret() -> None:
    """Not in clear, and not in base64 either."""
    secret = "correct-horse-battery-staple"
    hidden = base64.b64encode(secret.encode()).decode()
    metadata = {"name": "db", "namespace": "shop-production", "creationTimestamp": "2020-01-01T00:00:00Z"}
    holders: list[Object] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"password": hidden, "tls.crt": hidden}},
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "name": "clear"},
            "stringData": {"password": secret},
        },
    ]  # fmt: skip
    reports = [judged(world(holders, whole=whole)) for whole in (True, False)]
    assert {finding.check.id for finding in reports[0].findings} >= {"SEC-04", "SEC-07", "SEC-12"}
    said = [text for report in reports for f in report.findings for text in (f.message, f.reason, f.place.field)]
    assert not [text for text in said if secret in text or hidden in text]


def odd(api_version: str, kind: str, **fields: object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "odd", "namespace": "shop"}, **fields}


ODD = [
    odd("networking.istio.io/v1", "VirtualService", spec=7),
    odd("networking.istio.io/v1", "Gateway", spec={"selector": "x"}),
    odd("gateway.networking.k8s.io/v1", "HTTPRoute", spec={"parentRefs": 1}),
    odd("velero.io/v1", "Schedule", spec={"template": [1]}),
    odd("audit.k8s.io/v1", "Policy", rules={"a": 1}),
    odd("postgresql.cnpg.io/v1", "Cluster", spec=None),
    odd("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {"matchLabels": ["a"]}, "ingress": [7]}),
    odd("v1", "Service", spec={"selector": {"app": "web"}, "ports": ["80"]}),
    odd("rbac.authorization.k8s.io/v1", "Role", rules=["*"]),
    odd("v1", "Secret", data={"tls.crt": 5}),
]


@pytest.mark.parametrize("obj", ODD, ids=lambda obj: str(obj["kind"]))
def test_an_object_of_no_sensible_shape_keeps_nobody_from_judging_the_others(obj: Object) -> None:
    clean = [*many.objects(20, 2), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}]
    expected, said = judged(world(clean)), judged(world([*clean, obj]))
    assert expected.findings
    assert not [finding for finding in expected.findings if finding.status == "error"]
    wrong = {str(finding.subject) for finding in said.findings if finding.status == "error"}
    assert wrong <= {f"{obj['kind']} shop/odd", f"{obj['kind']} odd"}, [
        finding.message for finding in said.findings if finding.status == "error"
    ]


@pytest.mark.soak
@pytest.mark.parametrize("namespaces", [1, 100])
def test_ten_thousand_objects_are_judged_in_less_than_fifteen_seconds(namespaces: int) -> None:
    seen = world(many.objects(10_000, namespaces))
    begun = time.process_time()
    assert judged(seen).objects > 9_900
    assert time.process_time() - begun < 15


def test_answers_that_a_world_keeps_have_names_of_their_own() -> None:
    written = [path.read_text() for path in Path(scanning.__file__).parent.rglob("*.py")]
    names = [name for text in written for name in re.findall(r'\bonce\(\(?"([^"]+)"', text)]
    assert len(set(names)) == len(names) > 10, names


@given(
    st.dictionaries(st.sampled_from((*zones._TELLING, "app", "tierless")), st.sampled_from(("pci", "Financial", "x")))
)
def test_a_prefix_changes_nothing_of_what_a_label_says(labels: dict[str, str]) -> None:
    prefixed = {f"example.com/{key}": value for key, value in labels.items()}
    assert zones.is_regulated(labels) == zones.is_regulated(prefixed)
    assert zones.is_card(labels) == zones.is_card(prefixed)
    assert zones.is_card({"app": "web", **prefixed}) == ("pci" in (labels.get("compliance"), labels.get("data-class")))


def test_a_setting_is_looked_for_in_all_config_maps() -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": "a"}, "data": data}
        for number, data in enumerate((None, ["x"], {"waf": "false"}, {"waf": "true"}))
    ]
    for known, answer in ((maps, True), (maps[:3], False)):
        world = World(Inventory([(found, None) for found in known]), now=NOW)
        assert settings.configured(world, "waf", "true") is answer
