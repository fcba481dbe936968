"""Listeners: a Service's address and port, and its node port, on one node.

HTTP listeners of one port share their routes, so a change of routes never touches a listener. The request and the
answer pass as they are: no header is added, none is hidden, nothing is retried.
Source: Envoy Listener, HttpConnectionManager, TcpProxy, UdpProxy.
"""

from __future__ import annotations

from dabbawala.cluster.dataplane import protocols
from dabbawala.cluster.dataplane.protocols import Protocol
from dabbawala.cluster.dataplane.resources import (
    LISTENER,
    Resource,
    extension,
    file_source,
    seconds,
    typed,
)
from dabbawala.cluster.dataplane.routes import FAULT, FAULT_FILTER

HTTP_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
UDP_PROXY = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
UDP_ROUTE = "envoy.extensions.filters.udp.udp_proxy.v3.Route"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
HTTP_INSPECTOR = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"

BACKLOG = 4096
TCP_IDLE_SECONDS = 86_400.0
"""As long as the kernel's connection tracking keeps an idle connection under kube-proxy."""
UDP_IDLE_SECONDS = 120.0


def listener(name: str, address: Resource, spoken: Protocol, target: Target) -> Resource:
    """A TCP listener. A port that another socket has is an error and never shared (`enable_reuse_port` off)."""
    common = typed(LISTENER, name=name, address=address, enable_reuse_port=False, tcp_backlog_size=BACKLOG)
    if spoken.is_http:
        return {**common, "filter_chains": [{"filters": [target.http()]}]}
    if spoken is Protocol.TCP:
        return {**common, "filter_chains": [{"filters": [target.tcp()]}]}
    return {
        **common,
        "listener_filters": [extension("envoy.filters.listener.http_inspector", HTTP_INSPECTOR)],
        "listener_filters_timeout": seconds(protocols.SNIFF_SECONDS),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": [
            {
                "filter_chain_match": {"application_protocols": ["http/1.0", "http/1.1", "h2c"]},
                "filters": [target.http()],
            }
        ],
        "default_filter_chain": {"filters": [target.tcp()]},
    }


def udp_listener(name: str, address: Resource, cluster: str, *, by_source: bool) -> Resource:
    action = {"name": "route", "typed_config": typed(UDP_ROUTE, cluster=cluster)}
    proxy = typed(
        UDP_PROXY,
        stat_prefix=cluster,
        matcher={"on_no_match": {"action": action}},
        idle_timeout=seconds(UDP_IDLE_SECONDS),
        hash_policies=[{"source_ip": True}] if by_source else [],
    )
    filter_ = {"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}
    return typed(LISTENER, name=name, address=address, udp_listener_config={}, listener_filters=[filter_])


class Target:
    """Where a port's traffic goes, as network filters: the shared routes for HTTP, clusters for TCP."""

    def __init__(self, name: str, routes_file: str, tcp: Resource, *, by_source: bool = False) -> None:
        self._name = name
        self._routes_file = routes_file
        self._tcp = tcp
        self._by_source = by_source

    def http(self) -> Resource:
        return extension(
            "envoy.filters.network.http_connection_manager",
            HTTP_MANAGER,
            stat_prefix=self._name,
            codec_type="AUTO",
            rds={"route_config_name": self._name, "config_source": file_source(self._routes_file)},
            http_filters=[
                extension(FAULT_FILTER, FAULT),
                extension("envoy.filters.http.router", ROUTER, suppress_envoy_headers=True),
            ],
            http_protocol_options={"accept_http_10": True},
            upgrade_configs=[{"upgrade_type": "websocket"}],
            server_header_transformation="PASS_THROUGH",
            generate_request_id=False,
            use_remote_address=False,
            skip_xff_append=True,
            stream_idle_timeout="0s",
        )

    def tcp(self) -> Resource:
        source: Resource = {"hash_policy": [{"source_ip": {}}]} if self._by_source else {}
        return extension(
            "envoy.filters.network.tcp_proxy",
            TCP_PROXY,
            stat_prefix=self._name,
            idle_timeout=seconds(TCP_IDLE_SECONDS),
            **self._tcp,
            **source,
        )
