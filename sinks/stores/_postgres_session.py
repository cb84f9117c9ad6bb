"""One connection to PostgreSQL for a sink, with time limits and named failures.

libpq waits for ever for a server that fell silent (a stopped process, a cut network), so every block of work has a deadline
at which the connection is cut from outside. What PostgreSQL then makes of an open transaction is unknown to us; the stored
offset tells the next attempt.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Timer
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from runtime.errors import ConfigurationError, Problem
from sinks.store import StoreUnavailable, StoreUnfit

NAME = "PostgreSQL"

_NO_PARTITION = "23514"
_RECORD_AT_FAULT = ("22", "23", "54")  # data exceptions, constraints, limits such as the length of an index entry
_PROGRAM_AT_FAULT = ("42", "3F", "0A")  # a table or a right is missing, something is not supported


class RowRefused(Exception):
    """PostgreSQL refuses what it was given; nothing of the transaction is stored."""

    def __init__(self, text: str, field: str | None) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class Target:
    """A database to connect to and how long to wait for it, in seconds."""

    dsn: str
    connect_timeout: float = 5.0
    work_timeout: float = 8.0

    @property
    def address(self) -> str:
        """Host, port and database, for messages: never the password. Raises ConfigurationError."""
        try:
            words = conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            problem = Problem("postgres.dsn", "is no connection string: a URL postgresql://… or key=value words")
            raise ConfigurationError(problem) from None  # the cause's text may hold the password
        host = words.get("host") or words.get("hostaddr") or "local socket"
        return f"{host}:{words.get('port') or 5432}/{words.get('dbname') or words.get('user') or ''}"


class Session:
    """An open connection. Whatever goes wrong inside `work`, the session is to be closed and made anew, or is as before."""

    def __init__(self, target: Target) -> None:
        self._address = target.address
        self._timeout = target.work_timeout
        with self._named_failures():
            self.connection = psycopg.connect(
                target.dsn,
                autocommit=True,
                connect_timeout=max(2, round(target.connect_timeout)),
                application_name="tapeline-sink",
                client_encoding="utf-8",
            )
        # A second handle on the same socket: shutting it down wakes whoever waits, and its number cannot be given away.
        self._handle = socket.socket(fileno=os.dup(self.connection.fileno()))
        try:
            with self.work():
                self._set_limits()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave without waiting; an open transaction is rolled back."""
        self._handle.close()
        with contextlib.suppress(psycopg.Error):
            self.connection.close()

    @contextlib.contextmanager
    def work(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A block of statements that must end in time. Raises StoreUnavailable, RowRefused, StoreUnfit."""
        expired: list[bool] = []
        timer = Timer(self._timeout, self._cut, (expired,))
        timer.daemon = True
        timer.start()
        try:
            with self._named_failures(expired):
                yield self.connection
        finally:
            timer.cancel()
            timer.join()

    def _cut(self, expired: list[bool]) -> None:
        expired.append(True)
        with contextlib.suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)

    def _set_limits(self) -> None:
        limits = {
            "TimeZone": "UTC",
            "statement_timeout": f"{self._timeout:.3f}s",
            "lock_timeout": f"{self._timeout / 2:.3f}s",
            # The locks of a worker that was stopped in the middle of a batch must not outlive it for long.
            "idle_in_transaction_session_timeout": "60s",
        }
        for name, value in limits.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    @contextlib.contextmanager
    def _named_failures(self, expired: list[bool] | None = None) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            if expired:
                raise self._unavailable(f"did not answer within {self._timeout:g} s") from error
            raise self._named(error) from error

    def _named(self, error: psycopg.Error) -> Exception:
        state, text = error.sqlstate or "", _one_line(error)
        if state == _NO_PARTITION and error.diag.constraint_name is None:
            return self._unavailable(f"a partition was removed while it was written to: {text}", retry_after=0.0)
        if state.startswith(_RECORD_AT_FAULT):
            return RowRefused(f"{NAME} {state}: {text}", error.diag.column_name or error.diag.constraint_name)
        if state.startswith(_PROGRAM_AT_FAULT):
            return StoreUnfit(f"{NAME} at {self._address}: {state}: {text}")
        if isinstance(error, psycopg.OperationalError | psycopg.InternalError | psycopg.InterfaceError):
            return self._unavailable(text)
        return StoreUnfit(f"{NAME} at {self._address}: {text}")

    def _unavailable(self, reason: str, *, retry_after: float | None = None) -> StoreUnavailable:
        return StoreUnavailable(NAME, self._address, reason, retry_after=retry_after)


def _one_line(error: psycopg.Error) -> str:
    parts = [error.diag.message_primary, error.diag.message_detail]
    return " ".join(" ".join(part for part in parts if part).split() or str(error).split())
