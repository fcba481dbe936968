"""`/healthz`, `/livez` and `/readyz`: named checks, each alone at `/readyz/<name>`, all with `?verbose`.

Source: apiserver/pkg/server/healthz.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.plugins import Endpoint
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response


@dataclass(frozen=True, slots=True)
class Check:
    """`passes` answers from memory. With `live` it counts for /livez and /healthz too, else for /readyz alone."""

    name: str
    passes: Callable[[], bool]
    live: bool = True


PING = Check("ping", lambda: True)


def endpoints(checks: Sequence[Check] = ()) -> dict[str, Endpoint]:
    """The endpoints to plug in: each path and, ending in `/`, the prefix for single checks."""
    ready = (PING, *checks)
    live = tuple(check for check in ready if check.live)
    served: dict[str, Endpoint] = {}
    for path, listed in (("/healthz", live), ("/livez", live), ("/readyz", ready)):
        endpoint = _endpoint(path, {check.name: check for check in listed})
        served[path] = served[f"{path}/"] = endpoint
    return served


def _endpoint(path: str, checks: Mapping[str, Check]) -> Endpoint:
    async def serve(request: Request) -> Response:
        name = request.path.removeprefix(path).strip("/")
        if name:
            return _single(name, checks)
        excluded = set(request.query.all("exclude"))
        results = {check.name: check.passes() for check in checks.values() if check.name not in excluded}
        passed = all(results.values())
        if passed and not request.query.flag("verbose"):
            return response.text("ok")
        lines = [f"[+]{name} ok" if good else f"[-]{name} failed: reason withheld" for name, good in results.items()]
        verdict = "passed" if passed else "failed"
        body = "\n".join([*lines, f"{path.strip('/')} check {verdict}", ""])
        return response.text(body, 200 if passed else 500)

    return serve


def _single(name: str, checks: Mapping[str, Check]) -> Response:
    check = checks.get(name)
    if check is None:
        return response.text("404 page not found\n", 404)
    return response.text("ok") if check.passes() else response.text(f"internal server error: {name} failed\n", 500)
