"""The connections of the history: a pool that only reads, gives up in time, and names its failures.

Values come as the domain has them: decimals as unscaled integers, for every numeric column has a fixed scale and PostgreSQL
writes all its places; times as microseconds since 1970.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import QueryCanceled
from psycopg.sql import Composed
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from history.errors import HistoryTooSlow, HistoryUnavailable, HistoryUnfit
from history.times import micros_of

_GRACE = 2.0  # seconds beyond the database's own limit, after which a silent connection is given up

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Rows = list[tuple[Any, ...]]


class Unscaled(Loader):
    """Decimals as unscaled integers."""

    def load(self, data: Buffer) -> int:
        """The digits without their point."""
        return int(bytes(data).replace(b".", b""))


class Micros(Loader):
    """Times as microseconds."""

    def load(self, data: Buffer) -> int:
        """The microseconds of a time."""
        return micros_of(bytes(data).decode())


class Database:
    """A pool of at most `connections`; an answer may take `timeout` seconds, and so may waiting for a connection.

    To be entered on the event loop it is used on.
    """

    def __init__(self, dsn: str, *, connections: int = 4, timeout: float = 5.0, connect_timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._address = _address(dsn)
        self._under_way: set[asyncio.Task[Rows]] = set()
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=connections,
            timeout=timeout,
            open=False,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=connect_timeout,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(2, round(connect_timeout)),
                "application_name": "tapeline-history",
                "client_encoding": "utf-8",
            },
        )

    async def __aenter__(self) -> Self:
        """Open the pool; a database that does not answer is told of when it is asked."""
        await self._pool.open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every connection; what is still under way is given up."""
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.close()

    async def rows(self, statement: Composed, values: Sequence[Any]) -> Rows:
        """The rows of a query. Raises HistoryUnavailable, HistoryTooSlow, HistoryUnfit."""
        try:
            return await self._in_time(self._fetch(statement, values))
        except QueryCanceled as error:
            raise HistoryTooSlow(f"PostgreSQL at {self._address}: no answer within {self._timeout:g} s") from error
        except (PoolTimeout, TimeoutError) as error:
            reason = f"no connection within {self._timeout:g} s" if isinstance(error, PoolTimeout) else "does not answer"
            raise HistoryUnavailable(f"PostgreSQL at {self._address}: {reason}") from error
        except psycopg.Error as error:
            text = f"PostgreSQL at {self._address}: {' '.join(str(error).split())}"
            unavailable = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
            raise (HistoryUnavailable if unavailable else HistoryUnfit)(text) from error

    async def _fetch(self, statement: Composed, values: Sequence[Any]) -> Rows:
        async with self._pool.connection() as connection:
            return await (await connection.execute(statement, values)).fetchall()

    async def _in_time(self, work: Coroutine[Any, Any, Rows]) -> Rows:
        """The result of work, which is left behind when it takes too long: psycopg cancels it by asking the same server."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=2 * self._timeout + _GRACE)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        task.cancel()
        raise TimeoutError

    def _forget(self, task: asyncio.Task[Rows]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; for a task that was left behind nobody wants it

    async def _configure(self, connection: Connection) -> None:
        connection.adapters.register_loader("numeric", Unscaled)
        connection.adapters.register_loader("timestamptz", Micros)
        limits = {
            "TimeZone": "UTC",
            "DateStyle": "ISO",
            "default_transaction_read_only": "on",
            "statement_timeout": f"{self._timeout:.3f}s",
        }
        for name, value in limits.items():
            await connection.execute("SELECT set_config(%s, %s, false)", (name, value))


def _address(dsn: str) -> str:
    """Host, port and database, for messages: never the password."""
    try:
        words = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise HistoryUnfit("the connection string is none: a URL postgresql://… or key=value words") from None
    host = words.get("host") or words.get("hostaddr") or "local socket"
    return f"{host}:{words.get('port') or 5432}/{words.get('dbname') or words.get('user') or ''}"
