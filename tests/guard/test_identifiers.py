"""Numbers of cards and people are found where they were planted, and not among digits that are something else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dabbawala.guard import identifiers
from dabbawala.guard.identifiers import AADHAAR, CARD, PAN, UPI, Identifier

PLANTED = 2000
DOCUMENTS = 2000
LEAST_FOUND = 0.99
MOST_FALSE = 0.01
_PREFIXES = (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("37", 15), ("60", 16), ("652", 16),
             ("8171", 16), ("508", 16), ("36", 14), ("3530", 16), ("62", 19))  # fmt: skip


def digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


def with_check(begin: str, passes: Callable[[str], bool]) -> str:
    return next(begin + last for last in "0123456789" if passes(begin + last))


def card(chance: random.Random) -> str:
    prefix, length = chance.choice(_PREFIXES)
    return with_check(prefix + digits(chance, length - len(prefix) - 1), identifiers.luhn)


def aadhaar(chance: random.Random) -> str:
    return with_check(chance.choice("23456789") + digits(chance, 10), identifiers.verhoeff)


def grouped(number: str, sign: str) -> str:
    return sign.join(number[start : start + 4] for start in range(0, len(number), 4))


def written_card(chance: random.Random) -> str:
    number = card(chance)
    shapes = [number] if len(number) in (14, 15) else [number, grouped(number, " "), grouped(number, "-")]
    shown = chance.choice(shapes)
    return chance.choice((
        f"card={shown}", f'{{"pan": "{shown}", "exp": "12/29"}}', f"charged {shown}, amount 1500.00", shown,
        f"2026-01-05T10:11:12Z INFO paid by {shown} order 8812", f"a: 1\ntest_card: {shown}\nb: 2\n",
    ))  # fmt: skip


def written_aadhaar(chance: random.Random) -> str:
    number = aadhaar(chance)
    return chance.choice((
        grouped(number, " "), grouped(number, "-"), f"kyc done for {grouped(number, ' ')}, ok", f"aadhaar: {number}",
        f'{{"aadhaarNumber": "{number}"}}', f"UID {number} verified", f"aadhar_no={number}",
        "\n".join(("id,name", *(f"{aadhaar(chance)},x" for _ in range(2)), f"{number},Asha")),
    ))  # fmt: skip


def other(chance: random.Random) -> str:
    """A line of what documents are full of."""
    return chance.choice((
        lambda: f"ts={chance.randrange(1_500_000_000, 1_900_000_000)}",
        lambda: f'"time": {chance.randrange(1_500_000_000_000, 1_900_000_000_000)}',
        lambda: f"nanos {chance.randrange(15 * 10**17, 19 * 10**17)}",
        lambda: f"at 2026{chance.randrange(1, 13):02}{chance.randrange(1, 29):02}{digits(chance, 6)}",
        lambda: f"sha256:{chance.randbytes(32).hex()}",
        lambda: f"commit {chance.randbytes(20).hex()}",
        lambda: f"id: {chance.randbytes(4).hex()}-{'-'.join(digits(chance, count) for count in (4, 4, 4, 12))}",
        lambda: f"order {digits(chance, chance.randrange(6, 12))}",
        lambda: f"request_id={digits(chance, chance.randrange(6, 21))} done",
        lambda: f"arn:aws:sqs:ap-south-1:{digits(chance, 12)}:orders",
        lambda: f"{digits(chance, 12)}.dkr.ecr.ap-south-1.amazonaws.com/web",
        lambda: f"account {digits(chance, 12)}",
        lambda: f"call +91 {chance.choice('6789')}{digits(chance, 4)} {digits(chance, 5)}",
        lambda: f"phone 91{chance.choice('6789')}{digits(chance, 9)}",
        lambda: f"v{chance.randrange(9)}.{chance.randrange(99)}.{chance.randrange(999)}-{digits(chance, 14)}",
        lambda: f"10.{chance.randrange(255)}.{chance.randrange(255)}.{chance.randrange(255)}:{chance.randrange(65536)}",
        lambda: f"latency {chance.random() * 100:.12f} ms",
        lambda: f"ref AB{digits(chance, 14)}Z",
        lambda: f"mail u{digits(chance, 3)}@example.com, git@sbi.example.com:web.git",
        lambda: "X-Trace: " + chance.randbytes(8).hex().upper(),
        lambda: f"weights {' '.join(digits(chance, 3) for _ in range(6))}",
    ))()  # fmt: skip


@pytest.mark.parametrize(("kind", "write"), [(CARD, written_card), (AADHAAR, written_aadhaar)])
def test_planted_numbers_are_found(kind: str, write: Callable[[random.Random], str]) -> None:
    chance = random.Random(7)
    texts = ["\n".join((other(chance), write(chance), other(chance))) for _ in range(PLANTED)]
    missed = [text for text in texts if kind not in {one.kind for one in identifiers.find(text)}]
    assert len(missed) <= PLANTED * (1 - LEAST_FOUND), missed[:3]


def test_documents_full_of_other_digits_raise_no_alarm() -> None:
    chance = random.Random(11)
    documents = ["\n".join(other(chance) for _ in range(12)) for _ in range(DOCUMENTS)]
    alarms = [(text, found) for text in documents if (found := identifiers.find(text))]
    assert len(alarms) < DOCUMENTS * MOST_FALSE, alarms[:3]


@pytest.mark.parametrize("text", ["4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "378282246310005",
                                  "3782 822463 10005", "6011 0000 0000 0004", "4111111111111111 1500"])  # fmt: skip
def test_a_card_is_known_in_the_forms_that_people_write(text: str) -> None:
    assert [one.kind for one in identifiers.find(f"order 8812 {text}.")] == [CARD]


@pytest.mark.parametrize("text", ["4111 1111 1111 1112", "4111-1111 1111-1111", "9111111111111111", "x4111111111111111",
                                  "411111111111111", "4444444444444444", "0.4111111111111111"])  # fmt: skip
def test_what_only_looks_like_a_card_is_none(text: str) -> None:
    assert identifiers.find(text) == []


def test_numbers_are_shown_masked() -> None:
    number = with_check("23456789012", identifiers.verhoeff)
    text = f"card 4111111111111111, aadhaar {number}, pan ABCPK1234L, upi ravi.kumar@okhdfcbank"
    masked = ["411111******1111", f"XXXX-XXXX-{number[-4:]}", "ABXXXXXX4L", "ra***@okhdfcbank"]
    assert identifiers.find(text) == [Identifier(*pair) for pair in zip((CARD, AADHAAR, PAN, UPI), masked, strict=True)]


def test_a_single_number_of_twelve_digits_needs_a_word_or_groups() -> None:
    number = with_check("23456789012", identifiers.verhoeff)
    assert identifiers.find(f"account {number}") == []
    assert [one.kind for one in identifiers.find(number, about="data['aadhaar']")] == [AADHAAR]
    assert [one.kind for one in identifiers.find(grouped(number, " "))] == [AADHAAR]


@pytest.mark.parametrize(
    "text", ["ravi@example.com", "git@sbi.example.com", "@okaxis", "shop@okaxis.com", "a@unknownbank"]
)
def test_addresses_are_no_upi_ids(text: str) -> None:
    assert identifiers.find(text) == []


def test_a_merchants_own_upi_id_is_public() -> None:
    assert identifiers.find("tatkal@sbi", about="data['MERCHANT_VPA']") == []
    assert [one.kind for one in identifiers.find("asha@sbi", about="data['sample.log']")] == [UPI]


@pytest.mark.parametrize("text", ["ABCXK1234L", "ABCPK0000L", "ABCPK1234LM", "abcpk1234l", "ABCPK1234"])
def test_what_only_looks_like_a_tax_number_is_none(text: str) -> None:
    assert identifiers.find(text) == []


def test_one_wrong_digit_and_any_two_swapped_neighbours_fail_verhoeff() -> None:
    number = with_check("23456789012", identifiers.verhoeff)
    for place in range(12):
        for digit in "0123456789":
            changed = number[:place] + digit + number[place + 1 :]
            assert identifiers.verhoeff(changed) is (changed == number)
    for place in range(11):
        swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
        assert identifiers.verhoeff(swapped) is (swapped == number)


@pytest.mark.parametrize(
    "write", [written_card, written_aadhaar, lambda _: "ABCPK1234L", lambda _: "ravi.k@okhdfcbank"]
)
def test_no_text_in_which_something_is_found_is_passed_over_before(write: Callable[[random.Random], str]) -> None:
    chance = random.Random(13)
    texts = [f"{write(chance)}{end}" for _ in range(PLANTED) for end in ("", ".", ": it is", "\n")]
    found = [text for text in texts if identifiers.find(text)]
    assert len(found) > PLANTED / 2
    assert all(map(identifiers.POSSIBLE.search, found))
