"""What NetworkPolicy says in the cases that people get wrong, and the sentences that explain an answer."""

from __future__ import annotations

import pytest

from dabbawala.policy.network import Graph
from dabbawala.policy.network_ports import PortRange, PortSpace, spoken
from tests.policy.world import Object, key, matching, pod, policy

WEB, API, OPS = key("shop/web"), key("shop/api"), key("ops/probe")
METADATA_ADDRESS = "169.254.169.254"
INTERNET_ONLY = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}}


def pods() -> list[Object]:
    return [
        pod("shop/web", "http:8080", ip="10.0.0.1", app="web"),
        pod("shop/api", "http:9090", node="n2", ip="10.0.0.2", app="api"),
        pod("ops/probe", node="n3", ip="10.0.0.3", app="probe"),
        pod("ops/agent", "@host", node="n2", ip="192.168.0.2", app="agent"),
    ]


def graph(*policies: Object, more: tuple[Object, ...] = ()) -> Graph:
    return Graph([{"metadata": {"name": "ops", "labels": {"team": "sre"}}}], [*pods(), *more], policies)


def ingress(*rules: Object, **selected: str) -> Object:
    return policy("shop/p", {"ingress": list(rules)}, **selected)


def egress(*rules: Object, **selected: str) -> Object:
    return policy("shop/p", {"policyTypes": ["Egress"], "egress": list(rules)}, **selected)


def test_without_policies_everybody_reaches_everybody() -> None:
    world = graph()
    assert world.allows(OPS, API, 1, "SCTP")
    assert world.allows("203.0.113.1", API, 80)
    assert world.allows(API, METADATA_ADDRESS, 80)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([], False),
        ([{}], True),
        ([{"from": []}], True),
        ([{"from": [{"podSelector": {}}]}], False),
        ([{"from": [{"namespaceSelector": {}}]}], True),
        ([{"from": [{"namespaceSelector": matching(team="sre")}]}], True),
        ([{"from": [{"namespaceSelector": matching(team="web")}]}], False),
        ([{"from": [{"namespaceSelector": matching(team="sre"), "podSelector": matching(app="web")}]}], False),
        ([{"from": [{"namespaceSelector": matching(team="sre")}, {"podSelector": matching(app="web")}]}], True),
        ([{"from": [{"namespaceSelector": matching(**{"kubernetes.io/metadata.name": "ops"})}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.3/32"]}}]}], False),
        ([{"from": [{}]}], False),
    ],
)
def test_who_is_meant_by_a_rule(rules: list[Object], allowed: bool) -> None:
    assert graph(ingress(*rules, app="api")).allows(OPS, API, 9090) is allowed


@pytest.mark.parametrize(
    ("ports", "open_ones", "shut"),
    [
        ([], ["TCP 1", "UDP 65535"], []),
        ([{}], ["TCP 1"], ["UDP 1"]),
        ([{"protocol": "UDP"}], ["UDP 53"], ["TCP 53"]),
        ([{"port": 9090}], ["TCP 9090"], ["TCP 9091", "UDP 9090"]),
        ([{"port": "http"}], ["TCP 9090"], ["TCP 8080", "UDP 9090"]),
        ([{"port": "http", "protocol": "UDP"}], [], ["UDP 9090", "TCP 9090"]),
        ([{"port": "gone"}], [], ["TCP 9090"]),
        ([{"port": 100, "endPort": 200}], ["TCP 100", "TCP 150", "TCP 200"], ["TCP 99", "TCP 201"]),
        ([{"port": 5}, {"port": 6}], ["TCP 5", "TCP 6"], ["TCP 7"]),
    ],
)
def test_which_ports_are_meant_by_a_rule(ports: list[Object], open_ones: list[str], shut: list[str]) -> None:
    world = graph(ingress({"ports": ports}, app="api"))
    for asked, allowed in (*((text, True) for text in open_ones), *((text, False) for text in shut)):
        protocol, number = asked.split()
        assert world.allows(WEB, API, int(number), protocol) is allowed, asked


def test_a_named_port_is_that_of_the_destination_when_leaving_too() -> None:
    world = graph(egress({"ports": [{"port": "http"}]}, app="web"))
    assert world.allows(WEB, API, 9090)
    assert not world.allows(WEB, API, 8080)
    assert not world.allows(WEB, "203.0.113.1", 8080)


def test_both_ends_must_agree_and_policies_add_up() -> None:
    let_in = policy("shop/in", {"ingress": [{"from": [{"podSelector": matching(app="web")}]}]}, app="api")
    nowhere = policy("shop/out", {"policyTypes": ["Egress"]}, app="web")
    somewhere = policy("shop/to-api", {"egress": [{"to": [{"podSelector": matching(app="api")}]}]}, app="web")
    assert graph(let_in).allows(WEB, API, 9090)
    assert not graph(let_in, nowhere).allows(WEB, API, 9090)
    assert graph(let_in, nowhere, somewhere).allows(WEB, API, 9090)


def test_egress_isolates_only_where_it_is_named_or_has_rules() -> None:
    assert graph(policy("shop/p", {})).allows(WEB, OPS, 80)
    assert graph(policy("shop/p", {"egress": []})).allows(WEB, OPS, 80)
    assert not graph(policy("shop/p", {"policyTypes": ["Egress"]})).allows(WEB, OPS, 80)
    assert graph(policy("shop/p", {"policyTypes": ["Egress"]})).allows(OPS, WEB, 80)
    assert not graph(policy("shop/p", {"egress": [{"to": [{"podSelector": {}}]}]})).allows(WEB, OPS, 80)
    assert not graph(policy("shop/p", {"egress": [{"to": [{"podSelector": {}}]}]})).allows(OPS, WEB, 80)


def test_a_node_reaches_its_own_pods_and_no_others_by_right() -> None:
    world = graph(ingress())
    assert world.allows(key("ops/agent"), API, 9090)
    assert not world.allows(key("ops/agent"), WEB, 8080)
    assert world.allows("192.168.0.2", API, 9090)
    assert not world.allows("192.168.0.2", WEB, 8080)


def test_pods_on_the_host_network_are_neither_isolated_nor_found_by_selectors() -> None:
    everyone = {"namespaceSelector": {}}
    world = graph(ingress({"from": [everyone]}), policy("ops/deny", {"policyTypes": ["Ingress", "Egress"]}))
    assert not world.allows(key("ops/agent"), WEB, 8080)
    assert world.allows(key("ops/agent"), OPS, 80) is False
    assert world.allows(WEB, key("ops/agent"), 22)
    assert world.allows(key("ops/agent"), METADATA_ADDRESS, 80)


def test_a_pod_reaches_itself_and_what_has_ended_reaches_nobody() -> None:
    done = pod("shop/done", app="done")
    done["status"]["phase"] = "Succeeded"
    world = graph(policy("shop/deny", {"policyTypes": ["Ingress", "Egress"]}), more=(done,))
    assert world.allows(WEB, WEB, 8080)
    assert not graph(more=(done,)).allows(WEB, key("shop/done"), 80)
    assert world.explain(WEB, key("shop/done"), 80).sentence == (
        "pod shop/done has ended, and what has ended has no network."
    )


def test_the_metadata_address_is_an_address_like_any_other() -> None:
    world = graph(egress({"to": [INTERNET_ONLY]}))
    assert world.allows(WEB, "8.8.8.8", 443)
    assert not world.allows(WEB, METADATA_ADDRESS, 80)
    assert graph(egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})).allows(WEB, METADATA_ADDRESS, 80)


