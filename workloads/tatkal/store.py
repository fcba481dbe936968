"""Where bookings are kept: one SQLite database, shared by every replica, each booking on disk before it is answered.

Seats are sold in one transaction, so two replicas never sell the same seat. When the quota is gone a passenger is put
on the waiting list, as the railway does.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

TRAINS = {"12951": "Mumbai Rajdhani", "12301": "Howrah Rajdhani", "12627": "Karnataka Express", "12839": "Chennai Mail"}
QUOTA_PER_TRAIN = 2_000
LOCK_WAIT_SECONDS_MAX = 5.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS seats (train TEXT PRIMARY KEY, free INTEGER NOT NULL CHECK (free >= 0));
CREATE TABLE IF NOT EXISTS bookings (
    pnr TEXT PRIMARY KEY, train TEXT NOT NULL, passenger TEXT NOT NULL, status TEXT NOT NULL,
    booked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Booking:
    pnr: str
    train: str
    passenger: str
    status: str


class Store:
    """Thread safe: one connection a thread."""

    def __init__(self, database_url: str) -> None:
        url = urlsplit(database_url)
        if url.scheme != "sqlite" or not url.path:
            raise SystemExit(f"DATABASE_URL {database_url!r}: expected SQLite, as in sqlite:///data/bookings.db")
        self._path = url.path
        self._local = threading.local()
        connection = self._connection()
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT OR IGNORE INTO seats VALUES (?, ?)", [(train, QUOTA_PER_TRAIN) for train in TRAINS]
        )

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=LOCK_WAIT_SECONDS_MAX, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._local.connection = connection
        return connection

    def availability(self) -> dict[str, int]:
        return dict(self._connection().execute("SELECT train, free FROM seats ORDER BY train").fetchall())

    def book(self, train: str, passenger: str) -> Booking:
        """Raises KeyError for a train that is not sold here."""
        if train not in TRAINS:
            raise KeyError(train)
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            sold = connection.execute(
                "UPDATE seats SET free = free - 1 WHERE train = ? AND free > 0", (train,)
            ).rowcount
            status = "CONFIRMED" if sold else "WAITLISTED"
            booking = Booking(uuid.uuid4().hex[:10].upper(), train, passenger, status)
            connection.execute(
                "INSERT INTO bookings (pnr, train, passenger, status) VALUES (?, ?, ?, ?)",
                (booking.pnr, booking.train, booking.passenger, booking.status),
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return booking

    def find(self, pnr: str) -> Booking | None:
        query = "SELECT pnr, train, passenger, status FROM bookings WHERE pnr = ?"
        row = self._connection().execute(query, (pnr,)).fetchone()
        return Booking(*row) if row else None

    def check(self) -> None:
        """Raises sqlite3.Error when the database cannot be read and written."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("SELECT free FROM seats").fetchone()
        finally:
            connection.execute("ROLLBACK")
