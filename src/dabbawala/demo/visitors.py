"""What visitors ask for: request number n, for each service. A pure function of n, so every run asks the same.

Nothing here knows which version is good or bad.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

TRAINS = ("12951", "12301", "12627", "12839")
WORDS = ("asha", "ganga lamp", "himal boots", "indus phone", "jaya saree", "deepak novel", "bharat", "books")
INTERESTS = ("mobiles", "footwear", "fashion", "footwear", "books", "footwear", "home", "")
PRODUCTS = 160


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def encode(self, authority: str) -> bytes:
        """HTTP/1.1 on the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {authority}", "accept: */*"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines += ["content-type: application/json", f"content-length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def tatkal(number: int) -> Request:
    """Seven look-ups of seats to one booking."""
    if number % 8 == 7:
        wanted = {"train": TRAINS[number // 8 % len(TRAINS)], "passenger": f"passenger {number}"}
        return Request("POST", "/api/v1/tatkal/bookings", body=json.dumps(wanted).encode())
    return Request("GET", "/api/v1/tatkal/availability")


def catalog(number: int) -> Request:
    """Four searches, three product pages, three purchases; most words come again, some are new."""
    spread = number * 2_654_435_761 % 2**32
    match number % 10:
        case 0 | 3 | 5 | 8:
            words = WORDS[spread % len(WORDS)]
            fresh = f" {spread % 100_000}" if spread % 3 == 0 else ""
            interest = INTERESTS[spread // 7 % len(INTERESTS)]
            cookie = (("cookie", f"interest={interest}"),) if interest else ()
            return Request("GET", f"/api/v1/search?q={(words + fresh).replace(' ', '+')}", cookie)
        case 2 | 6 | 9:
            return Request("POST", f"/api/v1/products/{spread % PRODUCTS}/purchase")
        case _:
            return Request("GET", f"/api/v1/products/{spread % PRODUCTS}")


VISITORS: dict[str, Callable[[int], Request]] = {"tatkal": tatkal, "catalog": catalog}