def test_a_pod_without_an_address_is_in_a_block_only_if_every_pod_would_be() -> None:
    planned = pod("pay/planned", node="", app="planned")
    for block, allowed in (
        ({"cidr": "0.0.0.0/0"}, True),
        (INTERNET_ONLY["ipBlock"], False),
        ({"cidr": "10.0.0.0/8"}, False),
    ):
        world = graph(ingress({"from": [{"ipBlock": block}]}), more=(planned,))
        assert world.allows(key("pay/planned"), WEB, 8080) is allowed, block
    known = Graph(
        [], [*pods(), planned], [ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})], pod_ranges=["10.9.0.0/16"]
    )
    assert known.allows(key("pay/planned"), WEB, 8080)


def test_the_address_of_a_pod_is_the_pod() -> None:
    world = graph(ingress({"from": [{"podSelector": matching(app="web")}]}, app="api"))
    assert world.allows("10.0.0.1", "10.0.0.2", 9090)
    assert not world.allows("10.0.0.3", "10.0.0.2", 9090)
    with pytest.raises(ValueError, match="neither the key of a pod nor an IP address"):
        world.allows("web", API, 80)


def test_an_answer_names_the_policy_and_the_rule_or_those_that_isolate() -> None:
    world = graph(ingress({"from": [{"podSelector": matching(app="web")}]}, app="api"), policy("shop/deny", {}))
    assert world.explain(WEB, API, 9090).sentence == (
        "pod shop/web reaches pod shop/api on TCP 9090: no NetworkPolicy isolates pod shop/web for egress and "
        "NetworkPolicy shop/p admits it by spec.ingress[0]."
    )
    refused = world.explain(OPS, API, 9090)
    assert refused.sentence == (
        "pod ops/probe cannot reach pod shop/api on TCP 9090: pod shop/api is isolated for ingress by NetworkPolicies "
        "shop/p, shop/deny, and no rule there admits pod ops/probe on TCP 9090."
    )
    assert refused.policies == (key("shop/p"), key("shop/deny"))
    assert world.explain(key("ops/agent"), API, 80).sentence == (
        "pod ops/agent reaches pod shop/api on TCP 80: pod ops/agent shares its node's network, which no NetworkPolicy "
        "isolates and pod ops/agent is on the node of pod shop/api, whose traffic no NetworkPolicy stops."
    )
    assert world.explain("192.168.0.2", API, 80).sentence == (
        "node n2 (192.168.0.2) reaches pod shop/api on TCP 80: node n2 (192.168.0.2) is the node of pod shop/api, "
        "whose traffic no NetworkPolicy stops."
    )
    assert world.explain("8.8.8.8", "1.1.1.1", 80).sentence == (
        "address 8.8.8.8 reaches address 1.1.1.1 on TCP 80: no pod is involved."
    )


