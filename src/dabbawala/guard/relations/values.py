"""Values that are right by themselves and wrong beside another one, or in how they are encoded."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest
from dabbawala.cel.environment import Function

HEAP_SHARE_MAX = 0.9
"""Share of a container's memory that a heap or a cache may have; the rest is for threads, classes and buffers."""

_HEAP = re.compile(r"-Xmx(\d+)([kKmMgGtT]?)(?=\s|$)")
_SHARE = re.compile(r"-XX:MaxRAMPercentage=(\d+(?:\.\d+)?)")
_CACHE = re.compile(r"--wiredTigerCacheSizeGB[= ](\d+(?:\.\d+)?)")
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def secret_newlines(data: Mapping[str, Any]) -> list[str]:
    """Keys of a Secret whose value is a single line with its end. What has several is a file."""
    return [key for key, value in data.items() if _is_line(value)]


def _is_line(value: Any) -> bool:
    try:
        text = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.endswith(b"\n") and text.count(b"\n") == 1 and b"-----" not in text and bool(text.strip())


def heaps(pod: Mapping[str, Any]) -> list[Object]:
    """Containers whose heap or cache is nearly all of their memory: `container`, `heap`, `limit`."""
    return list(_heaps(pod))


def _heaps(pod: Mapping[str, Any]) -> Iterator[Object]:
    for container in pod.get("containers") or ():
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        found = _heap(_said(container))
        if limit is None or found is None:
            continue
        shown, share, size = found
        total = _bytes(limit)
        if total and max(share, size / total) >= HEAP_SHARE_MAX:
            yield {"container": str(container.get("name")), "heap": shown, "limit": str(limit)}


def _said(container: Mapping[str, Any]) -> str:
    words = [str(word) for field in ("command", "args") for word in container.get(field) or ()]
    values = [str(entry.get("value") or "") for entry in container.get("env") or ()]
    return " ".join([*words, *values])


def _heap(text: str) -> tuple[str, float, float] | None:
    """As it is written, as a share of the memory, and in bytes."""
    if (cache := _CACHE.search(text)) is not None:
        return cache.group(), 0.0, float(cache[1]) * 2**30
    if (share := _SHARE.search(text)) is not None:
        return share.group(), float(share[1]) / 100, 0.0
    heap = _HEAP.search(text)
    return None if heap is None else (heap.group(), 0.0, float(heap[1]) * 2.0 ** _UNITS[heap[2].lower()])


def _bytes(limit: Any) -> float:
    try:
        return float(quantity.parse(str(limit)))
    except (BadRequest, ValueError):
        return 0.0


FUNCTIONS = (
    Function("secretNewlines", ("dyn",), "list<string>", secret_newlines),
    Function("heaps", ("dyn",), "list<dyn>", heaps),
)
