"""YAML from clients, read within bounds: a few hundred bytes of it can stand for more than any machine holds.

Aliases (`*name`) repeat what an anchor (`&name`) stands for, also inside of each other; and the nesting of brackets
is followed by a recursion in C that nothing else ends. So the stream of events, which costs what the body weighs, is
looked at before anything is built from it: the size of each anchor's value is known when its last event has passed.
Source: CVE-2019-11253, go-yaml's "excessive aliasing".
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import yaml

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver.request import MAX_BODY_BYTES

ALIASED_BYTES_MAX = MAX_BODY_BYTES
"""What all aliases of a document may stand for, in characters and nodes: no more than may be sent written out."""

DEPTH_MAX = 250
"""Levels of nesting; the JSON that is kept has room for few more."""


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DATES = "tag:yaml.org,2002:timestamp"


def _without_base_60(tag: str, form: re.Pattern[str]) -> tuple[str, re.Pattern[str]]:
    return (tag, re.compile("(?!.*:)" + form.pattern, form.flags) if tag in _NUMBERS else form)


def _integer(loader: Any, node: yaml.ScalarNode) -> Any:
    if ":" in node.value:  # said to be a number; the time to work one out grows with the square of its length
        raise yaml.constructor.ConstructorError(None, None, "numbers of base 60 are not read", node.start_mark)
    return loader.construct_yaml_int(node)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader is optional
    """YAML as Kubernetes reads it: JSON's types only, so that dates stay strings, and so does 22:30."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the attributes' form is PyYAML's
        first: [_without_base_60(*item) for item in found if item[0] != _DATES]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, _NUMBERS[0]: _integer}  # noqa: RUF012


def parse(body: bytes) -> Any:
    """The one document of a body, as JSON has it. Raises BadRequest, also for one that is larger than it looks."""
    if body.lstrip().startswith(b"{"):
        try:
            return orjson.loads(body)  # JSON is YAML, and most of what is sent as YAML is JSON
        except orjson.JSONDecodeError:
            pass
    try:
        check_bounds(body)
        document = yaml.load(body, Loader=_Loader)
        return orjson.loads(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise status.BadRequest(f"the body of the request is not valid YAML: {error}") from error


def check_bounds(body: bytes) -> None:
    """Raises ValueError for a document that nests too deeply, or whose aliases stand for too much."""
    open_: list[tuple[str | None, int]] = []  # what is begun: its anchor, and the total before it
    weights: dict[str, int] = {}
    total = aliased = 0
    for event in yaml.parse(body, Loader=_Loader):
        match event:
            case yaml.CollectionStartEvent():
                open_.append((event.anchor, total))
                if len(open_) > DEPTH_MAX:
                    raise ValueError(f"exceeded max depth of {DEPTH_MAX}")
            case yaml.CollectionEndEvent():
                anchor, before = open_.pop()
                total += 1
                if anchor:
                    weights[anchor] = total - before
            case yaml.ScalarEvent():
                total += len(event.value) + 1
                if event.anchor:
                    weights[event.anchor] = len(event.value) + 1
            case yaml.AliasEvent():
                if any(anchor == event.anchor for anchor, _ in open_):
                    raise ValueError(f"anchor {event.anchor!r} value contains itself")
                weight = weights.get(str(event.anchor), 0)  # an alias for nothing is refused by the parser
                aliased += weight
                total += weight
                if aliased > ALIASED_BYTES_MAX:
                    raise ValueError("document contains excessive aliasing")
