"""One form of bytes for one JSON value, so that a hash means the value and nothing else.

Keys sorted, no space, UTF-8. Numbers are left out of what we hash: servers may write 1.0 as 1.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

PREFIX = "sha256:"


def encode(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    return PREFIX + hashlib.sha256(encode(value)).hexdigest()


def digest_of_bytes(data: bytes) -> str:
    return PREFIX + hashlib.sha256(data).hexdigest()
