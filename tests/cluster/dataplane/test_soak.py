"""A long proof: switches, promotions and endpoint changes in a row, under constant load through the edge."""

from __future__ import annotations

import pytest

from tests.cluster.dataplane.lab import Crowd, lab, network

TURNS = 150


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_hundreds_of_switches_fail_no_request(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each turn is a small release: a new program joins, gets a share, then all, and the old one leaves."""
    net, run = network(60), tmp_path_factory.mktemp("dp")
    async with lab(run, node=f"{net}.254", edge_address=f"{net}.200") as world:
        programs = {name: await world.program(name, f"{net}.{10 + at}") for at, name in enumerate(("v0", "v1", "v2"))}
        ports = [{"port": 8000, "targetPort": 8080, "nodePort": 30580}]
        await world.service("web", f"{net}.1", type="NodePort", ports=ports)
        await world.destination_rule("web", {name: {"version": name} for name in programs})
        await world.endpoints("web", {programs["v0"].address: {"version": "v0"}})
        await world.served("web")
        await world.routed("web", ("v0", 100))
        async with Crowd(f"{net}.200", 30580, visitors=8, per_second=1500) as crowd:
            await crowd.until(lambda: sum(crowd.seen.values()) > 50)
            for turn in range(TURNS):
                old, new = f"v{turn % 3}", f"v{(turn + 1) % 3}"
                both = {programs[name].address: {"version": name} for name in (old, new)}
                await world.endpoints("web", both)
                await world.runs(run, f"shop_web_8000_{new}", programs[new].address)
                for share in (10, 50, 100):
                    await world.routed("web", (old, 100 - share), (new, share))
                before = programs[old].answered
                seen = sum(crowd.seen.values())
                await crowd.until(lambda at=seen: sum(crowd.seen.values()) > at + 30)
                in_flight = 8
                assert programs[old].answered <= before + in_flight
                await world.endpoints("web", {programs[new].address: {"version": new}})
        assert crowd.failed == []
        print(f"{sum(crowd.seen.values())} requests")
