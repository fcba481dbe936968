"""What is written is read as what it was, whatever stands in it, and comments change nothing."""

from __future__ import annotations

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dabbawala.guard.generate.writing import Piece, render

ODD = (
    "yes", "0x1", "1e3", "~", "a: b", "- a", "[a]", "{a}", "# a", "a, b", " a", "a\n", "*", "%", "'", '"', "2026-01-01",
    "",     "x" * 200, "a word " * 40 + "end", "\x85", "\u2028", "\r", "\x1b", "a\tb", "𐀀\n",
)  # fmt: skip
keys = st.sampled_from([text for text in ODD if len(text) < 40])
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(ODD)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=100, phases=[Phase.generate])
@given(st.dictionaries(keys, values, min_size=1, max_size=3), st.sampled_from(ODD), st.sampled_from(ODD))
def test_what_is_written_is_read_as_what_it_was(obj: dict[str, object], why: str, note: str) -> None:
    notes = dict.fromkeys([*obj, *(f"{key}[0]" for key in obj)], note)
    text = render([Piece(obj, why, notes), Piece(obj, why)], why)
    assert list(yaml.safe_load_all(text)) == [obj, obj]


def test_a_comment_stands_above_what_it_is_about() -> None:
    obj = {"spec": {"rules": [{"a": 1}, {"a": 2}], "b": ["x"]}}
    text = render([Piece(obj, "Why.", {"spec.rules[1]": "The second.", "spec.b": "A list."})], "Head.")
    assert text == (
        "# Head.\n---\n# Why.\nspec:\n  rules:\n    - a: 1\n    # The second.\n    - a: 2\n  # A list.\n  b: [x]\n"
    )
