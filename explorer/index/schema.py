"""The tables of an index, and how its file is opened."""

import sqlite3
from pathlib import Path

from pole.errors import BadInput

VERSION = 2
_TABLES = """
CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, hash TEXT NOT NULL,
  time INTEGER NOT NULL, head INTEGER NOT NULL, finalized INTEGER NOT NULL);
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash TEXT NOT NULL, time INTEGER NOT NULL,
  has_events INTEGER NOT NULL);
CREATE INDEX passing_blocks ON blocks (number) WHERE has_events = 0;
CREATE TABLE events (id INTEGER PRIMARY KEY, tx TEXT NOT NULL, contract TEXT NOT NULL, name TEXT NOT NULL,
  args TEXT NOT NULL, time INTEGER NOT NULL, derived TEXT NOT NULL);
CREATE INDEX events_by_name ON events (name, id);
CREATE INDEX events_by_tx ON events (tx);
CREATE TABLE keys (kind TEXT NOT NULL, value TEXT NOT NULL, event INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (kind, value, event)) WITHOUT ROWID;
CREATE INDEX keys_by_event ON keys (event);
CREATE TABLE parts (account TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, first_event INTEGER NOT NULL,
  PRIMARY KEY (account, kind, value)) WITHOUT ROWID;
CREATE INDEX parts_in_order ON parts (account, kind, first_event);
CREATE INDEX parts_by_event ON parts (first_event);
CREATE TABLE transactions (hash TEXT PRIMARY KEY, block INTEGER NOT NULL, sender TEXT, recipient TEXT, step TEXT,
  gas_used INTEGER, gas_price INTEGER) WITHOUT ROWID;
CREATE INDEX unread_transactions ON transactions (block) WHERE sender IS NULL;
CREATE INDEX transactions_by_block ON transactions (block);
"""


def open_index(path: Path, is_read_only: bool = False) -> sqlite3.Connection:
    """The connection, in autocommit; raises BadInput for a file that is something else.

    A power failure may lose the newest transactions, never half of one: they are read from the chain again.
    """
    try:
        where = f"{path.absolute().as_uri()}?mode={'ro' if is_read_only else 'rwc'}"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=60)
        if is_read_only:
            connection.execute("PRAGMA query_only = ON")
            return connection
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _make(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as exc:
        raise BadInput(f"cannot use the index {path}: {exc}; delete the file, it is made anew from the chain") from exc
    return connection


def _make(connection: sqlite3.Connection) -> None:
    """An index holds nothing but what the chain says: one of another version is made anew."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        connection.execute(f'DROP TABLE "{table}"')
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
