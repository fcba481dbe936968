"""Falco's rule files: lists, macros and rules, over several files that may extend one another. Pure.

    - list: shells
      items: [bash, sh]
    - macro: spawned_process
      condition: evt.type in (execve, execveat)
    - rule: Shell
      condition: spawned_process and proc.name in (shells)
      ...

A later file may append to an earlier one or replace parts of it (`append`, `override`), and switch rules off. A rule
whose condition speaks of what this detector cannot see is kept, and says what it lacks.
Source: falco.org/docs/reference/rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dabbawala.guard.runtime import conditions, fields, syntax
from dabbawala.guard.runtime.conditions import Condition
from dabbawala.guard.runtime.syntax import BadCondition, Check, Either, Every, Named, Not, Quoted, Tree

FILE_BYTES_MAX = 4 * 1024 * 1024
RULES_MAX = 2_000
LIST_ITEMS_MAX = 20_000
MACRO_DEPTH_MAX = 50

PRIORITIES = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug")
_SHORT = {"INFO": "Informational"}
_IGNORED = ("required_engine_version", "required_plugin_versions", "plugin")
SYSCALL, AUDIT = "syscall", "k8s_audit"
_TYPES_OF_SOURCE = {SYSCALL: fields.SYSCALL_TYPES, AUDIT: fields.AUDITS}


class BadRules(Exception):
    """A rule file cannot be used; the message names file, line, item and remedy."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a rule file, and where it stands."""

    where: str
    kind: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds` is None for a rule that is not covered here, and `lacks` says why. `types` are the kinds of event it can
    hold for, and `unseen` those that it asks for in vain."""

    name: str
    description: str
    output: str
    priority: str
    tags: tuple[str, ...]
    source: str
    enabled: bool
    tree: Tree | None = None
    holds: Condition | None = None
    types: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    lacks: str = ""

    @property
    def covered(self) -> bool:
        return self.holds is not None

    @property
    def active(self) -> bool:
        return self.enabled and self.covered


@dataclass(slots=True)
class _Draft:
    """A rule, macro or list while files are read."""

    item: Item
    condition: str = ""
    items: list[str] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    exceptions: list[Mapping[str, Any]] = field(default_factory=list)


def read(text: bytes, name: str) -> list[Item]:
    """The entries of one file. Raises BadRules."""
    if len(text) > FILE_BYTES_MAX:
        raise BadRules(f"{name}: {len(text)} bytes are more than a rule file may have ({FILE_BYTES_MAX})")
    try:
        return _entries(text, name)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as wrong:
        raise BadRules(f"{name}: {wrong}") from wrong


def _entries(text: bytes, name: str) -> list[Item]:
    loader = yaml.BaseLoader(text)  # every word as it stands: = and yes are names here, as they are to Falco
    try:
        root = loader.get_single_node()
        if root is None:
            return []
        if not isinstance(root, yaml.SequenceNode):
            raise BadRules(f"{name}: a rule file is a list of rules, macros and lists; begin each entry with '- '")
        return [
            found
            for node in root.value
            if (found := _item(loader.construct_object(node, deep=True), f"{name}:{node.start_mark.line + 1}"))
        ]
    finally:
        loader.dispose()


def _item(body: Any, where: str) -> Item | None:
    if not isinstance(body, dict):
        raise BadRules(f"{where}: an entry is a mapping with one of list, macro, rule")
    for kind in ("rule", "macro", "list"):
        if kind in body:
            return Item(where, kind, str(body[kind]), body)
    if any(name in body for name in _IGNORED):
        return None
    raise BadRules(f"{where}: an entry needs one of list, macro, rule; this has {', '.join(map(str, body)) or 'none'}")


def build(items: Iterable[Item]) -> tuple[Rule, ...]:
    """All rules, in the order of their first mention. Raises BadRules."""
    drafts: dict[tuple[str, str], _Draft] = {}
    for item in items:
        _take(drafts, item)
    rules = [draft for (kind, _), draft in drafts.items() if kind == "rule"]
    if len(rules) > RULES_MAX:
        raise BadRules(f"{len(rules)} rules are more than {RULES_MAX}; leave some files out")
    book = _Book(drafts)
    return tuple(_rule(draft, book) for draft in rules)


def _take(drafts: dict[tuple[str, str], _Draft], item: Item) -> None:
    key = (item.kind, item.name)
    override = item.body.get("override") or {}
    if not isinstance(override, Mapping):
        raise BadRules(f"{item.where}: override is a mapping of field to append or replace")
    if _says(item.body.get("append"), default=False) or override:
        known = drafts.get(key)
        if known is None:
            raise BadRules(f"{item.where}: {item.kind} {item.name!r} is extended here, but no earlier file defines it")
        _extend(known, item, override)
    elif item.kind == "rule" and set(item.body) <= {"rule", "enabled"}:
        known = drafts.get(key)
        if known is None:
            raise BadRules(f"{item.where}: rule {item.name!r} is switched here, but no earlier file defines it")
        known.body["enabled"] = item.body.get("enabled", "true")
    else:
        drafts[key] = _fresh(item)


def _fresh(item: Item) -> _Draft:
    draft = _Draft(item, body=dict(item.body))
    if item.kind == "list":
        draft.items = _items(item)
        return draft
    draft.condition = _text(item, "condition")
    if item.kind == "rule":
        for needed in ("desc", "output", "priority"):
            if not item.body.get(needed):
                raise BadRules(f"{item.where}: rule {item.name!r} lacks {needed}")
        draft.exceptions = list(item.body.get("exceptions") or ())
    return draft


def _extend(draft: _Draft, item: Item, override: Mapping[str, Any]) -> None:
    body = item.body
    for name in [key for key in body if key not in (item.kind, "append", "override")]:
        replaces = override.get(name) == "replace"
        if override and name not in override:
            raise BadRules(f"{item.where}: {name} is given, but override does not say whether to append or replace it")
        if name == "items":
            draft.items = ([] if replaces else draft.items) + _items(item)
        elif name == "condition":
            draft.condition = _text(item, name) if replaces else f"{draft.condition} {_text(item, name)}"
        elif name == "exceptions":
            draft.exceptions = [] if replaces else draft.exceptions
            _add_exceptions(draft, item)
        elif name in ("tags", "output", "desc") and override and not replaces:
            draft.body[name] = _joined(draft.body.get(name), body[name])
        elif override or name in ("tags", "enabled"):
            draft.body[name] = body[name]


def _joined(old: Any, new: Any) -> Any:
    return [*(old or ()), *new] if isinstance(new, list) else f"{old or ''} {new}"


def _add_exceptions(draft: _Draft, item: Item) -> None:
    """Values for an exception that is there, or a further one."""
    for added in item.body.get("exceptions") or ():
        known = next((one for one in draft.exceptions if one.get("name") == added.get("name")), None)
        if known is None:
            draft.exceptions.append(added)
        else:
            at = draft.exceptions.index(known)
            draft.exceptions[at] = {**known, "values": [*(known.get("values") or ()), *(added.get("values") or ())]}


def _says(word: Any, *, default: bool) -> bool:
    return default if word in (None, "") else str(word).lower() in ("true", "yes", "on")


def _text(item: Item, name: str) -> str:
    value = item.body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRules(f"{item.where}: {item.kind} {item.name!r} needs a {name}, as text")
    return value


def _items(item: Item) -> list[str]:
    found = item.body.get("items")
    if not isinstance(found, list) or len(found) > LIST_ITEMS_MAX:
        raise BadRules(f"{item.where}: list {item.name!r} needs items: a list of at most {LIST_ITEMS_MAX} words")
    return [_plain(str(one)) for one in found]


def _plain(item: str) -> str:
    """Some lists quote an item twice, so that it is a text in the condition too."""
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] == '"' else item


class _Book:
    """Lists and macros by name, for the conditions that use them."""

    def __init__(self, drafts: Mapping[tuple[str, str], _Draft]) -> None:
        self._lists = {name: draft.items for (kind, name), draft in drafts.items() if kind == "list"}
        self._macros = {name: draft for (kind, name), draft in drafts.items() if kind == "macro"}
        self._resolved: dict[str, Tree] = {}

    def resolve(self, text: str, where: str) -> Tree:
        """Raises BadRules."""
        try:
            return self._without_names(syntax.parse(text), 0)
        except BadCondition as wrong:
            raise BadRules(f"{where}: condition: {wrong}") from wrong

    def _without_names(self, tree: Tree, depth: int) -> Tree:
        if isinstance(tree, Named):
            return self._macro(tree.name, depth)
        if isinstance(tree, Check):
            values = tuple(one for value in tree.values for one in self._values(value, 0))
            return Check(tree.field, tree.operator, values)
        if isinstance(tree, Not):
            return Not(self._without_names(tree.of, depth))
        kind = Every if isinstance(tree, Every) else Either
        return kind(tuple(self._without_names(part, depth) for part in tree.of))

    def _macro(self, name: str, depth: int) -> Tree:
        if name in self._resolved:
            return self._resolved[name]
        draft = self._macros.get(name)
        if draft is None:
            raise BadCondition(f"{name!r} is neither a field nor a macro")
        if depth > MACRO_DEPTH_MAX:
            raise BadCondition(f"macro {name!r} uses itself")
        try:
            found = self._without_names(syntax.parse(draft.condition), depth + 1)
        except BadCondition as wrong:
            raise BadCondition(f"macro {name!r} ({draft.item.where}): {wrong}") from wrong
        self._resolved[name] = found
        return found

    def _values(self, value: str | syntax.Field, depth: int) -> list[str | syntax.Field]:
        """A bare word that is the name of a list stands for what is in it."""
        items = self._lists.get(value) if isinstance(value, str) and not isinstance(value, Quoted) else None
        if items is None or depth > MACRO_DEPTH_MAX:
            return [value]
        return [one for item in items for one in self._values(item, depth + 1)]


def _rule(draft: _Draft, book: _Book) -> Rule:
    item, body = draft.item, draft.body
    tree = book.resolve(draft.condition, item.where)
    for exception in draft.exceptions:
        tree = _excepting(tree, exception, book, item=item)
    source = str(body.get("source") or SYSCALL)
    rule = Rule(
        name=item.name, description=" ".join(str(body["desc"]).split()), output=str(body["output"]).strip(),
        priority=_priority(item, body["priority"]), tags=tuple(map(str, body.get("tags") or ())), source=source,
        enabled=_says(body.get("enabled"), default=True),
    )  # fmt: skip
    if source not in _TYPES_OF_SOURCE:
        return _lacking(rule, f"events of source {source} do not come here")
    return _covered(rule, tree, item)


def _lacking(rule: Rule, why: str, unseen: Iterable[str] = ()) -> Rule:
    return Rule(
        rule.name, rule.description, rule.output, rule.priority, rule.tags, rule.source, rule.enabled,
        unseen=tuple(unseen), lacks=why,
    )  # fmt: skip


def _covered(rule: Rule, tree: Tree, item: Item) -> Rule:
    seen = _TYPES_OF_SOURCE[rule.source]
    wanted = conditions.types(tree)
    types = seen if wanted is None else frozenset(kind for kind in seen if wanted & _spellings(kind))
    known = frozenset(one for kind in seen for one in _spellings(kind))
    unseen = tuple(sorted((wanted or frozenset()) - known))
    if not types:
        return _lacking(rule, f"no source sees {', '.join(unseen) or 'what it asks for'}", unseen)
    try:
        for check in conditions.checks(tree):
            fields.types_of(check.field)
        holds = conditions.compiled(tree)
    except fields.NotDelivered as lacking:
        return _lacking(rule, f"no source delivers {lacking}", unseen)
    except (fields.NoSuchField, BadCondition) as wrong:
        raise BadRules(f"{item.where}: rule {rule.name!r}: {wrong}") from wrong
    return Rule(
        rule.name, rule.description, rule.output, rule.priority, rule.tags, rule.source, rule.enabled,
        tree, holds, types, unseen,
    )  # fmt: skip


def _spellings(kind: str) -> frozenset[str]:
    return frozenset((kind, *fields.ALIASES.get(kind, ())))


def _priority(item: Item, said: Any) -> str:
    text = str(said).upper()
    for known in PRIORITIES:
        if text == known.upper() or _SHORT.get(text) == known:
            return known
    raise BadRules(f"{item.where}: rule {item.name!r}: priority {said!r} is none of {', '.join(PRIORITIES)}")


def _excepting(tree: Tree, exception: Mapping[str, Any], book: _Book, *, item: Item) -> Tree:
    """`and not (…)` for each row of values of an exception."""
    name, rows = exception.get("name"), exception.get("values") or ()
    wanted = exception.get("fields")
    if not name or not wanted:
        raise BadRules(f"{item.where}: rule {item.name!r}: an exception needs a name and fields")
    if isinstance(wanted, str):
        pairs = [(wanted, str(exception.get("comps") or "in"))]
        rows = [[list(rows)]] if rows else []
    else:
        comparators = exception.get("comps") or ["="] * len(wanted)
        pairs = list(zip(map(str, wanted), map(str, comparators), strict=False))
    for row in rows:
        parts = [_comparison(pair, value, book, item=item) for pair, value in zip(pairs, row, strict=False)]
        tree = Every((tree, Not(Every(tuple(parts)) if len(parts) > 1 else parts[0])))
    return tree


def _comparison(pair: tuple[str, str], value: Any, book: _Book, *, item: Item) -> Tree:
    name, operator = pair
    values = value if isinstance(value, list) else [value]
    if operator not in syntax.OPERATORS or operator in syntax.UNARY:
        raise BadRules(f"{item.where}: rule {item.name!r}: an exception cannot compare with {operator!r}")
    shown = ", ".join(_quoted(one) for one in values)
    return book.resolve(f"{name} {operator} {f'({shown})' if operator in syntax.LISTED else shown}", item.where)


def _quoted(value: Any) -> str:
    text = str(value)
    if text.replace("_", "").isalnum():
        return text  # so that it may name a list
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
