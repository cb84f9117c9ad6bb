"""What a topic carries: records of its kinds, with sound figures, under their own key."""

import pytest

from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.price_change import PriceChangedEvent
from market.quote import Kline
from market.trade import GapMark, TimeMark
from schemas.checks import check_carried
from schemas.records import Record
from schemas.topics import TOPICS
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.gateway_parts import make_candle, make_quote

STATUS = FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START)
KLINE = Kline(INSTRUMENT, "1m", START, 10, 12, 9, 11, 0, None, None, None, None, None, False, None, START)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)
AHEAD = make_trade(at=START + 6_000_000, received_at=START)
SOUND: list[tuple[str, Record]] = [
    ("md.trades", make_trade()),
    ("md.trades", TimeMark(INSTRUMENT, START)),
    ("md.trades", GapMark(INSTRUMENT, None, START)),
    ("md.quotes", make_quote(bid=1)),
    ("md.klines", KLINE),
    ("md.status", STATUS),
    ("md.candles", make_candle()),
    ("md.price-changes", CHANGE),
]


def check(topic: str, record: Record, max_skew: int = 5_000_000) -> Record:
    return check_carried(topic, TOPICS[topic].place(record)[0], record, max_skew=max_skew)


@pytest.mark.parametrize(("topic", "record"), SOUND)
def test_sound_record_is_returned_unchanged(topic: str, record: Record) -> None:
    assert check(topic, record) is record


@pytest.mark.parametrize(("topic", "record"), SOUND)
@pytest.mark.parametrize("key", [None, b"", b"binance:ETH-USDT"])
def test_record_under_another_key_is_refused(topic: str, record: Record, key: bytes | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_carried(topic, key, record)
    assert (caught.value.reason, caught.value.field) == ("wrong_key", "key")


@pytest.mark.parametrize(("topic", "record"), SOUND)
def test_no_topic_carries_what_belongs_to_another(topic: str, record: Record) -> None:
    for other in TOPICS.keys() - {topic}:
        with pytest.raises(DataValidationError) as caught:
            check_carried(other, INSTRUMENT.encode(), record)
        assert caught.value.reason == "unexpected_record"


@pytest.mark.parametrize(
    ("topic", "record", "field"),
    [
        ("md.trades", make_trade()._replace(size=0), "size"),
        ("md.trades", AHEAD, "exchange_time"),
        ("md.trades", TimeMark(INSTRUMENT, 0), "time"),
        ("md.trades", GapMark("nonsense", None, START), "instrument"),
        ("md.quotes", make_quote(bid=-1), "bid"),
        ("md.klines", KLINE._replace(high=8), "low"),
        ("md.status", STATUS._replace(instrument="nonsense"), "instrument"),
        ("md.status", STATUS._replace(channel=""), "channel"),
        ("md.status", STATUS._replace(venue="v" * 1000), "venue"),
        ("md.status", STATUS._replace(changed_at=START // 1000), "changed_at"),
        ("md.candles", make_candle()._replace(close_time=START + 2 * MINUTE), "close_time"),
        ("md.price-changes", CHANGE._replace(change=1), "change"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_field(topic: str, record: Record, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check(topic, record)
    assert caught.value.field == field


def test_clock_may_run_ahead_as_far_as_ingest_grants_it() -> None:
    assert check("md.trades", AHEAD, max_skew=7_000_000) is AHEAD
