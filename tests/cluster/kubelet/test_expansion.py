"""`$(NAME)` in commands and variables."""

from __future__ import annotations

import pytest

from dabbawala.cluster.kubelet.expansion import expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(A)", "1-1"),
        ("$(B) $A $", "$(B) $A $"),
        ("$$(A) $$$(A)", "$(A) $1"),
        ("$(A) $(A", "1 $(A"),
        ("$( $$(A $$", "$( $(A $"),
        ("$(" * 200_000, "$(" * 200_000),
    ],
    ids=["known", "unknown", "escaped", "unclosed", "escaped in an unclosed one", "many unclosed"],
)
def test_a_reference_becomes_the_value_of_its_variable(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected
