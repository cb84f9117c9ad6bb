"""Fresh databases on the test server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from tests.servers import Addresses


@contextmanager
def fresh_database(servers: Addresses) -> Iterator[str]:
    """Connection string of an empty database, gone after the block."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(servers.postgres, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield make_conninfo(servers.postgres, dbname=name)
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def database(servers: Addresses) -> Iterator[str]:
    """Connection string of an empty database of the test's own."""
    with fresh_database(servers) as address:
        yield address
