"""Istio's routes under traffic: weights, switches that harm nobody, and the truth about them in the object's status."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dabbawala.api import core_v1, istio_networking_v1
from tests.cluster.dataplane.lab import Crowd, Lab, Program, Visitor, ask, lab, network


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dp")


async def two_versions(world: Lab, net: str) -> tuple[Program, Program]:
    """Service web with one program of each subset, v1 and v2."""
    programs = await world.program("v1", f"{net}.10"), await world.program("v2", f"{net}.11")
    await world.service("web", f"{net}.1")
    labels = {program.address: {"version": program.name} for program in programs}
    await world.destination_rule("web", {"v1": {"version": "v1"}, "v2": {"version": "v2"}})
    await world.endpoints("web", labels)
    await world.served("web")
    return programs


async def test_weights_are_kept(run: Path) -> None:
    net = network(20)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        await world.routed("web", ("v1", 80), ("v2", 20))
        visitor, seen = Visitor(f"{net}.1", 8000), Counter[str]()
        for _ in range(2000):
            seen[(await visitor.ask())[1]] += 1
        visitor.leave()
        assert 320 <= seen["v2"] <= 480  # 20 % of 2,000, within 4.5 standard deviations


async def test_a_route_that_is_programmed_is_obeyed_by_the_very_next_request(run: Path) -> None:
    net = network(21)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        visitor = Visitor(f"{net}.1", 8000)
        for turn in range(40):
            wanted, other = ("v1", "v2") if turn % 2 else ("v2", "v1")
            await world.routed("web", (wanted, 100), (other, 0))
            assert await visitor.ask() == (200, wanted)
        visitor.leave()


async def test_switching_under_load_fails_no_request(run: Path) -> None:
    net = network(22)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        await world.routed("web", ("v1", 100), ("v2", 0))
        async with Crowd(f"{net}.1", 8000) as crowd:
            for weight in (0, 50, 100, 50, 0, 100):
                await world.routed("web", ("v1", 100 - weight), ("v2", weight))
                seen = sum(crowd.seen.values())
                await crowd.until(lambda before=seen: sum(crowd.seen.values()) > before + 20)
        assert crowd.failed == []
        assert set(crowd.seen) == {"v1", "v2"}


async def test_adopting_a_service_and_letting_it_go_again_fails_no_request(run: Path) -> None:
    net = network(23)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        async with Crowd(f"{net}.1", 8000) as crowd:
            await crowd.until(lambda: crowd.seen["v2"] > 5)
            await world.routed("web", ("v1", 100))
            seen = crowd.seen["v1"]
            await crowd.until(lambda: crowd.seen["v1"] > seen + 20)
            await world.client.delete(istio_networking_v1.VIRTUAL_SERVICE, "web", "shop")
            seen = crowd.seen["v2"]
            await crowd.until(lambda: crowd.seen["v2"] > seen + 5)
        assert crowd.failed == []


async def test_requests_are_matched_and_changed_as_the_routes_say(run: Path) -> None:
    net = network(24)
    async with lab(run, node=f"{net}.254") as world:
        v1, _ = await two_versions(world, net)
        to_v1 = [{"destination": {"host": "web", "subset": "v1"}}]
        to_v2 = [{"destination": {"host": "web.shop.svc.cluster.local", "subset": "v2"}}]
        broken = {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}
        marked = {"request": {"set": {"x-way": "api"}}}
        http = [
            {"match": [{"headers": {"x-beta": {"exact": "yes"}}}], "route": to_v2},
            {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 308}},
            {"match": [{"uri": {"exact": "/broken"}}], "fault": broken, "route": to_v1},
            {"match": [{"uri": {"exact": "/slow"}}], "timeout": "50ms", "rewrite": {"uri": "/wait/2"}, "route": to_v1},
            {"match": [{"uri": {"prefix": "/api/"}}], "rewrite": {"uri": "/"}, "headers": marked, "route": to_v1},
        ]
        await world.virtual_service("web", http=http)
        await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed")
        where = (f"{net}.1", 8000)
        assert await ask(*where, "/", {"x-beta": "yes"}) == (200, "v2")
        assert (await ask(*where, "/old"))[0] == 308
        assert (await ask(*where, "/broken"))[0] == 418
        assert (await ask(*where, "/slow"))[0] == 504
        assert await ask(*where, "/api/things") == (200, "v1")
        assert v1.heads[-1].startswith("GET /things ")
        assert "x-way: api" in v1.heads[-1]
        assert (await ask(*where, "/elsewhere"))[0] == 404


async def test_a_copy_is_sent_to_a_mirror_and_its_answer_is_dropped(run: Path) -> None:
    net = network(25)
    async with lab(run, node=f"{net}.254") as world:
        v1, v2 = await two_versions(world, net)
        route = [{"destination": {"host": "web", "subset": "v1"}}]
        mirror = {"host": "web", "subset": "v2"}
        await world.virtual_service("web", http=[{"route": route, "mirror": mirror}])
        await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed")
        assert [await ask(f"{net}.1", 8000) for _ in range(5)] == [(200, "v1")] * 5
        assert (v1.answered, len(v2.heads)) == (5, 5)


async def test_nothing_is_sent_twice_unless_a_route_asks_for_it(run: Path) -> None:
    net = network(26)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("v1", f"{net}.10")
        dead = f"{net}.11"
        await world.service("web", f"{net}.1", ports=[{"name": "http", "port": 8000, "targetPort": 8080}])
        await world.endpoints("web", {program.address: {}, dead: {}}, ports=[{"name": "http", "port": 8080}])
        await world.served("web")
        plain = [(await ask(f"{net}.1", 8000))[0] for _ in range(8)]
        assert Counter(plain) == {200: 4, 503: 4}
        retries = {"attempts": 2, "retryOn": "connect-failure"}
        await world.virtual_service("web", http=[{"route": [{"destination": {"host": "web"}}], "retries": retries}])
        await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed")
        assert [(await ask(f"{net}.1", 8000))[0] for _ in range(8)] == [200] * 8


async def test_a_destination_that_does_not_exist_is_named_and_costs_only_its_share(run: Path) -> None:
    net = network(27)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        route = [
            {"destination": {"host": "web", "subset": "v1"}, "weight": 50},
            {"destination": {"host": "web", "subset": "v9"}, "weight": 50},
        ]
        await world.virtual_service("web", http=[{"route": route}])
        said = await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed", status="False")
        assert said["reason"] == "Rejected"
        assert "spec.http[0].route[1].destination" in said["message"]
        assert "subset 'v9'" in said["message"]
        answers = Counter([(await ask(f"{net}.1", 8000))[0] for _ in range(60)])
        assert set(answers) == {200, 503}


async def test_what_an_envoy_refuses_is_told_with_its_words_and_harms_no_other_service(run: Path) -> None:
    net = network(28)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        other = await world.program("other", f"{net}.20")
        await world.service("shop", f"{net}.2")
        await world.endpoints("shop", [other])
        await world.served("shop")
        route = [{"destination": {"host": "web", "subset": "v1"}}]
        await world.virtual_service("web", http=[{"match": [{"uri": {"regex": "("}}], "route": route}])
        said = await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed", status="False")
        assert said["reason"] == "Rejected"
        assert "node-1: Envoy refuses rds/shop_web_8000.json: missing ): (" in said["message"]
        assert (await ask(f"{net}.1", 8000))[0] == 200  # it runs what it ran before
        await world.service("late", f"{net}.3")
        await world.endpoints("late", [other])
        await world.served("late")
        assert await ask(f"{net}.3", 8000) == (200, "other")
        await world.routed("web", ("v2", 100))
        assert await ask(f"{net}.1", 8000) == (200, "v2")


async def test_only_one_virtual_service_routes_a_host(run: Path) -> None:
    net = network(29)
    async with lab(run, node=f"{net}.254") as world:
        await two_versions(world, net)
        await world.routed("web", ("v1", 100))
        route = [{"destination": {"host": "web", "subset": "v2"}}]
        await world.virtual_service("zweb", hosts=["web"], http=[{"route": route}])
        said = await world.said(istio_networking_v1.VIRTUAL_SERVICE, "zweb", "Programmed", status="False")
        assert "already routed by VirtualService shop/web" in said["message"]
        assert await ask(f"{net}.1", 8000) == (200, "v1")


async def test_a_service_is_programmed_only_when_its_slices_reflect_it(run: Path) -> None:
    net = network(30)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1", selector={"app": "web"})
        await world.endpoints("web", [program])
        said = await world.said(core_v1.SERVICE, "web", "dabbawala.dev/Programmed", status="False")
        assert (said["reason"], said["message"]) == ("Pending", "its EndpointSlices do not reflect generation 1 yet")
        await world.reflect("web", 1)
        await world.served("web")


async def test_a_plain_connection_follows_the_weights_of_tcp_routes(run: Path) -> None:
    net = network(31)
    async with lab(run, node=f"{net}.254") as world:
        programs = await world.program("v1", f"{net}.10"), await world.program("v2", f"{net}.11")
        ports = [{"name": "tcp-data", "port": 8000, "targetPort": 8080}]
        await world.service("web", f"{net}.1", ports=ports)
        await world.destination_rule("web", {"v1": {"version": "v1"}, "v2": {"version": "v2"}})
        labels = {program.address: {"version": program.name} for program in programs}
        await world.endpoints("web", labels, ports=[{"name": "tcp-data", "port": 8080}])
        shares = [{"destination": {"host": "web", "subset": s}, "weight": w} for s, w in (("v1", 0), ("v2", 100))]
        await world.virtual_service("web", tcp=[{"route": shares}])
        await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed")
        assert [await ask(f"{net}.1", 8000) for _ in range(5)] == [(200, "v2")] * 5
