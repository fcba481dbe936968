"""What is for sale: a fixed assortment, the same in every replica and every version."""

from __future__ import annotations

from dataclasses import dataclass

CATEGORIES = {
    "mobiles": ("phone", "charger", "earbuds", "power bank"),
    "fashion": ("saree", "kurta", "jeans", "jacket"),
    "footwear": ("sandals", "running shoes", "boots", "juttis"),
    "books": ("novel", "atlas", "cookbook", "dictionary"),
    "home": ("pressure cooker", "lamp", "curtain", "tiffin box"),
}
MAKERS = ("Asha", "Bharat", "Chandra", "Deepak", "Ganga", "Himal", "Indus", "Jaya")


@dataclass(frozen=True)
class Product:
    id: int
    title: str
    category: str
    rating: float
    price_inr: int


def assortment() -> tuple[Product, ...]:
    made = [
        (category, f"{maker} {thing}")
        for category, things in CATEGORIES.items()
        for thing in things
        for maker in MAKERS
    ]
    return tuple(
        Product(number, title, category, 3.0 + number * 7 % 20 / 10, 199 + number * 137 % 20_000)
        for number, (category, title) in enumerate(made)
    )
