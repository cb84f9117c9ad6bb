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
from schemas.topics import QUOTES, TOPICS
from sinks.store import KafkaRecord
from sinks.translation import Translator
from tests.builders import INSTRUMENT, MINUTE, START, make_trade

IDS = {(topic.name, kind): number for number, (topic, kind) in enumerate((t, k) for t in TOPICS.values() for k in t.records)}
CANDLE = CandleEvent(
    *(INSTRUMENT, "1m", START - MINUTE, START, CandleEventKind.CLOSE, 1, ONE, ONE, ONE, ONE, ONE, ONE * ONE, ONE, None, 1),
    *("1", "1", True, True, False, START, START, "md.trades", 0, 0),
)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)


def registry_down(schema_id: int) -> str | None:
    raise RegistryError(f"no registry to ask for {schema_id}")


CODEC = Codec(IDS, lambda _id: None)
TRANSLATE = Translator(CODEC.decode, lambda record, _source: record)


def source(topic: str, value: bytes | None, key: bytes = INSTRUMENT.encode()) -> KafkaRecord:
    return KafkaRecord(topic, 0, 7, key, value, START // 1000)


def stored(topic: str, record: Record) -> KafkaRecord:
    return source(topic, CODEC.encode(topic, record), TOPICS[topic].place(record)[0])


def test_record_becomes_its_row() -> None:
    trade = make_trade()
    entry = TRANSLATE(source("md.trades", CODEC.encode("md.trades", trade)))
    assert entry is not None
    assert (entry.row, entry.received_at) == (trade, trade.received_at)


def test_record_that_leaves_no_row_is_no_entry() -> None:
    translate = Translator(CODEC.decode, lambda _record, _source: None)
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
    translate = Translator(Codec(IDS, registry_down).decode, lambda record, _source: record)
    with pytest.raises(RegistryError):
        translate(source("md.trades", b"\x00\x00\x00\x00\x63rest"))


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        ("md.trades", make_trade()),
        ("md.trades", TimeMark(INSTRUMENT, START)),
        ("md.trades", GapMark(INSTRUMENT, None, START)),
        ("md.candles", CANDLE),
        ("md.price-changes", CHANGE),
    ],
)
def test_sound_records_pass(topic: str, record: Record) -> None:
    assert TRANSLATE(stored(topic, record)) is not None


@pytest.mark.parametrize(
    ("topic", "record", "field"),
    [
        ("md.trades", make_trade()._replace(price=0), "price"),
        ("md.trades", make_trade()._replace(published_at=1), "published_at"),
        ("md.trades", make_trade(at=START + 6_000_000, received_at=START), "exchange_time"),
        ("md.trades", make_trade(at=4_000_000_000_000_000), "received_at"),
        ("md.trades", TimeMark(INSTRUMENT, 0), "time"),
        ("md.trades", TimeMark(INSTRUMENT, START + 6_000_000), "time"),
        ("md.trades", GapMark(INSTRUMENT, START, START + 6_000_000), "end"),
        ("md.trades", GapMark(INSTRUMENT, START + 1, START), "begin"),
        ("md.candles", CANDLE._replace(close_time=START - MINUTE), "close_time"),
        ("md.price-changes", CHANGE._replace(change=1), "change"),
    ],
)
def test_nonsense_that_decodes_is_refused_with_the_name_of_the_field(topic: str, record: Record, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        TRANSLATE(stored(topic, record))
    assert caught.value.field == field


def test_record_under_another_key_is_refused() -> None:
    with pytest.raises(DataValidationError) as caught:
        TRANSLATE(source("md.trades", CODEC.encode("md.trades", make_trade()), b"binance:ETH-USDT"))
    assert caught.value.reason == "wrong_key"


def test_clock_may_run_ahead_as_far_as_ingest_grants_it() -> None:
    ahead = make_trade(at=START + 6_000_000, received_at=START)
    lenient = Translator(CODEC.decode, lambda record, _source: record, max_skew=7_000_000)
    entry = lenient(source("md.trades", CODEC.encode("md.trades", ahead)))
    assert entry is not None
    assert entry.row == ahead
