"""Random expressions and random data, typed enough that most of them compile and untyped enough that many fail."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "items", "name")
VARIABLES = {"object": "dyn", "n": "int", "s": "string", "flag": "bool", "names": "list<string>"}
_WORDS = ("", "a", "b", "ab", "name", "x:1", "Äö", "10", "-3", "1.5", "true", "a,b", "😀z")
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**63 - 1, -(2**63)]),
    st.sampled_from([0.0, 1.0, 1.5, -2.5, 1e300]),
    st.sampled_from(_WORDS),
)
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
DATA = st.fixed_dictionaries(
    {
        "object": st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
        "n": st.integers(-5, 9),
        "s": st.sampled_from(_WORDS),
        "flag": st.booleans(),
        "names": st.lists(st.sampled_from(_WORDS), max_size=4),
    }
)


def _literal(word: str) -> str:
    return "'" + word + "'"


class _Writer:
    """Draws one expression of a kind; `scope` holds the names of the comprehensions around it."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def write(self, kind: str, depth: int, scope: tuple[str, ...] = ()) -> str:
        if depth <= 0:
            return self._leaf(kind, scope)
        form = self.pick(*_FORMS[kind])
        text = ""
        for part in form.split("{"):
            inner, brace, rest = part.partition("}")
            if not brace:
                text += part
                continue
            text += self._hole(inner, depth - 1, scope) + rest
        return text

    def _hole(self, hole: str, depth: int, scope: tuple[str, ...]) -> str:
        if hole == "field":
            return str(self.pick(*NAMES))
        if hole == "word":
            return _literal(self.pick(*_WORDS))
        if hole.startswith("fold:"):
            kind = hole.removeprefix("fold:")
            name = f"v{len(scope)}"
            return f"{name}, {self.write(kind, depth, (*scope, name))}"
        return self.write(hole, depth, scope)

    def _leaf(self, kind: str, scope: tuple[str, ...]) -> str:
        local = [self.pick(*scope)] if scope else []
        leaves = {
            "bool": ["true", "false", "flag"],
            "int": ["0", "1", "2", "-1", "n", "9223372036854775807"],
            "double": ["0.0", "1.0", "1.5", "-2.5"],
            "string": [_literal(self.pick(*_WORDS)), "s"],
            "list": ["[]", "[1, 2, 3]", "['a', 'b']", "names", "object.items"],
            "dyn": [
                "object",
                f"object.{self.pick(*NAMES)}",
                "dyn(1)",
                "dyn('a')",
                "dyn(1.0)",
                "null",
                "n",
                "s",
                *local,
            ],
        }
        return str(self.pick(*leaves[kind]))


# ruff: noqa: E501
_FORMS = {
    "bool": (
        "({bool} && {bool})", "({bool} || {bool})", "!{bool}", "({bool} ? {bool} : {bool})", "({dyn} == {dyn})",
        "({dyn} != {dyn})", "({int} < {int})", "({dyn} < {int})", "({dyn} >= {dyn})", "({string} <= {string})",
        "({string} in {list})", "({dyn} in [{dyn}, dyn({int})])", "({string} in {dyn})", "has({dyn}.{field})", "{list}.all({fold:bool})",
        "{list}.exists({fold:bool})", "{list}.exists_one({fold:bool})", "{dyn}.all({fold:bool})",
        "{dyn}.exists({fold:bool})", "{string}.startsWith({string})", "{string}.endsWith({word})",
        "{string}.contains({string})", "{string}.matches('^[a-z]+$')", "({string} == {word})", "({dyn} == {word})",
        "({dyn} == null)", "({dyn} == true)", "({dyn} == 1)", "({double} > {double})", "(type({dyn}) == type({dyn}))",
        "({dyn} && {bool})", "{dyn}.{field}.startsWith({word})", "({dyn} == {list})", "{bool}",
        "{dyn}.?{field}.hasValue()", "({dyn} != 0)", "object[?{word}].orValue({bool})", "({list} + [{int}]).exists({fold:bool})",
        "({dyn}.{field} + [1]).all(v, v < {int})", "({dyn}.{field} + [1]).exists(v, v == {int})", "(object[?{word}].orValue({int}) == n)", "({int} == {int})", "has({dyn}.?{field}.{field})",
    ),
    "int": (
        "({int} + {int})", "({int} - {int})", "({int} * {int})", "({int} / {int})", "({int} % {int})", "(-{int})",
        "object[?{word}].orValue({int})", "({bool} ? {dyn} : {int})", "size({list})", "size({string})", "size({dyn})", "{list}.size()", "int({string})", "int(dyn({double}))", "int({double})",
        "({bool} ? {int} : {int})", "('_' + {string}).indexOf({word})", "('_' + {string}).lastIndexOf({word})",
    ),
    "double": ("({double} + {double})", "({double} * {double})", "double({int})", "double({string})", "({double} - {double})"),
    "string": (
        "({string} + {string})", "string({int})", "string({bool})", "{string}.lowerAscii()", "{string}.upperAscii()",
        "object[?{word}].orValue({string})", "object.?{field}[{word}].orValue({string})", "{string}.trim()", "{string}.replace({word}, {word})", "{string}.substring({int})", "{list}.join({word})",
        "({bool} ? {string} : {string})", "names[{int}]", "names.join()", "{string}.charAt({int})", "string({dyn})",
        "('_' + {string} + '__').substring(1, {int} % 2 + 1)", "{string}.replace({word}, {word}, {int})", "('_' + {string}).split({word}).join('+')",
    ),
    "list": (
        "{list}.map({fold:dyn})", "{list}.filter({fold:bool})", "{list}.map({fold:int})", "({list} + {list})",
        "('_' + {string}).split({word})", "[{dyn}, {dyn}]", "[{int}]", "{dyn}.map({fold:dyn})", "[?{dyn}.?{field}, {dyn}]",
        "('_' + {string}).split({word}, {int})", "names.filter(x, x.startsWith({word}))", "{dyn}.{field}",
    ),
    "dyn": (
        "{dyn}.{field}", "{dyn}[{word}]", "{list}[{int}]", "{dyn}[{int}]", "{dyn}[{dyn}]", "dyn({int})", "dyn({string})",
        "dyn({list})", "({bool} ? {dyn} : {dyn})", "⟨'a': {dyn}, 'b': {dyn}⟩", "{dyn}.?{field}.orValue({dyn})",
        "{dyn}.?{field}.?{field}.orValue({dyn})", "({dyn} + {dyn})", "{dyn}[?{word}].orValue({dyn})", "dyn({bool})",
        "{list}[?{int}].orValue({dyn})", "{dyn}.?{field}.{field}.orValue({dyn})", "optional.of({dyn}).or({dyn}.?{field}).value()",
        "{dyn}.?{field}.optMap(o, o).orValue({dyn})", "optional.ofNonZeroValue({dyn}).orValue({dyn})",
    ),
}  # fmt: skip


@st.composite
def expressions(draw: Any) -> str:
    kind = draw(st.sampled_from(["bool", "bool", "bool", "dyn", "string", "int", "list"]))
    text = _Writer(draw).write(kind, draw(st.integers(1, 4)))
    return text.replace("⟨", "{").replace("⟩", "}")
