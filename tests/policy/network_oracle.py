"""NetworkPolicy, one question at a time, written down from the API's documentation and from nothing else.

It reads raw objects, groups nothing, remembers nothing, and shares no line with the product: what both say is right
unless both misread the same sentence. The sentences are those of networking/v1 types.go and of the page "Network
Policies" of the Kubernetes documentation; each is quoted where it is decided.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]
Where = Object | str  # a pod, or an address


class Oracle:
    def __init__(
        self, namespaces: Sequence[Object], pods: Sequence[Object], policies: Sequence[Object], ranges: Sequence[str]
    ) -> None:
        self.namespaces = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in namespaces}
        self.pods, self.policies, self.ranges = pods, policies, ranges

    def allows(self, source: Where, destination: Where, port: int, protocol: str) -> bool:
        if ended(source) or ended(destination):
            return False
        if isinstance(source, dict) and source is destination:
            return True  # "A Pod cannot block access to itself"
        return self.leaves(source, destination, port, protocol) and self.enters(source, destination, port, protocol)

    def leaves(self, source: Where, destination: Where, port: int, protocol: str) -> bool:
        """ "Outgoing traffic is allowed if there are no NetworkPolicies selecting the pod (and cluster policy otherwise
        allows the traffic), OR if the traffic matches at least one egress rule across all of the NetworkPolicy objects
        whose podSelector matches the pod.\""""
        if isinstance(source, str) or on_host(source):
            return True
        chosen = [p for p in self.policies if self.selects(p, source) and "Egress" in types(p)]
        if not chosen or self.is_own_node(source, destination):
            return True
        named = destination if isinstance(destination, dict) and not on_host(destination) else None
        return any(
            self.matches(policy, rule.get("to"), rule.get("ports"), destination, named, port, protocol)
            for policy in chosen
            for rule in policy["spec"].get("egress") or []
        )

    def enters(self, source: Where, destination: Where, port: int, protocol: str) -> bool:
        """ "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod […], OR if the traffic source
        is the pod's local node, OR if the traffic matches at least one ingress rule […].\""""
        if isinstance(destination, str) or on_host(destination):
            return True
        chosen = [p for p in self.policies if self.selects(p, destination) and "Ingress" in types(p)]
        if not chosen or self.is_own_node(destination, source):
            return True
        return any(
            self.matches(policy, rule.get("from"), rule.get("ports"), source, destination, port, protocol)
            for policy in chosen
            for rule in policy["spec"].get("ingress") or []
        )

    def selects(self, policy: Object, pod: Object) -> bool:
        """ "podSelector selects the pods to which this NetworkPolicy object applies […] in this namespace.\""""
        same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        return same and selected(policy["spec"].get("podSelector", {}), pod["metadata"].get("labels", {}))

    def is_own_node(self, pod: Object, other: Where) -> bool:
        """ "traffic to and from the node where a Pod is running is always allowed, regardless of the IP address of the
        Pod or the node". Nobody knows yet where an unscheduled pod will be, so it may be there."""
        node = pod["spec"].get("nodeName")
        if isinstance(other, dict):
            theirs = other["spec"].get("nodeName")
            return on_host(other) and (node is None or theirs is None or node == theirs)
        owner = {p["status"]["hostIP"]: p["spec"].get("nodeName") for p in self.pods if "hostIP" in p["status"]}
        return other in owner and node in (None, owner[other])

    def matches(
        self, policy: Object, peers: Any, ports: Any, other: Where, named: Object | None, port: int, protocol: str
    ) -> bool:
        """ "If this field is empty or missing, this rule matches all sources" (destinations, ports)."""
        whom = not peers or any(self.is_peer(policy, peer, other) for peer in peers)
        return whom and (not ports or any(is_port(entry, named, port, protocol) for entry in ports))

    def is_peer(self, policy: Object, peer: Object, other: Where) -> bool:
        if "ipBlock" in peer:
            return self.in_block(peer["ipBlock"], other)
        if isinstance(other, str) or on_host(other):
            return False
        labels, home = other["metadata"].get("labels", {}), other["metadata"]["namespace"]
        if "namespaceSelector" not in peer:
            # "Otherwise it selects the pods matching podSelector in the policy's own namespace."
            return home == policy["metadata"]["namespace"] and selected(peer["podSelector"], labels)
        # "If it is present but empty, it selects all namespaces"; with podSelector: "the pods matching podSelector in
        # the namespaces selected by namespaceSelector"
        described = {"kubernetes.io/metadata.name": home, **self.namespaces.get(home, {})}
        return selected(peer["namespaceSelector"], described) and selected(peer.get("podSelector", {}), labels)

    def in_block(self, block: Object, other: Where) -> bool:
        """ "cidr is a string representing the IPBlock […] except is a slice of CIDRs that should not be included" """
        whole, holes = ipaddress.ip_network(block["cidr"]), [ipaddress.ip_network(e) for e in block.get("except", [])]
        texts = [other] if isinstance(other, str) else known_addresses(other)
        if texts:
            found = [ipaddress.ip_address(text) for text in texts]
            return any(address in whole and not any(address in hole for hole in holes) for address in found)
        own = [network for text in self.ranges if (network := ipaddress.ip_network(text)).version == whole.version]
        held = all(network.subnet_of(whole) for network in own)  # type: ignore[arg-type]  # both of one version
        return bool(own) and held and not any(hole.overlaps(network) for hole in holes for network in own)


def types(policy: Object) -> Sequence[str]:
    """ "If this field is not specified, it will default based on the existence of ingress or egress rules; policies
    that contain an egress section are assumed to affect egress, and all policies (whether or not they contain an
    ingress section) are assumed to affect ingress.\""""
    spec = policy["spec"]
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def is_port(entry: Object, named: Object | None, port: int, protocol: str) -> bool:
    """ "If not specified, this field defaults to TCP"; "port […] can either be a numerical or named port on a pod. If
    this field is not provided, this matches all port names and numbers"; "endPort indicates that the range of ports
    from port to endPort if set, inclusive, should be allowed by the policy.\""""
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= port <= entry.get("endPort", wanted)
    if named is None:
        return False
    spec = named["spec"]
    sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    return any(
        given.get("name") == wanted and given["containerPort"] == port and given.get("protocol", "TCP") == protocol
        for container in [*spec["containers"], *sidecars]
        for given in container.get("ports", [])
    )


def selected(selector: Object, labels: Mapping[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        key, values = term["key"], term.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[term["operator"]]
        if not holds:
            return False
    return True


def known_addresses(pod: Object) -> list[str]:
    """ "podIPs holds the IP addresses allocated to the pod. […] the 0th entry must match the podIP field.\""""
    status = pod["status"]
    own = [status.get("podIP"), *(entry["ip"] for entry in status.get("podIPs", []))]
    return [text for text in (*own, on_host(pod) and status.get("hostIP")) if text]


def on_host(pod: Object) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def ended(where: Where) -> bool:
    return isinstance(where, dict) and where["status"].get("phase") in ("Succeeded", "Failed")
