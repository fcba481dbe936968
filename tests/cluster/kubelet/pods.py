"""Pods to try plans on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC)


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": f"{name}:v1", "imagePullPolicy": "IfNotPresent", **fields}


def pod(*containers: dict[str, Any], name: str = "web-1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1},
        "spec": {"nodeName": "node-1", "containers": list(containers) or [container()], **spec},
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T09:59:59Z"},
            ],
        },
    }


def merge_status(obj: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of a published change (conditions come whole from the kubelet)."""
    merged = {**obj["status"], **changes}
    return {**obj, "status": {key: value for key, value in merged.items() if value is not None}}
