"""The nodes' networks, as requests to the holder."""

from __future__ import annotations

import contextlib
import socket

from dabbawala.cluster.sandbox import loop, network, wire


class Nodes:
    """Every node's network, joined to all others."""

    def __init__(self) -> None:
        self._nodes: dict[str, network.NodeNetwork] = {}

    def operations(self) -> loop.Operations:
        return {
            "create_node": self._create,
            "remove_node": self._remove,
            "partition": self._partition,
            "heal": self._heal,
            "socket": self._socket,
        }

    def get(self, name: str) -> network.NodeNetwork:
        if name not in self._nodes:
            raise wire.SandboxError("NotFound", f"node {name!r} has no network here; create it first")
        return self._nodes[name]

    def describe(self) -> wire.Message:
        return {
            name: {"address": node.address, "index": node.index, "partitioned": node.partitioned}
            for name, node in self._nodes.items()
        }

    def forget_link(self, name: str, address: str) -> None:
        """Take down the link of a pod that has ended, so that its address can be used again at once."""
        node = self._nodes.get(name)
        if node is not None:
            with contextlib.suppress(OSError):
                node.netlink.delete(network.link_of(address))

    def _create(self, request: loop.Request) -> None:
        name, index = request.message["name"], int(request.message["index"])
        taken = next((node for node in self._nodes.values() if node.index == index or node.name == name), None)
        if taken is None:
            node = network.NodeNetwork(name, index)
            for other in self._nodes.values():
                node.join(other)
            self._nodes[name] = node
        elif (taken.name, taken.index) != (name, index):
            raise wire.SandboxError("AlreadyExists", f"node {taken.name!r} already has index {taken.index}")
        request.finish({"address": network.gateway(index)})

    def _remove(self, request: loop.Request) -> None:
        node = self.get(request.message["name"])
        del self._nodes[node.name]
        for other in self._nodes.values():
            with contextlib.suppress(OSError):
                other.netlink.delete(f"n{node.index}")
        node.close()
        request.finish({})

    def _others(self, node: network.NodeNetwork) -> list[network.NodeNetwork]:
        return [other for other in self._nodes.values() if other is not node]

    def _partition(self, request: loop.Request) -> None:
        node = self.get(request.message["name"])
        node.partition(self._others(node))
        request.finish({})

    def _heal(self, request: loop.Request) -> None:
        node = self.get(request.message["name"])
        node.heal(self._others(node))
        request.finish({})

    def _socket(self, request: loop.Request) -> None:
        """A socket belongs to the network in which it was made: the client uses it from wherever it is."""
        kind = socket.SOCK_DGRAM if request.message.get("udp") else socket.SOCK_STREAM
        with self.get(request.message["node"]).open_socket(kind) as made:
            if request.message.get("bind"):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(tuple(request.message["bind"]))
            request.finish({}, (made.fileno(),))
