import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.errors import DataValidationError
from market.price_change import PriceChangedEvent
from market.quote import Quote
from market.trade import GapMark, TimeMark
from schemas.codec import Codec
from schemas.records import Record
from schemas.registry import RegistryError
from schemas.topics import CANDLES, PRICE_CHANGES, QUOTES, TOPICS, TRADES
from sinks.checks import check_record
from sinks.store import KafkaRecord
from sinks.translation import Translator
from tests.builders import INSTRUMENT, MINUTE, START, make_trade

IDS = {(topic.name, kind): number for number, (topic, kind) in enumerate((t, k) for t in TOPICS.values() for k in t.records)}
CANDLE = CandleEvent(
    *(INSTRUMENT, "1m", START, START + MINUTE, CandleEventKind.CLOSE, 1, ONE, ONE, ONE, ONE, ONE, ONE * ONE, ONE, None, 1),
    *("1", "1", True, True, False, START, START, "md.trades", 0, 0),
)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)


def registry_down(schema_id: int) -> str | None:
    raise RegistryError(f"no registry to ask for {schema_id}")


CODEC = Codec(IDS, lambda _id: None)
TRANSLATE = Translator([TRADES, CANDLES, PRICE_CHANGES], CODEC.decode, lambda record, _source: record)


def source(topic: str, value: bytes | None) -> KafkaRecord:
    return KafkaRecord(topic, 0, 7, b"key", value)


def test_record_becomes_its_row() -> None:
    trade = make_trade()
    entry = TRANSLATE(source("md.trades", CODEC.encode("md.trades", trade)))
    assert entry is not None
    assert (entry.row, entry.received_at) == (trade, trade.received_at)


def test_record_that_leaves_no_row_is_no_entry() -> None:
    translate = Translator([TRADES], CODEC.decode, lambda _record, _source: None)
    assert translate(source("md.trades", CODEC.encode("md.trades", TimeMark(INSTRUMENT, START)))) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"", "undecodable"),
        (b"\x00", "undecodable"),
        (b"\x01\x00\x00\x00\x00rest", "undecodable"),
        (b"\x00\x00\x00\x00\x63rest", "unknown_schema"),
        (CODEC.encode("md.trades", make_trade())[:-3], "undecodable"),
        (CODEC.encode("md.trades", make_trade()) + b"x", "undecodable"),
    ],
)
def test_poison_is_named(value: bytes | None, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        TRANSLATE(source("md.trades", value))
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read_and_nothing_else(value: bytes) -> None:
    try:
        TRANSLATE(source("md.trades", b"\x00\x00\x00\x00\x00" + value))
    except DataValidationError as error:
        assert error.reason


def test_record_of_another_topic_is_refused() -> None:
    quote = Quote(*(INSTRUMENT, "ticker"), *(None,) * 15, received_at=START)
    with pytest.raises(DataValidationError, match=r"md\.trades does not carry a Quote"):
        TRANSLATE(source("md.trades", CODEC.encode(QUOTES.name, quote)))


def test_silent_registry_says_nothing_about_the_record() -> None:
    translate = Translator([TRADES], Codec(IDS, registry_down).decode, lambda record, _source: record)
    with pytest.raises(RegistryError):
        translate(source("md.trades", b"\x00\x00\x00\x00\x63rest"))


@pytest.mark.parametrize(
    "record", [make_trade(), CANDLE, CHANGE, TimeMark(INSTRUMENT, START), GapMark(INSTRUMENT, None, START)]
)
def test_sound_records_pass(record: Record) -> None:
    check_record(record)


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (make_trade()._replace(price=0), "price"),
        (make_trade()._replace(size=-1), "size"),
        (make_trade()._replace(price=10**38), "price"),
        (make_trade()._replace(instrument="Bitcoin"), "instrument"),
        (make_trade()._replace(trade_id="9" * 201), "trade_id"),
        (make_trade(at=START // 1000, received_at=START), "exchange_time"),
        (make_trade()._replace(published_at=1), "published_at"),
        (TimeMark(INSTRUMENT, 0), "time"),
        (GapMark(INSTRUMENT, START + 1, START), "begin"),
        (CANDLE._replace(interval="7m"), "interval"),
        (CANDLE._replace(open_time=START + 1), "open_time"),
        (CANDLE._replace(close_time=START), "close_time"),
        (CANDLE._replace(volume=10**38), "volume"),
        (CANDLE._replace(amount=10**50), "amount"),
        (CANDLE._replace(last_trade_time=0), "last_trade_time"),
        (CANDLE._replace(first_trade_id=""), "first_trade_id"),
        (CHANGE._replace(change=-(10**38)), "change"),
        (CHANGE._replace(received_at=2**62), "received_at"),
        (CHANGE._replace(source_topic="x" * 300), "source_topic"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_field(record: Record, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_record(record)
    assert caught.value.field == field
