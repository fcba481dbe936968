"""A recorded day at a shop, made by rule: the same samples for our engine and for the oracle.

Scrapes come every 15 s, 3.217 s off the whole minute, so that no sample lies exactly on a range boundary, where
Prometheus 2 and 3 differ by design.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from dabbawala.timeseries import labels
from dabbawala.timeseries.samples import Samples

START = 1_760_000_000 - 1_760_000_000 % 7200
STEP = 15
COUNT = 480
OFFSET = 3.217
END = START + COUNT * STEP

Point = tuple[str, dict[str, str], float, float]


def _counter(seed: int, index: int, *, reset_every: int = 0) -> float:
    """Grows unevenly; starts again at zero now and then, as a restarted process does."""
    since = index % reset_every if reset_every else index
    return sum(1 + (seed * 31 + step * 7) % 11 for step in range(since + 1)) * (1 + seed / 128)


SERIES: tuple[tuple[str, dict[str, str], str, int], ...] = (
    *(
        (
            "http_requests_total",
            {"job": "product-search", "rollouts_pod_template_hash": h, "status": s, "region": r},
            "c",
            n,
        )
        for n, (h, s, r) in enumerate(
            (h, s, r) for h in ("aaa", "bbb") for s in ("200", "404", "500") for r in ("mumbai", "delhi")
        )
    ),
    ("payment_requests_failed_total", {"gateway": "upi"}, "c", 3),
    ("payment_requests_total", {"gateway": "upi"}, "c", 40),
    *(("payment_success_total", {"gateway": g}, "r", n) for n, g in enumerate(("upi", "cards", "wallets"))),
    *(("payment_total", {"gateway": g}, "r", n + 9) for n, g in enumerate(("upi", "cards", "wallets"))),
    ("ecommerce_conversions_total", {"rollouts_pod_template_hash": "aaa"}, "c", 5),
    ("ecommerce_conversions_total", {"rollouts_pod_template_hash": "bbb"}, "c", 6),
    ("ecommerce_page_views_total", {"rollouts_pod_template_hash": "aaa"}, "c", 25),
    ("ecommerce_page_views_total", {"rollouts_pod_template_hash": "bbb"}, "c", 26),
    *(("inventory_available", {"category": c}, "g", n) for n, c in enumerate(("electronics", "books"))),
    *(("inventory_initial", {"category": c}, "k", n) for n, c in enumerate(("electronics", "books"))),
    ("transactions_amount_total", {"amount_range": ">2lakh"}, "c", 2),
    ("database_connections_active", {"pool": "orders"}, "g", 4),
    ("database_connections_max", {"pool": "orders"}, "k", 4),
    ("cache_hits_total", {}, "c", 11),
    ("cache_misses_total", {}, "c", 12),
    ("order_value_inr_total", {"city": "pune"}, "r", 13),
    ("orders_total", {"city": "pune"}, "c", 14),
    ("orders_total", {"city": "surat"}, "r", 15),
    *(
        ("database_query_duration_seconds", {"region": r, "db_type": d}, "g", n)
        for n, (r, d) in enumerate((r, d) for r in ("mumbai", "delhi") for d in ("postgres", "mongo"))
    ),
    *(("container_cpu_usage_seconds_total", {"pod": p}, "c", n) for n, p in enumerate(("a", "b", "c"))),
    *(("container_memory_usage_bytes", {"pod": p}, "g", n) for n, p in enumerate(("a", "b", "c"))),
    *(("container_spec_memory_limit_bytes", {"pod": p}, "k", n) for n, p in enumerate(("a", "b", "c"))),
    ("pod_info", {"pod": "a", "node": "n1"}, "k", 0),
    ("pod_info", {"pod": "b", "node": "n2"}, "k", 0),
    ("temperature", {"room": "1"}, "g", 21),
    ("temperature", {"room": "2"}, "s", 22),
    ("sparse", {}, "x", 1),
)
BOUNDS = ("0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")


def _value(rule: str, seed: int, index: int) -> float | None:
    match rule:
        case "c":
            return _counter(seed, index)
        case "r":
            return _counter(seed, index, reset_every=97 + seed)
        case "k":
            return 1000.0 + 10 * seed
        case "g":
            return 500 + 300 * math.sin(index / (7 + seed)) + seed
        case "s":
            return float((index * 17 + seed) % 23 - 11)
    return float(index) if index % 29 < 3 else None


def points() -> Iterator[Point]:
    """Series by series, oldest first: name, labels, Unix seconds, value."""
    for name, pairs, rule, seed in SERIES:
        for index in range(COUNT):
            value = _value(rule, seed, index)
            if value is not None:
                yield name, pairs, START + index * STEP + OFFSET, value
    for hash_ in ("aaa", "bbb"):
        for index in range(COUNT):
            total = 0.0
            for place, bound in enumerate(BOUNDS):
                total += _counter(place * 5 + len(hash_), index) * (7 - place)
                pairs = {"job": "product-search", "rollouts_pod_template_hash": hash_, "le": bound}
                yield "http_request_duration_seconds_bucket", pairs, START + index * STEP + OFFSET, total


def samples() -> Samples:
    store = Samples(retention_ms=10**15)
    for name, pairs, seconds, value in points():
        store.append(labels.make([(labels.NAME, name), *pairs.items()]), round(seconds * 1000), value)
    return store


def open_metrics() -> str:
    """For backfilling the oracle; families must stand together, untyped."""
    lines: dict[str, list[str]] = {}
    for name, pairs, seconds, value in points():
        inside = ",".join(f'{label}="{text}"' for label, text in pairs.items())
        lines.setdefault(name, []).append(f"{name}{{{inside}}} {value!r} {seconds:.3f}")
    return "\n".join(line for family in lines.values() for line in family) + "\n# EOF\n"
