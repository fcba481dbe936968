"""The types of `request` and `namespaceObject`, so that a misspelt field is refused when a policy is written.

Source: apiserver/pkg/admission/plugin/cel/compile.go BuildRequestType, BuildNamespaceType.
"""

from __future__ import annotations

from dabbawala.cel.messages import Fields, Types

REQUEST, NAMESPACE = "kubernetes.AdmissionRequest", "kubernetes.Namespace"


def _strings(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "string")


MESSAGES: dict[str, Fields] = {
    "kubernetes.GroupVersionKind": _strings("group", "version", "kind"),
    "kubernetes.GroupVersionResource": _strings("group", "version", "resource"),
    "kubernetes.UserInfo": {
        **_strings("username", "uid"),
        "groups": "list<string>",
        "extra": "map<string, dyn>",  # of lists of strings
    },
    REQUEST: {
        "kind": "kubernetes.GroupVersionKind",
        "resource": "kubernetes.GroupVersionResource",
        "requestKind": "kubernetes.GroupVersionKind",
        "requestResource": "kubernetes.GroupVersionResource",
        **_strings("subResource", "requestSubResource", "name", "namespace", "operation"),
        "userInfo": "kubernetes.UserInfo",
        "dryRun": "bool",
        "options": "dyn",
    },
    "kubernetes.NamespaceMetadata": {
        **_strings("name", "generateName", "namespace", "uid", "UID", "resourceVersion"),
        "labels": "map<string, string>",
        "annotations": "map<string, string>",
        "creationTimestamp": "timestamp",
        "deletionTimestamp": "timestamp",
        "deletionGracePeriodSeconds": "int",
        "generation": "int",
        "finalizers": "list<string>",
    },
    "kubernetes.NamespaceSpec": {"finalizers": "list<string>"},
    "kubernetes.NamespaceCondition": {
        **_strings("status", "type", "message", "reason"),
        "lastTransitionTime": "timestamp",
    },
    "kubernetes.NamespaceStatus": {"conditions": "list<kubernetes.NamespaceCondition>", "phase": "string"},
    NAMESPACE: {
        "metadata": "kubernetes.NamespaceMetadata",
        "spec": "kubernetes.NamespaceSpec",
        "status": "kubernetes.NamespaceStatus",
    },
}
TYPES = Types(MESSAGES)
