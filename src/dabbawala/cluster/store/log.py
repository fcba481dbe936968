"""The append log on disk: one SQLite file in WAL mode with synchronous=FULL.

Every write appends one row; a row that a later one replaced is deleted once its event has left the history. Rows carry
a checksum, so loading proves the file. Only one thread uses the writing connection; a second connection moves the WAL
into the file, so that a writer never pays for that.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dabbawala.cluster.store import journal
from dabbawala.cluster.store.entry import Key
from dabbawala.cluster.store.errors import Corrupt, NoSpace, StoreError, WriteFailed

FORMAT = 1
WAL_LIMIT = 64 << 20  # bytes; beyond it the writer itself truncates the WAL
_PAGE = 4096
_FREE_PAGES = 4096  # unused pages tolerated in the file before it is shortened
_SHORTEN = 512  # pages given back at once
_AT_ONCE = 64  # rows in one statement: between two of them this thread waits until the event loop lets it go on
_ROW = "(?, ?, ?, ?, ?, ?, ?)"

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL,"
    " name TEXT NOT NULL, deleted INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)


class Row(NamedTuple):
    """One write. `deleted` rows carry the last body."""

    revision: int
    key: Key
    deleted: bool
    body: bytes


class Log:
    """The writing connection. All methods block; errors are StoreErrors."""

    def __init__(self, path: Path, *, max_bytes: int = 0) -> None:
        self.path = path
        if lost := journal.missing(path):
            raise _corrupt(path, f"its journal {_wal(path).name} lacks {lost} frames of answered writes")
        self._connection = _connect(path)
        try:
            self._prepare(max_bytes)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise _opening_error(path, error) from error
        except StoreError:
            self._connection.close()
            raise

    def _prepare(self, max_bytes: int) -> None:
        run = self._connection.execute
        run("PRAGMA auto_vacuum=INCREMENTAL")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA wal_autocheckpoint=0")
        if max_bytes:
            run(f"PRAGMA max_page_count={max(1, max_bytes // _PAGE)}")
        for statement in _SCHEMA:
            run(statement)
        run("INSERT OR IGNORE INTO facts VALUES ('format', ?), ('floor', 0), ('revision', 0)", (FORMAT,))
        found = self.fact("format")
        if found != FORMAT:
            raise Corrupt(f"{self.path} has format {found}, this version reads {FORMAT}; use the version that wrote it")

    def fact(self, name: str) -> int:
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def rows(self) -> Iterator[Row]:
        """Every row, oldest first. Raises Corrupt at the first damaged one."""
        query = "SELECT revision, resource, namespace, name, deleted, body, checksum FROM log ORDER BY revision"
        try:
            for revision, resource, namespace, name, deleted, body, checksum in self._connection.execute(query):
                if not isinstance(body, bytes) or zlib.crc32(body) != checksum:
                    raise _corrupt(self.path, f"revision {revision} of {resource} does not match its checksum")
                yield Row(revision, Key(resource, namespace, name), bool(deleted), body)
        except sqlite3.DatabaseError as error:
            raise _corrupt(self.path, str(error)) from error

    def append(self, rows: Sequence[Row], garbage: Iterable[int] = (), floor: int = 0) -> None:
        """Append rows and delete garbage in one transaction; on return it is on disk, on an exception nothing is."""
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE]
                run(f"INSERT INTO log VALUES {', '.join([_ROW] * len(part))}", _values(part))
            if floor:
                run(f"DELETE FROM log WHERE revision IN ({', '.join(map(str, garbage))})")
                run("UPDATE facts SET value = ? WHERE name = 'floor'", (floor,))
            if rows:
                run("UPDATE facts SET value = ? WHERE name = 'revision'", (rows[-1].revision,))
            run("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _write_error(self.path, error) from error

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()
            self._connection = _connect(self.path)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint=0")

    def tidy(self) -> None:
        """Give pages back when many are unused, and shorten a WAL that the checkpointer could not keep up with."""
        try:
            free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            if free > _FREE_PAGES:
                self._connection.execute(f"PRAGMA incremental_vacuum({_SHORTEN})").fetchall()
            if _size(_wal(self.path)) > WAL_LIMIT:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            return  # room is saved another time; what is written is safe

    def close(self) -> None:
        """Leaves one file that stands alone, so that copying it is a backup."""
        with contextlib.suppress(sqlite3.Error):  # without room for that, the WAL stays beside it and is read again
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()


def _values(rows: Sequence[Row]) -> list[object]:
    return [value for row in rows for value in (row.revision, *row.key, row.deleted, row.body, zlib.crc32(row.body))]


class Checkpointer:
    """Moves the WAL into the file by a connection of its own; use it from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def move(self) -> None:
        try:
            self._connection = self._connection or _connect(self._path)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, StoreError):
            return  # a full disk or a busy file: the WAL keeps everything until next time

    def close(self) -> None:
        """Whoever closes the file last removes its WAL, so this comes before the log's own end."""
        if self._connection is not None:
            self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    except sqlite3.Error as error:
        raise WriteFailed(f"cannot open {path}: {error}") from error


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _corrupt(path: Path, why: str) -> Corrupt:
    return Corrupt(
        f"the cluster's state file {path} is damaged ({why}); restore it from a backup, or start anew,"
        " without its objects, by `dabba up --fresh`"
    )


def _opening_error(path: Path, error: sqlite3.Error) -> StoreError:
    """A disk that is full or refuses is not a damaged file, and nobody shall throw the state away for it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _write_error(path, error)
    if code == sqlite3.SQLITE_IOERR and not shutil.disk_usage(path.parent).free:
        return _no_space(path)
    return _corrupt(path, str(error))


def _no_space(path: Path) -> NoSpace:
    return NoSpace(f"no space left to write {path}; nothing was written; free some space and try again")


def _write_error(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _no_space(path)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(path, str(error))
    return WriteFailed(f"cannot write {path}: {error}; nothing was written")
