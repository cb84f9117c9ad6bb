"""The contestants: each brings the same trades into the same table, in batches, each batch with its offset in one transaction.

The store begins with records as they come from Kafka and reads and checks them as the sink does; `executemany` is given them
decoded. `limit` has its lines made before the clock runs, so what it takes is PostgreSQL's own work and that of handing it
bytes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import psutil
import psycopg

from market.quality import MAX_CLOCK_SKEW
from market.trade import Trade
from schemas.codec import Codec
from sinks.service import translator
from sinks.store import Advance, Batch, KafkaRecord
from sinks.stores._postgres_rows import RowMaker
from sinks.stores._postgres_session import Target
from sinks.stores._postgres_tables import TRADES, copy_into_stage, create_stage, merge
from sinks.stores.postgres import PostgresStore

BATCH = 1_000
TOPIC = "md.trades"
_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET = "UPDATE sink_offsets SET next_offset = %s, updated_at = now() WHERE sink = 'bench'"
_BACKEND = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tapeline-sink'"
_COLUMNS = ", ".join(TRADES.columns)
_INSERT = f"INSERT INTO trades ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(TRADES.columns))}) ON CONFLICT DO NOTHING"

Work = Callable[[], None]
T = TypeVar("T")


class Run:
    """A contestant ready to work: `work` brings everything in, `backend` is the process of its connection."""

    def __init__(self, work: Work, backend: int) -> None:
        self._work = work
        self._backend = psutil.Process(backend)

    def figures(self, rows: int) -> dict[str, float]:
        """What it takes. What was prepared is not looked through for garbage meanwhile."""
        gc.collect()
        gc.freeze()
        client, backend, began = time.process_time(), self._backend_seconds(), time.perf_counter()
        self._work()
        wall = time.perf_counter() - began
        client, backend = time.process_time() - client, self._backend_seconds() - backend
        gc.unfreeze()
        return {
            "rows_per_cpu_second": rows / (client + backend),
            "rows_per_second": rows / wall,
            "client_cpu_seconds": client,
            "backend_cpu_seconds": backend,
        }

    def _backend_seconds(self) -> float:
        times = self._backend.cpu_times()
        return float(times.user + times.system)


@contextmanager
def store(dsn: str, trades: Sequence[Trade]) -> Iterator[Run]:
    """The store as the sink's worker drives it."""
    ours = PostgresStore(Target(dsn), sink="bench", writer="bench")
    ours.open()
    translate = translator(ours, codec(), MAX_CLOCK_SKEW)
    sources = kafka_records(trades)

    def work() -> None:
        for begin, batch in batches(sources):
            entries = [entry for source in batch if (entry := translate(source)) is not None]
            ours.write(Batch(entries, {("md.trades", 0): Advance(begin, begin + len(batch), "id")}, {}))

    with psycopg.connect(dsn, autocommit=True) as connection:
        [(backend,)] = connection.execute(_BACKEND).fetchall()
    yield Run(work, backend)
    ours.close()


@contextmanager
def executemany(dsn: str, trades: Sequence[Trade]) -> Iterator[Run]:
    """psycopg's executemany, which sends the rows of a batch in one go (pipeline mode)."""
    with psycopg.connect(dsn) as connection:

        def work() -> None:
            for begin, batch in batches(trades):
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany(_INSERT, [values(trade, begin + number) for number, trade in enumerate(batch)])
                    cursor.execute(_OFFSET, (begin + len(batch),))

        yield Run(work, connection.info.backend_pid)


@contextmanager
def limit(dsn: str, trades: Sequence[Trade]) -> Iterator[Run]:
    """COPY of prebuilt text and the merge of our store, and nothing else."""
    maker = RowMaker(_SECOND)
    texts = []
    for begin, batch in batches(trades):
        rows = [maker(trade, KafkaRecord("md.trades", 0, begin + number, b"", b"", 0)) for number, trade in enumerate(batch)]
        texts.append((begin + len(batch), "".join(row.line for row in rows if row is not None).encode()))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(create_stage(TRADES))
        copying, merging = copy_into_stage(TRADES).as_bytes(), merge(TRADES).as_bytes()

        def work() -> None:
            for end, text in texts:
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.execute(_OFFSET, (end,))
                    with cursor.copy(copying) as copy:
                        copy.write(text)
                    cursor.execute(merging)

        yield Run(work, connection.info.backend_pid)


CONTESTANTS = {"store": store, "executemany": executemany, "limit": limit}


def codec() -> Codec:
    """What knows trades without a registry."""
    return Codec({(TOPIC, Trade): 1}, lambda _id: None)


def kafka_records(trades: Sequence[Trade]) -> list[KafkaRecord]:
    """Trades as they come from Kafka."""
    encode = codec().encode
    return [
        KafkaRecord(TOPIC, 0, offset, trade.instrument.encode(), encode(TOPIC, trade), _appended(trade))
        for offset, trade in enumerate(trades)
    ]


def batches(items: Sequence[T], most: int = BATCH) -> Iterator[tuple[int, Sequence[T]]]:
    """Items in batches of so many, each with the number of its first."""
    return ((begin, items[begin : begin + most]) for begin in range(0, len(items), most))


def _appended(trade: Trade) -> int:
    return trade.received_at // 1000 + 1


def values(trade: Trade, offset: int) -> tuple[Any, ...]:
    exchange_time = None if trade.exchange_time is None else _instant(trade.exchange_time)
    figures = Decimal(trade.price).scaleb(-12), Decimal(trade.size).scaleb(-12)
    times = exchange_time, _instant(trade.received_at), None
    more = trade.origin, trade.first_trade_id, trade.last_trade_id, trade.trade_count
    first = trade.instrument, trade.trade_id, _instant(trade.event_time), trade.sequence
    return *first, *figures, trade.side, *times, *more, 0, offset


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
