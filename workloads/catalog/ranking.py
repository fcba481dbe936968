"""How search results are ordered: a linear model over title, category and rating, and, from v3.4 on, what the visitor
looked at before. The weights come from the model file that the version names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from products import Product

RESULTS_MAX = 10


@dataclass(frozen=True)
class Model:
    name: str
    title: float
    category: float
    rating: float
    affinity: dict[str, float]


def read(folder: Path, name: str) -> Model:
    return Model(**json.loads((folder / f"{name}.json").read_text()))


def rank(products: Iterable[Product], words: list[str], model: Model, interest: str | None) -> list[Product]:
    """The best `RESULTS_MAX` products for the words; `interest` is the category the visitor came from, if known."""
    boost = model.affinity[interest] if interest else 0.0
    scored = []
    for product in products:
        found = sum(word in product.title.lower() for word in words)
        related = sum(word in product.category for word in words)
        if found or related:
            score = model.title * found + model.category * related + model.rating * product.rating
            scored.append((-(score + boost * (product.category == interest)), product.id, product))
    return [product for _, _, product in sorted(scored)[:RESULTS_MAX]]
