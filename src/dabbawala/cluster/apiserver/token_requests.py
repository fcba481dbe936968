"""`serviceaccounts/token`: a token for a service account, bound to a pod, secret or node if asked.

Source: pkg/registry/core/serviceaccount/storage/token.go, KEP-1205.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from dabbawala.apimachinery import clock, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response, rest_accept, rest_bodies, tokens
from dabbawala.cluster.apiserver.core import Call, Core, Plugins
from dabbawala.cluster.apiserver.plugins import BodyDecoder, SubresourceHandler, Validator
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.apiserver.tokens import Account, Bound, Signer

MIN_SECONDS = 600
MAX_SECONDS = 1 << 32
DEFAULT_SECONDS = 3600
_KIND = "TokenRequest"
_GROUP = "authentication.k8s.io"
_BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenRequests:
    """Serves the subresource `token` of service accounts."""

    def __init__(
        self,
        core: Core,
        signer: Signer,
        decoders: Mapping[str, BodyDecoder] | None = None,
        validators: Sequence[Validator] = (),
    ) -> None:
        self._core = core
        self._signer = signer
        self._plugins = Plugins(decoders=decoders or {}, validators=validators)

    def handlers(self) -> dict[tuple[str, str], SubresourceHandler]:
        """To be plugged in as `Plugins.subresources`."""
        return {("serviceaccounts", "token"): self.create}

    async def create(self, request: Request, target: Target) -> Response:
        if target.verb != "create":
            raise status.MethodNotAllowed("the server does not allow this method on the requested resource")
        call = Call(self._core, self._plugins, request, target)
        asked = rest_bodies.read(call)
        spec: Object = asked.get("spec") or {}
        found = self._core.objects.get("serviceaccounts", target.namespace, target.name)
        if found is None:
            raise status.not_found("serviceaccounts", target.name)
        await rest_accept.judge(call, rest_accept.admission_of(call, "CREATE", asked, None))
        account = Account(target.namespace, target.name, meta.uid(found))
        audiences = spec.get("audiences") or [tokens.ISSUER]
        seconds = _seconds(spec)
        now = self._core.clock.now()
        claims = tokens.service_account_claims(
            account, audiences=audiences, seconds=seconds, now=now, token_id=self._core.new_uid(),
            bound=self._bound(account, spec.get("boundObjectRef")),
        )  # fmt: skip
        answer = {
            "kind": _KIND,
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
            "status": {
                "token": self._signer.sign(claims),
                "expirationTimestamp": clock.format_time(now + timedelta(seconds=seconds)),
            },
        }
        return response.json(answer, 201)

    def _bound(self, account: Account, ref: Mapping[str, Any] | None) -> list[Bound]:
        if not ref:
            return []
        kind, name = ref.get("kind") or "", ref.get("name") or ""
        resource = _BINDABLE.get(kind)
        if resource is None:
            raise status.BadRequest(f"cannot bind token for serviceaccount to object of type {kind!r}")
        found = self._core.objects.get(resource, "" if kind == "Node" else account.namespace, name)
        if found is None:
            raise status.not_found(resource, name)
        uid = meta.uid(found)
        if ref.get("uid") and ref["uid"] != uid:
            message = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record ({uid})"
            raise status.Conflict(f'Operation cannot be fulfilled on {resource} "{name}": {message}')
        if kind == "Pod":
            return self._pod(account, found)
        return [Bound(kind.lower(), name, uid)]

    def _pod(self, account: Account, pod: Object) -> list[Bound]:
        """A pod's token also says on which node it was issued."""
        uses = (pod.get("spec") or {}).get("serviceAccountName") or "default"
        if uses != account.name:
            raise status.BadRequest(
                f"cannot bind token for serviceaccount {account.name!r} to pod running with "
                f"different serviceaccount name {uses!r}"
            )
        bound = [Bound("pod", meta.name(pod), meta.uid(pod))]
        node = self._core.objects.get("nodes", "", (pod.get("spec") or {}).get("nodeName") or "")
        return [*bound, Bound("node", meta.name(node), meta.uid(node))] if node else bound


def _seconds(spec: Object) -> int:
    seconds = spec.get("expirationSeconds")
    seconds = DEFAULT_SECONDS if seconds is None else int(seconds)
    path = "spec.expirationSeconds"
    if seconds < MIN_SECONDS:
        error = status.invalid(path, seconds, "may not specify a duration less than 10 minutes")
    elif seconds > MAX_SECONDS:
        error = status.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
    else:
        return seconds
    raise status.invalid_object(_KIND, "", [error], group=_GROUP)