def test_listings_name_pods_and_addresses() -> None:
    rules = [{"to": [INTERNET_ONLY], "ports": [{"port": 443}]}, {"to": [{"podSelector": matching(app="api")}]}]
    world = graph(egress(*rules, app="web"))
    assert world.reachable_from(WEB, 9090) == [API]
    assert world.sources_of(API, 9090) == [key("ops/agent"), OPS, WEB]
    [(block, ports)] = world.reachable_addresses(WEB)
    assert (str(block), spoken(ports)) == ("0.0.0.0/0 except 10.0.0.0/8, 169.254.0.0/16", "TCP 443")
    assert [(str(block), spoken(ports)) for block, ports in world.admitted_addresses(API)] == [
        ("0.0.0.0/0", "every port"),
        ("::/0", "every port"),
    ]


def test_a_zone_is_entered_by_those_that_no_policy_keeps_out() -> None:
    card = pod("pay/vault", "main:5432", app="vault", **{"data-class": "card"})
    only_api = {"namespaceSelector": {}, "podSelector": matching(app="api")}
    fence = policy("pay/fence", {"ingress": [{"from": [only_api], "ports": [{"port": "main"}]}]})
    world = graph(fence, more=(card,))
    [way] = world.matrix.entrances([key("pay/vault")])
    assert (way.sources, way.destinations, spoken(way.ports)) == ((API,), (key("pay/vault"),), "TCP 5432")
    assert {source for way in graph(more=(card,)).matrix.entrances([key("pay/vault")]) for source in way.sources} == {
        WEB, API, OPS, key("ops/agent"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]}, "spec.ingress[0].from[0].ipBlock: "),
        ({"ingress": [{"ports": [{"port": 70000}]}]}, "spec.ingress[0].ports[0].port: 70000 is not between"),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, "spec.ingress[0].ports[0].protocol: 'ICMP' is not"),
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: must name pods"),
        ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "spec.podSelector: "),
    ],
)
def test_what_cannot_be_read_admits_nobody_and_is_told(spec: Object, problem: str) -> None:
    world = graph({"metadata": {"name": "bad", "namespace": "shop"}, "spec": spec})
    [(where, told)] = world.problems()
    assert where == key("shop/bad")
    assert told.startswith(problem)
    assert not world.allows(OPS, API, 80) or "podSelector" in spec


def test_ports_are_cut_where_rules_begin_and_end() -> None:
    space = PortSpace([PortRange("TCP", 80, 80), PortRange("TCP", 100, 65535)])
    ranges = [PortRange("TCP", 1, 79), PortRange("TCP", 80, 80), PortRange("TCP", 81, 99), PortRange("TCP", 100, 65535)]
    assert [space.ranges(1 << piece)[0] for piece in range(4)] == ranges
    assert space.ranges(space.mask(PortRange("TCP", 80, 80)) | space.at("TCP", 90)) == (PortRange("TCP", 80, 99),)
    assert spoken(space.ranges(space.everything)) == "every port"
    assert spoken([PortRange("UDP", 1, 65535), PortRange("TCP", 1, 9)]) == "all of UDP, TCP 1-9"
    assert (space.at("TCP", 0), space.at("TCP", 65536), space.at("ICMP", 1)) == (0, 0, 0)
