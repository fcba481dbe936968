"""What a check says about its own repair: which values belong where, what could break, or why a person must decide.

It is one annotation, in YAML: a value for each field that the check reports, or several values and where each belongs
(docs/guard-fix.md). Tags say what is more than writing. A repair is worked out for the object as it is written, and
where it needs something that is not there, nothing is changed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import yaml

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.fix import targets
from dabbawala.guard.fix.changes import REMOVED, Change, same
from dabbawala.guard.positions import Part, parts

TAGS = ("!remove", "!present", "!absent", "!only", "!without", "!purge", "!with", "!replace", "!copy")
_ABSENT = object()
_UNDECIDED = "tag:yaml.org,2002:null"
_POD, _OBJECT, _BELOW = "pod.", "object.", "."


class BadFix(ValueError):
    """The text is no repair; the message says what it lacks."""


class Tagged(NamedTuple):
    """A value and what is to be done with it."""

    tag: str
    value: Any


class Step(NamedTuple):
    """One value and where it belongs. `root` is `pod.`, `object.`, `.` (at or below the field that the check reports),
    or empty: then `path` is how the reported field must end."""

    root: str
    path: tuple[Part, ...]
    action: Any


@dataclass(frozen=True, slots=True)
class Fix:
    """`risk` says what a change could break: it is made only for who accepts that. `by_hand` says why a person must
    decide; there are no steps then."""

    steps: tuple[Step, ...] = ()
    risk: str = ""
    by_hand: str = ""

    def changes(self, field: str, obj: Object) -> list[Change]:
        """What is to be different in an object that has this field at fault. Nothing where that cannot be said."""
        found: list[Change] = []
        for step in self.steps:
            for path in self._places(step, field, obj):
                current = targets.value(obj, path, _ABSENT)
                new = _new(step.action, current, _Around(obj, field))
                if new is _ABSENT or (current is not _ABSENT and new is not REMOVED and same(current, new)):
                    continue
                purged = new is REMOVED and isinstance(step.action, Tagged) and step.action.tag == "!purge"
                found.append(Change(path[:-1] if purged else path, new))
        return found

    def _places(self, step: Step, field: str, obj: Object) -> Iterator[tuple[str | int, ...]]:
        if step.root == _POD:
            yield from targets.resolve(obj, (*targets.pod_spec(obj), *step.path))
        elif step.root == _OBJECT:
            yield from targets.resolve(obj, step.path)
        elif step.root == _BELOW:
            yield from targets.resolve(obj, [*parts(field), *step.path])
        elif targets.ends_with(field, step.path):
            yield from targets.resolve(obj, parts(field))


def parse(text: str, *, risk: str = "", by_hand: str = "") -> Fix:
    """The repair that annotations describe. Raises BadFix."""
    if by_hand and text:
        raise BadFix("a repair by hand has no steps")
    if by_hand:
        return Fix(by_hand=by_hand)
    if not text:
        return Fix()
    try:
        said = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as wrong:
        raise BadFix(f"it is not YAML: {' '.join(str(wrong).split())}") from wrong
    if not isinstance(said, dict):
        return Fix((Step(_BELOW, (), said),), risk)
    if not said:
        raise BadFix("it names no field; write `path: value`, or a value alone")
    return Fix(tuple(_step(str(key), value) for key, value in said.items()), risk)


def _step(key: str, action: Any) -> Step:
    root = next((prefix for prefix in (_POD, _OBJECT, _BELOW) if key.startswith(prefix)), "")
    return Step(root, tuple(parts(key.removeprefix(root))), action)


class _Around(NamedTuple):
    """Where copies are taken from: the object, and the field that is at fault."""

    object: Object
    field: str

    def copied(self, path: str) -> Any:
        """A path that begins with two dots names what stands beside the field."""
        beside = parts(self.field)[:-1] if path.startswith("..") else []
        found = list(targets.resolve(self.object, [*beside, *parts(path)]))
        return targets.value(self.object, found[0], _ABSENT) if found else _ABSENT


def _new(action: Any, current: Any, around: _Around) -> Any:
    """What an action makes of a value; _ABSENT where it has nothing to say."""
    if not isinstance(action, Tagged):
        return _filled(action, around)
    written = current is not _ABSENT
    match action.tag:
        case "!remove":
            return REMOVED if written else _ABSENT
        case "!present" | "!absent":
            return _filled(action.value, around) if written is (action.tag == "!present") else _ABSENT
        case "!copy":
            return _filled(action, around)
        case "!with":
            return _joined(_filled(action.value, around), current)
        case "!replace":
            return _renamed(action.value, current)
        case _:
            return _lessened(action, current)


def _joined(items: Any, current: Any) -> Any:
    before = current if isinstance(current, list) else []
    missing = [item for item in items if item not in before] if items is not _ABSENT else []
    return [*before, *missing] if missing else _ABSENT


def _renamed(prefixes: dict[str, str], current: Any) -> Any:
    found = next((old for old in prefixes if isinstance(current, str) and current.startswith(old)), None)
    return _ABSENT if found is None else prefixes[found] + current.removeprefix(found)


def _lessened(action: Tagged, current: Any) -> Any:
    """Lists lose items, and go with the last one; a single value stays or goes."""
    tag, named = action
    if current is _ABSENT or current is None:
        return _ABSENT
    if not isinstance(current, list):
        return _ABSENT if (current in named) is (tag == "!only") else REMOVED
    kept = [item for item in current if (item in named) is (tag == "!only")]
    if len(kept) == len(current):
        return _ABSENT
    return kept or REMOVED


def _filled(value: Any, around: _Around) -> Any:
    """A value whose `!copy` have been looked up; _ABSENT where one finds nothing."""
    if isinstance(value, Tagged):
        return around.copied(str(value.value)) if value.tag == "!copy" else _ABSENT
    if isinstance(value, dict):
        entries = {key: _filled(item, around) for key, item in value.items()}
        return _ABSENT if any(item is _ABSENT for item in entries.values()) else entries
    if isinstance(value, list):
        items = [_filled(item, around) for item in value]
        return _ABSENT if any(item is _ABSENT for item in items) else items
    return value


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Tagged:
    tag = f"!{suffix}"
    if tag not in TAGS:
        raise yaml.YAMLError(f"there is no {tag}; use one of {', '.join(TAGS)}")
    plain = type(node)(_UNDECIDED, node.value, node.start_mark, node.end_mark)
    if isinstance(node, yaml.ScalarNode):
        plain.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]  # PyYAML's own
    elif isinstance(node, yaml.SequenceNode):
        plain.tag = "tag:yaml.org,2002:seq"
    else:
        plain.tag = "tag:yaml.org,2002:map"
    value = loader.construct_object(plain, deep=True)
    wanted = {"!only": list, "!without": list, "!purge": list, "!with": list, "!replace": dict, "!copy": str}.get(tag)
    if wanted is not None and not isinstance(value, wanted):
        raise yaml.YAMLError(f"{tag} takes a {'mapping' if wanted is dict else 'path' if wanted is str else 'list'}")
    return Tagged(tag, value)


class _Loader(yaml.SafeLoader):
    """Knows our tags."""

    yaml_multi_constructors: ClassVar = {**yaml.SafeLoader.yaml_multi_constructors, "!": _tagged}
