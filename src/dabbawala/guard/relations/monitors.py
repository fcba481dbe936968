"""What monitoring is made of: the rules of Prometheus, the panels of dashboards, how often something is scraped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

SCRAPE_INTERVAL_SECONDS = 15
"""What a scan without any configuration of Prometheus takes for the interval; its own default is a minute."""

_DURATION = re.compile(r"(\d+)(ms|s|m|h)")
_SECONDS = {"ms": 0, "s": 1, "m": 60, "h": 3600}


def rules(spec: Mapping[str, Any]) -> list[Object]:
    """Alerts and recording rules: `name`, `alert` (whether it is one), `expr`, the `rule` itself, and its `path`."""
    return list(_rules(spec))


def _rules(spec: Mapping[str, Any]) -> Iterator[Object]:
    for at, group in enumerate(spec.get("groups") or ()):
        for index, rule in enumerate(group.get("rules") or ()):
            yield {
                "name": str(rule.get("alert") or rule.get("record") or ""),
                "alert": "alert" in rule,
                "expr": str(rule.get("expr", "")),
                "rule": rule,
                "path": f"spec.groups[{at}].rules[{index}]",
            }


def panels(spec: Mapping[str, Any]) -> list[Object]:
    """The panels of a dashboard, those in rows too: `title`, `type`, `path`, its PromQL as `queries`, whether it `asks`
    anything, and whether it comes from a `library`."""
    return list(_panels(spec.get("dashboard") or spec, "spec.dashboard" if "dashboard" in spec else "spec"))


def _panels(holder: Mapping[str, Any], path: str) -> Iterator[Object]:
    for index, panel in enumerate(holder.get("panels") or ()):
        at = f"{path}.panels[{index}]"
        targets = panel.get("targets") or ()
        yield {
            "title": str(panel.get("title") or panel.get("type") or ""),
            "type": str(panel.get("type") or ""),
            "path": at,
            "queries": [str(t["expr"]) for t in targets if t.get("expr") and _is_prometheus(t, panel)],
            "asks": bool(targets),
            "library": bool(panel.get("libraryPanel")),
        }
        yield from _panels(panel, at)


def _is_prometheus(target: Mapping[str, Any], panel: Mapping[str, Any]) -> bool:
    source = target.get("datasource") or panel.get("datasource")
    kind = source.get("type") if isinstance(source, dict) else source
    return not isinstance(kind, str) or kind.lower() not in ("loki", "elasticsearch", "tempo", "jaeger", "influxdb")


def scrape_interval(world: World) -> int:
    """Seconds between two scrapes, as the configurations in the scan say; the longest of their global ones."""
    found = [
        _seconds((item.object["spec"].get("global") or {}).get("scrape_interval"))
        for item in world.items("PrometheusConfig.guard.dabbawala.dev")
    ]
    return max((seconds for seconds in found if seconds), default=SCRAPE_INTERVAL_SECONDS)


def _seconds(duration: Any) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(str(duration or "")))


FUNCTIONS = (
    Function("rules", ("dyn",), "list<dyn>", rules),
    Function("panels", ("dyn",), "list<dyn>", panels),
    Function("scrapeInterval", (TYPE,), "int", scrape_interval, receiver=True),
)
