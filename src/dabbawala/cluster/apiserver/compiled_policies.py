"""Admission policies compiled, off the loop that everybody shares: a policy of many expressions takes tens of
milliseconds. What was compiled when it was written is at hand when it is enforced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from dabbawala.apimachinery import meta, schema
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.expressions import Dialect

MAX_COMPILED = 2_000
"""Policies that are kept, by what they say."""


def dialect() -> Dialect:
    """What expressions may use here: the functions of the version that this server speaks."""
    major, minor, *_ = schema.kubernetes_version().split(".")
    return Dialect(f"{major}.{minor}")


class CompiledPolicies:
    """Equal policies are compiled once."""

    def __init__(self) -> None:
        self._known: dict[bytes, CompiledPolicy] = {}
        self._dialect = dialect()

    async def of(self, policies: Sequence[Object]) -> list[CompiledPolicy]:
        """In the order given. Raises BadRequest for a selector that is none."""
        keys = [_key(policy) for policy in policies]
        found = {key: self._known[key] for key in keys if key in self._known}
        fresh = {key: policy for key, policy in zip(keys, policies, strict=True) if key not in found}
        if fresh:
            made = await asyncio.to_thread(self._compile, list(fresh.values()))
            found.update(zip(fresh, made, strict=True))
            if len(self._known) + len(fresh) > MAX_COMPILED:
                self._known.clear()
            self._known.update(found)
        return [found[key] for key in keys]

    def _compile(self, policies: Sequence[Object]) -> list[CompiledPolicy]:
        return [CompiledPolicy.of(policy, self._dialect) for policy in policies]


def _key(policy: Object) -> bytes:
    return orjson.dumps([meta.name(policy), policy.get("spec")], option=orjson.OPT_SORT_KEYS)
