"""GET of a collection: selectors, pages, and which revision of the world is shown.

A page names its snapshot in the `continue` token, so that all pages show the same moment; once that moment has been
compacted the client gets 410 with a token to go on without consistency. Source: apiserver/pkg/storage, KEP-365.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import objects, response
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.store import errors
from dabbawala.cluster.store.entry import Entry

Predicate = Callable[[Entry], bool]
STREAMED = 500  # lists longer than this are sent in chunks of this many items
_MAX_PAGE = 1 << 31
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def predicate(call: Call) -> Predicate | None:
    """What the label and field selectors of the query ask for; None for everything."""
    query = call.request.query
    labels = selectors.parse_label_selector(query.get("labelSelector"))
    fields = selectors.parse_field_selector(query.get("fieldSelector"))
    kind = call.kind
    known = {"metadata.name", "metadata.namespace", *kind.selectable_fields}
    for term in fields.terms:
        if term.path not in known:
            raise status.BadRequest(f'"{term.path}" is not a known field selector: only {_listed(known)}')
    if labels.everything and not fields.terms:
        return None

    def matches(entry: Entry) -> bool:
        seen = objects.view(kind, entry)
        return labels.matches(seen.labels) and fields.matches(lambda path: seen.fields.get(path, ""))

    return matches


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))


def matching(call: Call) -> list[Entry]:
    """All current entries that the selectors match."""
    entries = call.core.store.list(objects.resource_of(call.kind), call.namespace)
    matches = predicate(call)
    return [entry for entry in entries if matches is None or matches(entry)]


@dataclass(frozen=True, slots=True)
class Moment:
    """Which moment to list (None: now), after which (namespace, name) to start, and whether `consistent` with it."""

    revision: int | None = None
    after: tuple[str, str] | None = None


def moment(call: Call) -> Moment:
    """Read resourceVersion, resourceVersionMatch and continue. Raises BadRequest, Invalid, Expired or Timeout."""
    query = call.request.query
    version, match, token = query.get("resourceVersion"), query.get("resourceVersionMatch"), query.get("continue")
    check_options(version, match, token, initial=query.get("sendInitialEvents"), watch=False)
    if token:
        return _from_token(call, token, version)
    revision = parse_version(version)
    if revision == 0:
        return Moment()
    check_reached(call, revision)
    exact = match == "Exact" or (not match and _limit(call) > 0)
    return Moment(revision if exact else None)


def check_options(version: str, match: str, token: str, *, initial: str, watch: bool) -> None:
    """The mixes that upstream forbids. Source: apimachinery ValidateListOptions."""
    wrong: list[status.FieldError] = []
    if initial and not watch:
        wrong.append(status.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match not in ("", "Exact", "NotOlderThan"):
        wrong.append(status.not_supported("resourceVersionMatch", match, ("Exact", "NotOlderThan", "")))
    for refused, why in (
        (match and token, "is forbidden when continue is provided"),
        (match and not version and not token and not initial, "is forbidden unless resourceVersion is provided"),
        (match == "Exact" and version == "0", '"exact" is forbidden for resourceVersion "0"'),
        (watch and initial and match != "NotOlderThan", "must be NotOlderThan when sendInitialEvents is provided"),
        (watch and match and not initial, "is forbidden for watch unless sendInitialEvents is provided"),
    ):
        if refused:
            wrong.append(status.forbidden("resourceVersionMatch", f"resourceVersionMatch {why}"))
    if wrong:
        raise status.invalid_object("ListOptions", "", wrong, group="meta.k8s.io")


def parse_version(version: str) -> int:
    if not version:
        return 0
    if not version.isdigit():
        error = status.invalid("resourceVersion", version, "must be a resource version: a whole number")
        raise status.invalid_object("ListOptions", "", [error], group="meta.k8s.io")
    return int(version)


def check_reached(call: Call, revision: int) -> None:
    """A revision of the future is an error that says to try again."""
    if revision > call.core.store.revision:
        message = f"Too large resource version: {revision}, current: {call.core.store.revision}"
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise status.Timeout(message, details={"causes": [cause], "retryAfterSeconds": 1})


def _limit(call: Call) -> int:
    text = call.request.query.get("limit")
    try:
        limit = int(text or 0)
    except ValueError:
        raise status.BadRequest(f"limit: {text!r} is not a whole number") from None
    return min(max(limit, 0), _MAX_PAGE)


def _from_token(call: Call, token: str, version: str) -> Moment:
    if version and version != "0":
        raise status.BadRequest("specifying resource version is not allowed when using continue")
    try:
        read = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = int(read["rv"]), (str(read["namespace"]), str(read["name"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise status.BadRequest("continue key is not valid: it was not made by this server") from None
    if revision < 0:
        return Moment(None, start)
    if revision < call.core.store.floor:
        raise _Resumable(_token(-1, start))
    return Moment(revision, start)


def _token(revision: int, last: tuple[str, str]) -> str:
    content = {"v": "meta.k8s.io/v1", "rv": revision, "namespace": last[0], "name": last[1]}
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


class _Resumable(status.Expired):
    """410 for a page, with a token to go on from the same place in the newest state."""

    def __init__(self, token: str) -> None:
        super().__init__(_EXPIRED)
        self._token = token

    def to_status(self) -> Object:
        answer = super().to_status()
        answer["metadata"] = {"continue": self._token}
        return answer


async def list_objects(call: Call) -> Response:
    when = moment(call)
    limit = _limit(call)
    matches = predicate(call)
    store, resource = call.core.store, objects.resource_of(call.kind)
    if when.revision is None and not limit:
        revision, entries = store.revision, store.list(resource, call.namespace)
    else:
        try:
            snapshot = store.snapshot(resource, call.namespace, when.revision)
        except errors.Compacted as error:
            raise status.Expired(f"The resourceVersion for the provided list is too old: {error}") from error
        revision, entries = when.revision or store.revision, snapshot.entries
    start = bisect_right(entries, when.after, key=lambda entry: entry.key[1:]) if when.after else 0
    page, end = await _page(entries, start, limit, matches)
    list_meta: Object = {"resourceVersion": str(revision)}
    if end < len(entries):
        last = entries[end - 1].key
        list_meta["continue"] = _token(revision, (last.namespace, last.name))
        if matches is None:
            list_meta["remainingItemCount"] = len(entries) - end
    return _answer(call, [entry.body for entry in page], list_meta)


async def _page(
    entries: Sequence[Entry], start: int, limit: int, matches: Predicate | None
) -> tuple[Sequence[Entry], int]:
    """The entries of one page, and the index after its last one."""
    if matches is None:
        end = min(start + limit, len(entries)) if limit else len(entries)
        return entries[start:end] if start or end < len(entries) else entries, end
    found: list[Entry] = []
    for index in range(start, len(entries)):
        if matches(entries[index]):
            found.append(entries[index])
            if limit and len(found) == limit:
                more = any(matches(entry) for entry in entries[index + 1 :])
                return found, index + 1 if more else len(entries)
        if index % STREAMED == STREAMED - 1:
            await asyncio.sleep(0)
    return found, len(entries)


def whole(call: Call, bodies: list[bytes]) -> Response:
    """A list of the given bodies as of now."""
    return _answer(call, bodies, {"resourceVersion": str(call.core.store.revision)})


def _answer(call: Call, bodies: list[bytes], list_meta: Object) -> Response:
    kind = call.kind
    negotiator = call.plugins.negotiator
    form = negotiator(call.request, kind) if negotiator else None
    if form is not None:
        shown = [objects.shown(kind, body) for body in bodies]
        return Response(200, form.many(shown, list_meta), {"content-type": form.content_type})
    head = _head(kind, list_meta)
    if len(bodies) <= STREAMED:
        return response.json_bytes(head + b",".join([objects.shown(kind, body) for body in bodies]) + b"]}")
    return Response(200, _stream(kind, head, bodies), {"content-type": response.JSON})


def _head(kind: Kind, list_meta: Object) -> bytes:
    head = orjson.dumps({"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": list_meta})
    return head[:-1] + b',"items":['


async def _stream(kind: Kind, head: bytes, bodies: list[bytes]) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(bodies), STREAMED):
        chunk = b",".join([objects.shown(kind, body) for body in bodies[start : start + STREAMED]])
        yield (head if start == 0 else b",") + chunk
        await asyncio.sleep(0)
    yield b"]}"
