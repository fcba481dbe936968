"""The cluster's address plan and the wiring of nodes and pods.

Node k owns 10.42.k.0/24; its own address, the gateway of its pods, is 10.42.k.1 on `lo`. Pods hang on routed
point-to-point veth links with /32 addresses, so that every packet passes the node's IP layer (source addresses stay
true, policy sees them). Nodes are joined pairwise by veth links; a partition is those links set down.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from dabbawala.cluster.sandbox import kernel, rtnetlink, sysctls

SERVICE_RANGE = ("10.96.0.0", 16)
DNS_ADDRESS = "10.96.0.10"
MAX_NODES = 254

_NODE_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
_POD_SYSCTLS = {"net/ipv4/ip_unprivileged_port_start": "0", "net/ipv4/ping_group_range": "0 0"}


def gateway(index: int) -> str:
    return f"10.42.{index}.1"


def link_of(address: str) -> str:
    """The node-side name of a pod's link: stable, short (15 characters at most) and unique on the node."""
    return f"p{address.rsplit('.', 1)[1]}"


def _write_sysctls(values: dict[str, str], optional: Iterable[str] = ()) -> None:
    for path, value in values.items():
        try:
            sysctls.write(path, value)
        except OSError:
            if path not in optional:
                raise


class NodeNetwork:
    """A node's network namespace: kept alive by the open descriptor, changed through its netlink socket."""

    def __init__(self, name: str, index: int) -> None:
        if not 1 <= index <= MAX_NODES:
            raise ValueError(f"node index {index} is outside 1..{MAX_NODES}: node k owns 10.42.k.0/24")
        self.name = name
        self.index = index
        self.namespace = kernel.new_network_namespace()
        self.partitioned = False
        try:
            self.netlink = kernel.in_network(self.namespace, self._set_up)
        except BaseException:
            os.close(self.namespace)
            raise

    @property
    def address(self) -> str:
        return gateway(self.index)

    def _set_up(self) -> rtnetlink.Netlink:
        netlink = rtnetlink.Netlink()
        netlink.set_up("lo")
        # The gateway comes first: what the node connects to a pod takes the first global address as its source.
        netlink.add_address("lo", self.address)
        netlink.add_local_route(*SERVICE_RANGE)
        _write_sysctls(_NODE_SYSCTLS)
        return netlink

    def close(self) -> None:
        """Give the namespace back; with its last process gone, the kernel removes its links on both sides."""
        self.netlink.close()
        os.close(self.namespace)

    def open_socket(self, kind: int) -> socket.socket:
        """An unbound IPv4 socket that lives in this node's network, wherever its owner connects or binds it from."""
        return kernel.in_network(self.namespace, lambda: socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC))

    def join(self, other: NodeNetwork) -> None:
        here, there = f"n{other.index}", f"n{self.index}"
        self.netlink.create_veth(here, there, other.namespace)
        if not (self.partitioned or other.partitioned):
            self._raise_link(other)
            other._raise_link(self)

    def _raise_link(self, other: NodeNetwork) -> None:
        link = f"n{other.index}"
        self.netlink.set_up(link)
        # Through the peer's own address: it answers ARP for that, not for the pods behind it.
        self.netlink.add_route(f"10.42.{other.index}.0", 24, link, via=other.address)

    def partition(self, others: Iterable[NodeNetwork]) -> None:
        self.partitioned = True
        for other in others:
            self.netlink.set_up(f"n{other.index}", up=False)

    def heal(self, others: Iterable[NodeNetwork]) -> None:
        """Links up again, and the routes that the kernel dropped with them."""
        self.partitioned = False
        for other in others:
            if not other.partitioned:
                other._raise_link(self)
                self._raise_link(other)


def wire_pod(node_namespace: int, node_index: int, address: str) -> None:
    """Move this (single-threaded) process into a new network namespace that is a pod of the node."""
    kernel.setns(node_namespace, kernel.CLONE_NEWNET)
    node = rtnetlink.Netlink()
    kernel.unshare(kernel.CLONE_NEWNET)
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    pod = rtnetlink.Netlink()
    try:
        link = link_of(address)
        node.create_veth(link, "eth0", own)
        node.set_up(link)
        _configure_pod(pod, address, gateway(node_index))
        node.add_route(address, 32, link)
        _write_sysctls(_POD_SYSCTLS, optional=("net/ipv4/ping_group_range",))
    finally:
        node.close()
        pod.close()
        os.close(own)


def _configure_pod(pod: rtnetlink.Netlink, address: str, via: str) -> None:
    pod.set_up("lo")
    pod.add_address("eth0", address)
    pod.set_up("eth0")
    pod.add_route(via, 32, "eth0")
    pod.add_route("0.0.0.0", 0, "eth0", via=via)
