"""Every topic: what it carries, how it is keyed, how long it is kept. The only place that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from market.book_top import BookTop
from market.candle import CandleEvent
from market.control import ControlCommand
from market.dead_letter import DeadLetter, LetterReplay
from market.depth import Depth
from market.feed_status import FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.portfolio import Portfolio
from market.portfolio_alert import Alert
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply
from market.price import PriceRecord
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from market.valuation_record import Valuation, ValuationLine
from schemas.records import Record

_HOUR = 3_600_000
_DAY = 24 * _HOUR


def _instrument(record: Any) -> str:
    return str(record.instrument)


def _portfolio(record: Any) -> str:
    return str(record.portfolio_id)


def _candle_key(candle: CandleEvent) -> str:
    return f"{candle.instrument}|{candle.interval}|{candle.open_time}"


def _status_key(status: FeedStatus) -> str:
    return f"{status.venue}:{status.channel}:{status.instrument}"


def _line_key(line: ValuationLine) -> str:
    return f"{line.portfolio_id}|{line.position_id}"


def _venue(command: ControlCommand) -> str:
    return command.venue


def _day_end_key(valuation: Valuation) -> str:
    return f"{valuation.portfolio_id}|{valuation.day_end_at}"


def _source(letter: DeadLetter | LetterReplay) -> str:
    return letter.source


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic.

    `key` makes a record's key, `partition_id` the text its partition is computed from (the key itself unless the key is finer).
    A topic `heals` when what is missing of it is made up for by what comes later: a snapshot, a newer quote.
    `by_instrument` topics share one configured partition count, so that equal instruments meet in equal partitions, and equal
    portfolios.
    """

    name: str
    records: tuple[type[Record], ...]
    key: Callable[[Any], str]
    doc: str
    retention_ms: int
    partition_id: Callable[[Any], str] | None = None
    by_instrument: bool = True
    heals: bool = False
    compacted: bool = False
    max_message_bytes: int = 1 << 20

    def partitions(self, configured: int) -> int:
        """How many partitions it has when `configured` is the count of the topics partitioned by instrument."""
        return configured if self.by_instrument else 1

    def place(self, record: Record) -> tuple[bytes, str]:
        """Key bytes and partition id of a record."""
        key = self.key(record)
        return key.encode(), key if self.partition_id is None else self.partition_id(record)

    def config(self, min_insync_replicas: int) -> dict[str, str]:
        """The broker's settings of the topic. Append time, since replays carry old event times."""
        config = {
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(min_insync_replicas),
            "max.message.bytes": str(self.max_message_bytes),
            "retention.ms": str(self.retention_ms),
            "cleanup.policy": "compact,delete" if self.compacted else "delete",
        }
        if self.compacted:
            config["min.compaction.lag.ms"] = str(_HOUR)
            if self.retention_ms < 0:
                config["cleanup.policy"] = "compact"
        return config


TRADES = Topic(
    "md.trades",
    (Trade, TimeMark, GapMark),
    _instrument,
    "Trades, with time marks and gap marks among them",
    7 * _DAY,
)
QUOTES = Topic("md.quotes", (Quote,), _instrument, "What venues say about prices: book tops and tickers", 2 * _DAY, heals=True)
KLINES = Topic("md.klines", (Kline,), _instrument, "Candles computed by the venues", 7 * _DAY)
FUNDING = Topic("md.funding", (Funding,), _instrument, "Funding rates of perpetual contracts", 7 * _DAY)
OPEN_INTEREST = Topic("md.open-interest", (OpenInterest,), _instrument, "How much of each derivative is held open", 7 * _DAY)
INSTRUMENTS = Topic(
    "md.instruments",
    (InstrumentDefinition,),
    _instrument,
    "What venues list: steps of price and size, currencies, multiplier, status",
    -1,
    compacted=True,
)
DEPTH = Topic("md.depth", (Depth,), _instrument, "Order books as snapshots and deltas, with their state", 6 * _HOUR, heals=True)
BOOKS = Topic("md.books", (BookTop,), _instrument, "Best levels of the order books, spread, imbalance, microprice", 6 * _HOUR)
STATUS = Topic("md.status", (FeedStatus,), _status_key, "State of every stream", -1, by_instrument=False, compacted=True)
CANDLES = Topic(
    "md.candles",
    (CandleEvent,),
    _candle_key,
    "Candles folded from the trades, each version of each",
    30 * _DAY,
    partition_id=_instrument,
    compacted=True,
)
PRICE_CHANGES = Topic("md.price-changes", (PriceChangedEvent,), _instrument, "Price changes, throttled", 7 * _DAY)
PRICES = Topic("md.prices", (PriceRecord,), _instrument, "Latest prices, each with its source", -1, compacted=True)
QUALITY = Topic(
    "md.quality", (QualityEvent, QualityScore), _instrument, "Broken rules of quality, scores by the minute", 7 * _DAY
)
COMMANDS = Topic("pf.commands", get_args(Command), _portfolio, "What is to be done to portfolios", 30 * _DAY)
REPLIES = Topic(
    "pf.replies", (PortfolioReply,), _portfolio, "The answer to each command: accepted, or refused and why", 7 * _DAY
)
POSITIONS = Topic(
    "pf.positions",
    (Portfolio,),
    _portfolio,
    "Every portfolio whole, after each change: cash, positions, policy",
    -1,
    compacted=True,
)
VALUATIONS = Topic(
    "pf.valuations", (Valuation,), _portfolio, "What each portfolio is worth and how much of that is known", -1, compacted=True
)
VALUATION_LINES = Topic(
    "pf.valuation-lines",
    (ValuationLine,),
    _line_key,
    "What each position is worth, by which price and rate; nothing where it was removed",
    -1,
    partition_id=_portfolio,
    compacted=True,
)
CONTROL = Topic(
    "ops.control",
    (ControlCommand,),
    _venue,
    "What operators want of the feeds: start, stop, subscribe",
    -1,
    by_instrument=False,
)
DAY_ENDS = Topic(
    "pf.day-ends",
    (Valuation,),
    _day_end_key,
    "The last valuation of each portfolio's day",
    -1,
    partition_id=_portfolio,
    compacted=True,
)
ALERTS = Topic("pf.alerts", (Alert,), _portfolio, "Limits of portfolios that were breached or are kept again", 30 * _DAY)
DEAD_LETTERS = Topic(
    "dlq",
    (DeadLetter, LetterReplay),
    _source,
    "What could not be taken in, with its original bytes, and what was sent again",
    30 * _DAY,
    by_instrument=False,
    max_message_bytes=4 << 20,
)


def changelog(application: str, table: str) -> Topic:
    """Changelog of a processor's table, named and partitioned as Faust expects it."""
    return Topic(
        f"{application}-{table}-changelog",
        (),
        _instrument,
        f"Changelog of the table {table}: internal state, no contract",
        -1,
        compacted=True,
    )


TOPICS: Mapping[str, Topic] = {
    topic.name: topic
    for topic in (
        *(INSTRUMENTS, TRADES, QUOTES, KLINES, FUNDING, OPEN_INTEREST, DEPTH, STATUS),
        *(CANDLES, PRICE_CHANGES, PRICES, BOOKS, QUALITY),
        *(COMMANDS, REPLIES, POSITIONS, VALUATIONS, VALUATION_LINES, DAY_ENDS, ALERTS),
        CONTROL,
        DEAD_LETTERS,
    )
}
