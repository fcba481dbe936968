from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"), ("0Gi", "0"), ("100m", "100m"), ("0.5", "500m"), ("1000m", "1"), ("1500m", "1500m"),
        ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000Ki", "1000Ki"), ("0.5Ki", "512"), ("512", "512"),
        ("100k", "100k"), ("1000k", "1M"), ("1e3", "1e3"), ("100e2", "10e3"), ("1E", "1E"), ("1E3", "1e3"),
        ("12345678", "12345678"), ("12000000", "12M"), ("-1.5", "-1500m"), ("+5", "5"), (".5", "500m"), ("5.", "5"),
        ("1u", "1u"), ("0.1n", "1n"), ("1.0000000001", "1000000001n"), ("1.1Ki", "1126400m"),
        ("9223372036854775807", "9223372036854775807"), ("99999E", "9223372036854775807"),
    ],
)  # fmt: skip
def test_the_canonical_form_is_the_one_kubernetes_writes(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "Gi", "1gi", "1 Gi", "abc", "1mi", "--1", "1e", "1e3k", "0x10", "1e99999"]
)
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    assert not quantity.is_valid(text)
    with pytest.raises(quantity.QuantityError, match="quantities must match"):
        quantity.parse(text)


def test_a_long_text_is_refused_as_fast_as_it_is_read() -> None:
    assert not quantity.is_valid("1" * 200_000 + "!")


def test_cpu_is_milli_and_memory_is_bytes_rounded_up() -> None:
    assert quantity.milli("250m") == 250
    assert quantity.milli("1.5") == 1500
    assert quantity.milli("1u") == 1
    assert quantity.whole("64Mi") == 64 * 1024 * 1024
    assert quantity.whole("100m") == 1
    assert quantity.milli(2) == 2000


def test_sums_are_exact() -> None:
    assert quantity.add("100m", "200m") == "300m"
    assert quantity.add("0", "1Gi") == "1Gi"
    assert quantity.add("512Mi", "512Mi") == "1Gi"
    assert quantity.compare("0.3", "300m") == 0
    assert quantity.compare("1Gi", "1G") == 1


@settings(max_examples=200)
@given(
    st.integers(-(10**6), 10**6),
    st.integers(0, 4),
    st.sampled_from(["", "m", "u", "n", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-2"]),
)
def test_the_canonical_form_keeps_the_value_and_is_a_fixed_point(digits: int, places: int, suffix: str) -> None:
    text = f"{Decimal(digits).scaleb(-places):f}{suffix}"
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical
