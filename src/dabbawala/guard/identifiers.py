"""Numbers of cards and people in text: payment cards, Aadhaar, income-tax PAN, UPI ids.

Text is full of digits that are none of these: timestamps, hashes, order and account numbers, phone numbers. A card must
be of a known issuer and pass Luhn's check; an Aadhaar must pass Verhoeff's and be written as people write it, in three
groups of four, or stand beside a word that says what it is, or in a list where most numbers pass. What is found is
shown masked, with no more digits than PCI DSS 3.4.1 and UIDAI allow to be seen. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

CARD, AADHAAR, PAN, UPI = "card", "aadhaar", "pan", "upi"
FOUND_MAX = 50
"""Of one text; nobody reads more."""

_AROUND = 48  # characters before a number in which a word explains it
_LIST = 3  # numbers of which most must pass before their number alone convinces: 1 in 200 such lists does by chance

POSSIBLE = re.compile(r"\d{12}|\d{4}[ -]\d{4}|[A-Z]\d{4}[A-Z]|@[a-z]{3,15}(?![\w@\-:/]|\.\w)")
"""What every text has in which something is found."""
_CARD = re.compile(
    r"(?<![\w.+\-/%@])"
    r"(?=(\d{14,19}|\d{4}([ -])(?:\d{4}\2\d{4}\2\d{2,4}(?:\2\d{3})?|\d{6}\2\d{4,5})(?! \d))(?![\w%@]|-\d|[.:/+]\w))"
)  # overlapping, as a number of four digits may stand in front
_EXPLAINED = re.compile(r"(?<![\w.+\-])\d{12}(?![\w@]|[.:/+\-]\w)")
_GROUPED = re.compile(r"(?<![\w.+\-/])(?<!\d )[2-9]\d{3}([ -])\d{4}\1\d{4}(?![\w@]| \d|[.:/+\-]\w)")
_AADHAAR_WORD = re.compile(r"(?i)aadha+r|\buid(ai)?\b|uid_?(no|num)")
_PAN = re.compile(r"(?<![A-Za-z0-9_./+\-])[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z](?![A-Za-z0-9_/+=]|[.\-]\w)")
_UPI = re.compile(r"(?<![\w.+\-/@%])([A-Za-z0-9][\w.\-]{1,63})@([a-z]{3,15})(?![\w@\-:/]|\.\w)")
_MERCHANT = re.compile(r"(?i)merchant|payee|business|settlement|collect|biller|corporate")
_TIMESTAMP = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])\d+")
_PHONE = re.compile(r"(91|091|0091)[6-9]\d{9}")

# First digits of issuers and the lengths of their numbers. Source: ISO/IEC 7812 ranges as the networks publish them.
_ISSUERS = (
    (re.compile(r"4"), (16,)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"60|65|81|82|508|353|356|64[4-9]"), (16,)),  # RuPay, Discover
    (re.compile(r"30[0-5]|36|38"), (14,)),  # Diners Club
    (re.compile(r"352[89]|35[3-8]"), (16,)),  # JCB
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
)
# What stands behind the @ of a UPI id. Nobody publishes a complete list.
_HANDLES = frozenset(
    (
        "abfspay", "airtel", "airtelpaymentsbank", "albk", "allbank", "apl", "aubank", "axisb", "axisbank",
        "axisgo", "axl", "bandhan", "barodampay", "boi", "cboi", "citi", "cnrb", "csbpay", "dbs", "dcb",
        "equitas", "fbl", "federal", "fifederal", "freecharge", "goaxb", "hdfcbank", "hdfcbankjd", "hsbc",
        "ibl", "icici", "idbi", "idfcbank", "idfcfirst", "ikwik", "indianbank", "indie", "indus", "iob", "jio",
        "jiopay", "jsb", "jupiteraxis", "kbl", "kmbl", "kotak", "kvb", "mahb", "naviaxis", "obc", "okaxis",
        "okbizaxis", "okhdfcbank", "okicici", "oksbi", "paytm", "payzapp", "pingpay", "pnb", "postbank", "psb",
        "ptaxis", "pthdfc", "ptsbi", "ptyes", "rapl", "rbl", "rmhdfcbank", "sbi", "scbl", "sib", "sliceaxis",
        "slc", "superyes", "tapicici", "timecosmos", "tjsb", "ubi", "uboi", "uco", "unionbank", "upi", "utbi",
        "waaxis", "wahdfcbank", "waicici", "wasbi", "yapl", "ybl", "yesbank", "yesbankltd", "yespay", "zoicici",
    )
)  # fmt: skip
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


class Identifier(NamedTuple):
    """One that was found. `masked` is all that may be shown of it."""

    kind: str
    masked: str


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right. Source: ISO/IEC 7812-1 annex B."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(double - 9 if double > 9 else double for double in doubled)) % 10 == 0


def verhoeff(digits: str) -> bool:
    """Whether the check digit of an Aadhaar number is right. Source: Verhoeff 1969, as UIDAI uses it."""
    left = 0
    for place, digit in enumerate(reversed(digits)):
        left = int(_DIHEDRAL[left][int(_PERMUTED[place % 8][int(digit)])])
    return left == 0


def find(text: str, about: str = "") -> list[Identifier]:
    """What a text holds, in its order. `about` says what the text is: the key or the path of a field."""
    found = sorted((*_cards(text), *_aadhaars(text, about), *_taxpayers(text), *_payers(text, about)))
    return list(dict.fromkeys(one for _, one in found))[:FOUND_MAX]


def _cards(text: str) -> Iterator[tuple[int, Identifier]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group(1))
        if _is_card(digits):
            yield match.start(), Identifier(CARD, f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}")


def _is_card(digits: str) -> bool:
    issued = any(len(digits) in lengths and begins.match(digits) for begins, lengths in _ISSUERS)
    return issued and len(set(digits)) > 1 and luhn(digits)


def _aadhaars(text: str, about: str) -> Iterator[tuple[int, Identifier]]:
    for match in _GROUPED.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if verhoeff(digits):
            yield match.start(), _masked_aadhaar(digits)
    plain = [match for match in _EXPLAINED.finditer(text) if not _is_other(match.group())]
    passing = {match.group() for match in plain if _is_aadhaar(match.group())}
    listed = len(passing) >= _LIST and 2 * len(passing) > len({match.group() for match in plain})
    explained = bool(_AADHAAR_WORD.search(about))
    for match in plain:
        before = text[max(match.start() - _AROUND, 0) : match.start()]
        if match.group() in passing and (listed or explained or _AADHAAR_WORD.search(before)):
            yield match.start(), _masked_aadhaar(match.group())


def _is_aadhaar(digits: str) -> bool:
    return digits[0] not in "01" and verhoeff(digits)


def _is_other(digits: str) -> bool:
    """A time written as digits, or a phone number with the country in front."""
    return bool(_TIMESTAMP.fullmatch(digits) or _PHONE.fullmatch(digits))


def _masked_aadhaar(digits: str) -> Identifier:
    return Identifier(AADHAAR, f"XXXX-XXXX-{digits[-4:]}")


def _taxpayers(text: str) -> Iterator[tuple[int, Identifier]]:
    for match in _PAN.finditer(text):
        if match.group()[5:9] != "0000":
            yield match.start(), Identifier(PAN, f"{match.group()[:2]}XXXXXX{match.group()[-2:]}")


def _payers(text: str, about: str) -> Iterator[tuple[int, Identifier]]:
    """UPI ids of people. A merchant's own is published on purpose."""
    for match in _UPI.finditer(text):
        name, handle = match.groups()
        before = about + text[max(match.start() - _AROUND, 0) : match.start()]
        if handle in _HANDLES and not _MERCHANT.search(before + name):
            yield match.start(), Identifier(UPI, f"{name[:2]}***@{handle}")
