"""How the cluster itself is set up, as far as objects tell: its components' flags and their configuration files.

Components are static pods (their mirror pods in a live cluster), or what kubeadm's configuration would make of them.
Providers who run the control plane show neither, and nothing is said of it then.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.cel.values import NOTHING, Optional

_KUBEADM = "kubeadm.k8s.io/"
_KUBELET = "kubelet.config.k8s.io/"
_PROXY = "kubeproxy.config.k8s.io/"
_API_SERVER = "apiserver.config.k8s.io/"
_SECTIONS = {
    "kube-apiserver": "apiServer", "kube-controller-manager": "controllerManager", "kube-scheduler": "scheduler",
    "etcd": "etcd",
}  # fmt: skip
_PKI = "/etc/kubernetes/pki"
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "kube-apiserver": {
        "authorization-mode": "Node,RBAC", "client-ca-file": f"{_PKI}/ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{_PKI}/apiserver-kubelet-client.key", "etcd-cafile": f"{_PKI}/etcd/ca.crt",
        "etcd-certfile": f"{_PKI}/apiserver-etcd-client.crt", "etcd-keyfile": f"{_PKI}/apiserver-etcd-client.key",
        "service-account-key-file": f"{_PKI}/sa.pub", "service-account-signing-key-file": f"{_PKI}/sa.key",
        "tls-cert-file": f"{_PKI}/apiserver.crt", "tls-private-key-file": f"{_PKI}/apiserver.key",
    },
    "kube-controller-manager": {
        "bind-address": "127.0.0.1", "root-ca-file": f"{_PKI}/ca.crt", "use-service-account-credentials": "true",
        "service-account-private-key-file": f"{_PKI}/sa.key",
    },
    "kube-scheduler": {"bind-address": "127.0.0.1"},
    "etcd": {
        "cert-file": f"{_PKI}/etcd/server.crt", "key-file": f"{_PKI}/etcd/server.key", "client-cert-auth": "true",
        "trusted-ca-file": f"{_PKI}/etcd/ca.crt", "peer-cert-file": f"{_PKI}/etcd/peer.crt",
        "peer-key-file": f"{_PKI}/etcd/peer.key", "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": f"{_PKI}/etcd/ca.crt",
    },
}  # fmt: skip
"""What kubeadm sets without being asked."""
_SECRETS = frozenset({"secrets", "*.", "*.*"})
"""How an EncryptionConfiguration names Secrets: themselves, the core group, everything."""


def flags(obj: Mapping[str, Any], component: str) -> Optional:
    """The flags, without their dashes, with which an object would start a component (`kube-apiserver`, `etcd` …): a Pod
    that runs it, or kubeadm's ClusterConfiguration; none for other objects. A flag without a value is `true`."""
    if str(obj.get("apiVersion")).startswith(_KUBEADM) or obj.get("kind") == "ConfigMap":
        found = _of_kubeadm(obj, component)
    else:
        found = _of_pod(obj, component)
    return NOTHING if found is None else Optional(found)


def _of_pod(obj: Mapping[str, Any], component: str) -> dict[str, str] | None:
    spec = obj.get("spec") or {}
    for container in spec.get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        for number, word in enumerate(words):
            if str(word).rpartition("/")[2] == component:
                return dict(_flags(words[number + 1 :]))
    return None


def _flags(words: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        following = words[number + 1] if number + 1 < len(words) else ""
        yield name, value if equals else "true" if not following or following.startswith("-") else following


def _of_kubeadm(obj: Mapping[str, Any], component: str) -> dict[str, str] | None:
    found = _embedded(obj, "ClusterConfiguration", _KUBEADM)
    if found is None or component not in _SECTIONS:
        return None
    section = found.get(_SECTIONS[component]) or {}
    if component == "etcd":
        if section.get("external"):
            return None
        section = section.get("local") or {}
    return {**_DEFAULTS[component], **_extra(section.get("extraArgs"))}


def _extra(given: Any) -> dict[str, str]:
    """A map until v1beta3, a list of name and value since."""
    if isinstance(given, list):
        return {str(item.get("name")): str(item.get("value")) for item in given}
    return {str(name): str(value) for name, value in (given or {}).items()}


def _embedded(obj: Mapping[str, Any], kind: str, group: str) -> Object | None:
    """The configuration that an object is, or that a ConfigMap or a Secret holds as text."""
    if obj.get("kind") == kind and str(obj.get("apiVersion")).startswith(group):
        return dict(obj)
    for text in _texts(obj):
        if kind in text and group in text:
            try:
                found = yaml.load(text, Loader=yaml.CSafeLoader)
            except (yaml.YAMLError, RecursionError):
                continue
            if isinstance(found, dict) and found.get("kind") == kind:
                return found
    return None


def _texts(obj: Mapping[str, Any]) -> Iterable[str]:
    if obj.get("kind") == "ConfigMap":
        return [str(text) for text in (obj.get("data") or {}).values()]
    if obj.get("kind") == "Secret":
        clear = [str(text) for text in (obj.get("stringData") or {}).values()]
        return [*clear, *(_decoded(str(value)) for value in (obj.get("data") or {}).values())]
    return ()


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _found(configuration: Object | None) -> Optional:
    return NOTHING if configuration is None else Optional(configuration)


def kubelet(obj: Mapping[str, Any]) -> Optional:
    """The KubeletConfiguration that an object is, or that a ConfigMap holds; none for other objects."""
    return _found(_embedded(obj, "KubeletConfiguration", _KUBELET))


def kube_proxy(obj: Mapping[str, Any]) -> Optional:
    """The KubeProxyConfiguration that an object is, or that a ConfigMap holds; none for other objects."""
    return _found(_embedded(obj, "KubeProxyConfiguration", _PROXY))


def encrypting(obj: Mapping[str, Any]) -> Optional:
    """The providers that encrypt Secrets, in their order, by the EncryptionConfiguration that an object is, or that a
    ConfigMap or Secret holds: those of the first entry that covers Secrets, empty where none does. None for other
    objects."""
    found = _embedded(obj, "EncryptionConfiguration", _API_SERVER)
    if found is None:
        return NOTHING
    for entry in found.get("resources") or ():
        if _SECRETS & {*(entry.get("resources") or ())}:
            return Optional([*(entry.get("providers") or ())])
    return Optional([])


FUNCTIONS = (
    Function("flags", ("dyn", "string"), "optional_type<map<string, string>>", flags),
    Function("kubelet", ("dyn",), "optional_type<dyn>", kubelet),
    Function("kubeProxy", ("dyn",), "optional_type<dyn>", kube_proxy),
    Function("encrypting", ("dyn",), "optional_type<list<dyn>>", encrypting),
)
