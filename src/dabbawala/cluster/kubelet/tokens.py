"""Service account tokens for projected volumes: asked for once, renewed after four fifths of their life.

Source: TokenRequest (authentication/v1), pkg/kubelet/token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.volumes.content import TokenRequest

RENEW_AFTER = 0.8
LONGEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Token:
    text: bytes
    renew_at: datetime


class Tokens:
    """The tokens of one node's pods. A pod's are forgotten with the pod."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[str, dict[TokenRequest, _Token]] = {}

    async def current(self, pod: Mapping[str, Any], wanted: Iterable[TokenRequest]) -> dict[TokenRequest, bytes]:
        """A valid token for each request. StatusError when the API server refuses one."""
        kept = self._tokens.setdefault(meta.uid(pod), {})
        found: dict[TokenRequest, bytes] = {}
        for request in wanted:
            token = kept.get(request)
            if token is None or self._clock.now() >= token.renew_at:
                token = kept[request] = await self._request(pod, request)
            found[request] = token.text
        return found

    def __contains__(self, uid: str) -> bool:
        return uid in self._tokens

    def forget(self, uid: str) -> None:
        """The pod needs none any more."""
        self._tokens.pop(uid, None)

    async def _request(self, pod: Mapping[str, Any], request: TokenRequest) -> _Token:
        body: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "expirationSeconds": request.expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name(pod), "uid": meta.uid(pod)},
            },
        }
        if request.audience:
            body["spec"]["audiences"] = [request.audience]
        account = str(pod_spec.spec(pod).get("serviceAccountName") or "default")
        answer = await self._client.create(
            core_v1.SERVICE_ACCOUNT, body, meta.namespace(pod), name=account, subresource="token"
        )
        asked = self._clock.now()
        life = min(clocks.parse_time(answer["status"]["expirationTimestamp"]) - asked, LONGEST)
        return _Token(answer["status"]["token"].encode(), asked + life * RENEW_AFTER)
