"""What holds for every venue: recorded frames are all accounted for, and whatever else comes is parsed or refused by name."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.feed import Parser, Subscription
from ingest.publisher import TOPIC_OF
from ingest.recorded import Frame, Opened
from ingest.recordings import read_recordings
from market.book import Book
from market.book_rules import BookRules
from market.dead_letter import DeadLetter
from market.depth import BookState, Depth
from market.errors import DataValidationError, SubscriptionError
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from schemas.checks import check_carried
from schemas.codec import Codec
from tests.ingest_parts import IDS, NOW
from tests.venue_data import (
    BITFINEX,
    BITGET,
    BITSTAMP,
    COINBASE,
    DERIBIT,
    GATEIO,
    KRAKEN,
    KRAKEN_FUTURES,
    NO_WHOLE,
    OKX,
    WHOLE_BYBIT,
    recorded,
)

RECORDED = {
    "bitfinex": BITFINEX,
    "bitget": BITGET,
    "bitstamp": BITSTAMP,
    "coinbase": COINBASE,
    "deribit": DERIBIT,
    "gateio": GATEIO,
    "kraken": KRAKEN,
    "kraken_futures": KRAKEN_FUTURES,
    "okx": OKX,
} | ({"bybit": WHOLE_BYBIT} if WHOLE_BYBIT else {})
VENUES = sorted({*RECORDED, "bybit", "coinbase_advanced"})
TRADED = sorted(RECORDED.keys() - {"deribit"})  # of whose recording no trade is part
CODEC = Codec(IDS, lambda _id: None)


class Told(NamedTuple):
    """A recorded frame, the market of its line, and the answers to subscriptions that came before it."""

    market: str
    answers: Sequence[Frame]
    frame: Frame


@cache
def frames(venue: str) -> list[Told]:
    """A handful of recorded frames of each channel."""
    speaker = feeds.load(venue)
    markets: dict[str, str] = {}
    parsers: dict[str, Parser] = {}
    answers: dict[str, list[Frame]] = {}
    found: dict[str, list[Told]] = {}
    for item in read_recordings(RECORDED[venue]):
        if isinstance(item, Opened):
            markets[item.line] = speaker.market_of(item.url) or ""
            parsers[item.line] = speaker.parser(markets[item.line], {}, 5_000_000)
        elif isinstance(item, Frame):
            name = parsers[item.line].parse(item.data, item.at).name
            before = answers.setdefault(item.line, [])
            found.setdefault(name, []).append(Told(markets[item.line], tuple(before), item))
            if name == "reply":
                before.append(item)
    return [one for some in found.values() for one in sorted(some, key=lambda one: len(one.frame.data))[:3]]


def parser_after(venue: str, told: Told) -> Parser:
    """A parser that knows what was answered before a frame."""
    parser = feeds.load(venue).parser(told.market, {}, 5_000_000)
    for answer in told.answers:
        parser.parse(answer.data, answer.at)
    return parser


@pytest.mark.parametrize(
    ("venue", "counts"),
    [
        ("bitfinex", {Depth: 1_600, Quote: 21, Trade: 210}),
        (
            "bitget",
            {Depth: 112, Funding: 108, InstrumentDefinition: 304, Kline: 3_019, OpenInterest: 108, Quote: 140, Trade: 166},
        ),
        ("bitstamp", {Depth: 624, InstrumentDefinition: 140, Trade: 10}),
        ("coinbase", {Depth: 9_729, InstrumentDefinition: 162, Quote: 107, Trade: 107}),
        ("deribit", {Depth: 46, OpenInterest: 89, Quote: 89}),
        ("gateio", {Depth: 178, InstrumentDefinition: 1_458, Kline: 14, Quote: 22, Trade: 9}),
        ("kraken", {Depth: 506, InstrumentDefinition: 293, Quote: 18, Trade: 10}),
        ("kraken_futures", {Depth: 7_024, InstrumentDefinition: 17, Quote: 107, Trade: 1_003}),
        ("okx", {Depth: 290, Quote: 28, Trade: 74}),
        pytest.param(
            *(
                "bybit",
                {Depth: 797, Funding: 3, InstrumentDefinition: 800, Kline: 49, OpenInterest: 80, Quote: 378, Trade: 221},
            ),
            marks=pytest.mark.skipif(not WHOLE_BYBIT, reason=NO_WHOLE),
        ),
    ],
)
def test_every_recorded_frame_is_accounted_for(venue: str, counts: dict[type, int]) -> None:
    records, playback = recorded(venue, *RECORDED[venue])
    assert not [record for record in records if isinstance(record, DeadLetter)]
    assert playback.session.counts.records == counts
    named = playback.session.counts.ignored.keys() - set(feeds.load(venue).heartbeats)
    assert named <= {"spot.order_book_update, old", "diff_order_book, old"}


@pytest.mark.parametrize(
    ("venue", "received", "ignored"),
    [
        (
            "bitfinex",
            {"book": 1_600, "trades": 7, "ticker": 21, "hb": 42, "info": 1, "reply": 22},
            {"hb": 42, "info": 1, "reply": 22},
        ),
        (
            "bitstamp",
            {"diff_order_book": 717, "live_trades": 10, "reply": 20},
            {"diff_order_book, old": 102, "reply": 20},
        ),
        ("coinbase", {"level2": 9_729, "matches": 107, "ticker": 107, "reply": 3}, {"reply": 3}),
        ("deribit", {"book.raw": 46, "ticker.raw": 89, "reply": 1}, {"reply": 1}),
        (
            "kraken_futures",
            {"book": 7_024, "trade": 13, "ticker_lite": 107, "info": 1, "reply": 30},
            {"info": 1, "reply": 30},
        ),
    ],
)
def test_frames_are_counted_by_name_and_what_gave_no_record_as_well(
    venue: str, received: dict[str, int], ignored: dict[str, int]
) -> None:
    counts = recorded(venue, *RECORDED[venue])[1].session.counts
    assert (counts.received, counts.ignored, counts.rejected) == (received, ignored, {})
    assert counts.frames == sum(received.values())


@pytest.mark.parametrize("venue", RECORDED)
def test_records_are_such_as_their_topics_carry_and_fit_the_wire(venue: str) -> None:
    records, _ = recorded(venue, *RECORDED[venue])
    for record in records[:: max(1, len(records) // 500)]:
        topic = TOPIC_OF[type(record)]
        assert check_carried(topic.name, topic.place(record)[0], record) is record
        if not isinstance(record, DeadLetter):
            assert CODEC.decode(CODEC.encode(topic.name, record)) == record


@pytest.mark.parametrize("venue", TRADED)
def test_trades_of_one_time_have_an_order_and_ids_of_their_own(venue: str) -> None:
    trades = [record for record in recorded(venue, *RECORDED[venue])[0] if isinstance(record, Trade)]
    assert len({(trade.instrument, trade.trade_id) for trade in trades}) == len(trades)
    assert len({(trade.instrument, trade.event_time, trade.sequence) for trade in trades}) == len(trades)
    assert {trade.side for trade in trades} == {"buy", "sell"}


@pytest.mark.parametrize("venue", sorted(RECORDED.keys() & {"bybit", "okx"}))
def test_side_is_the_takers_who_pays_the_spread(venue: str) -> None:
    """Bought in the upper half of the spread of the rebuilt book, sold in the lower (Bitget's trades of 2022 are in either)."""
    books: dict[str, Book] = {}
    sides: Counter[tuple[str | None, bool]] = Counter()
    for record in recorded(venue, *RECORDED[venue])[0]:
        if isinstance(record, Depth) and record.state is BookState.LIVE:
            books.setdefault(record.instrument, Book(BookRules())).apply(record)
        elif isinstance(record, Trade) and record.instrument in books:
            bid, ask = books[record.instrument].bids.top, books[record.instrument].asks.top
            assert bid is not None
            assert ask is not None
            sides[record.side, 2 * record.price > bid.price + ask.price] += 1
    assert sides.keys() == {("buy", True), ("sell", False)}


@pytest.mark.parametrize("venue", RECORDED)
def test_a_parser_that_begins_again_gives_the_same_records(venue: str) -> None:
    for told in frames(venue):
        once, again = (parser_after(venue, told).parse(told.frame.data, told.frame.at) for _ in range(2))
        assert once == again


# what is refused

ENDLESS = 10**4298
TEXTS = ["0", "-1", "1e308", "NaN", "1" * 60, "0.0000000000001", "9" * 19, "buy", "snapshot"]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.just(ENDLESS) | st.floats() | st.text(max_size=8) | st.sampled_from(TEXTS)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner), max_leaves=8
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the parts of a JSON value are, at most the first two of each list."""
    found = [path]
    if isinstance(value, dict):
        found += [deeper for key, part in value.items() for deeper in paths_in(part, (*path, key))]
    elif isinstance(value, list):
        found += [deeper for number, part in enumerate(value[:2]) for deeper in paths_in(part, (*path, number))]
        found += [(*path, number) for number in range(2, min(len(value), 12))]
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def parse_or_refuse(reader: Parser, frame: bytes, at: int) -> None:
    for _ in range(2):  # what a first frame leaves behind must not matter
        try:
            parsed = reader.parse(frame, at)
        except DataValidationError as error:
            assert error.reason
            assert len(str(error)) < 400
        else:
            assert parsed.name
            for record in parsed.records:
                topic = TOPIC_OF[type(record)]
                check_carried(topic.name, topic.place(record)[0], record)
        assert reader.channel_of(frame)


@pytest.mark.parametrize("venue", RECORDED)
@given(data=st.data())
def test_any_change_of_a_recorded_frame_is_parsed_or_refused(venue: str, data: st.DataObject) -> None:
    told = data.draw(st.sampled_from(frames(venue)))
    message = json.loads(told.frame.data)
    path = data.draw(st.sampled_from(paths_in(message)))
    changed = replaced(message, path, data.draw(JSON))
    parse_or_refuse(parser_after(venue, told), json.dumps(changed).encode(), told.frame.at)


@pytest.mark.parametrize("venue", VENUES)
@given(frame=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_or_refused(venue: str, frame: bytes) -> None:
    speaker = feeds.load(venue)
    parse_or_refuse(speaker.parser(speaker.markets[0], {}, 5_000_000), frame, NOW)  # type: ignore[index]  # they are tuples


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("frame", "reasons"),
    [
        (b"", {"malformed_json"}),
        (b"\xff\xfe", {"malformed_json"}),
        (b"[" * 100_000, {"malformed_json", "wrong_type"}),
        (b"{}", {"missing_field"}),
    ],
    ids=["empty", "no text", "deep", "no fields"],
)
def test_no_frame_of_any_venue_is_refused(venue: str, frame: bytes, reasons: set[str]) -> None:
    speaker = feeds.load(venue)
    reader = speaker.parser(speaker.markets[0], {}, 5_000_000)  # type: ignore[index]  # they are tuples
    with pytest.raises(DataValidationError) as caught:
        reader.parse(frame, NOW)
    assert caught.value.reason in reasons
    assert reader.channel_of(frame) == "unknown"


# subscriptions


@pytest.mark.parametrize(
    ("venue", "instrument"),
    [
        ("bitfinex", "bitfinex:BTC-USDT-PERP"),
        ("bitget", "bitget:BTC-USDT-PERP"),
        ("bitstamp", "bitstamp:BTC-USD"),
        ("bybit", "bybit:BTC-USDT-PERP"),
        ("coinbase", "coinbase:BTC-USD"),
        ("coinbase_advanced", "coinbase_advanced:BTC-USD"),
        ("deribit", "deribit:BTC-USD-260925-34000-P"),
        ("gateio", "gateio:BTC-USDT"),
        ("kraken", "kraken:BTC-USD"),
        ("kraken_futures", "kraken_futures:BTC-USD-FLEX-260925"),
        ("okx", "okx:BTC-USDT-PERP"),
    ],
)
def test_what_the_venue_does_not_have_cannot_be_subscribed(venue: str, instrument: str) -> None:
    speaker = feeds.load(venue)
    speaker.check(Subscription(instrument, channel) for channel in speaker.default_channels)
    with pytest.raises(SubscriptionError, match=f"no channel of {venue}"):
        speaker.check([Subscription(instrument, "rumours")])
    with pytest.raises(SubscriptionError, match=f"no instrument of {venue}"):
        speaker.check([Subscription("binance:BTC-USDT", speaker.default_channels[0])])
    with pytest.raises(SubscriptionError, match=f"no instrument of {venue}"):
        speaker.check([Subscription(instrument.replace("-", ""), speaker.default_channels[0])])


@pytest.mark.parametrize("venue", VENUES)
def test_address_of_another_venue_is_none_of_its_markets(venue: str) -> None:
    speaker = feeds.load(venue)
    for url in ("wss://stream.binance.com:9443/stream", "https://example.com/v5/public/linear", "nonsense", ""):
        assert speaker.market_of(url) is None
        assert speaker.listed(url, b"{}") == {}
