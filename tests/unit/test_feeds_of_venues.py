"""What holds for every venue: recorded frames are all accounted for, and whatever else comes is parsed or refused by name."""

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.feed import Subscription
from ingest.publisher import TOPIC_OF
from ingest.recorded import Frame, Opened
from ingest.recordings import read_recordings
from market.book import Book
from market.book_rules import BookRules
from market.dead_letter import DeadLetter
from market.depth import BookState, Depth
from market.errors import DataValidationError, SubscriptionError
from market.quote import Kline, Quote
from market.trade import Trade
from schemas.checks import check_carried
from schemas.codec import Codec
from tests.ingest_parts import IDS, NOW
from tests.venue_data import BITGET, GATEIO, KRAKEN, NO_WHOLE, OKX, WHOLE_BYBIT, recorded

RECORDED = {"bitget": BITGET, "gateio": GATEIO, "kraken": KRAKEN, "okx": OKX} | ({"bybit": WHOLE_BYBIT} if WHOLE_BYBIT else {})
VENUES = sorted({*RECORDED, "bybit"})
CODEC = Codec(IDS, lambda _id: None)


@cache
def frames(venue: str) -> list[tuple[str, Frame]]:
    """A handful of recorded frames of each channel, with the market of their line."""
    speaker = feeds.load(venue)
    markets: dict[str, str] = {}
    found: dict[str, list[tuple[str, Frame]]] = {}
    for item in read_recordings(RECORDED[venue]):
        if isinstance(item, Opened):
            markets[item.line] = speaker.market_of(item.url) or ""
        elif isinstance(item, Frame):
            parser = speaker.parser(markets[item.line], {}, 5_000_000)
            found.setdefault(parser.parse(item.data, item.at).name, []).append((markets[item.line], item))
    return [one for some in found.values() for one in sorted(some, key=lambda one: len(one[1].data))[:3]]


@pytest.mark.parametrize(
    ("venue", "counts"),
    [
        ("bitget", {Depth: 112, Kline: 3_019, Quote: 140, Trade: 166}),
        ("gateio", {Depth: 178, Kline: 14, Quote: 22, Trade: 9}),
        ("kraken", {Depth: 506, Quote: 18, Trade: 10}),
        ("okx", {Depth: 290, Quote: 28, Trade: 74}),
        pytest.param(
            *("bybit", {Depth: 797, Kline: 49, Quote: 378, Trade: 221}),
            marks=pytest.mark.skipif(not WHOLE_BYBIT, reason=NO_WHOLE),
        ),
    ],
)
def test_every_recorded_frame_is_accounted_for(venue: str, counts: dict[type, int]) -> None:
    records, playback = recorded(venue, *RECORDED[venue])
    assert not [record for record in records if isinstance(record, DeadLetter)]
    assert playback.session.counts.records == counts
    named = playback.session.counts.ignored.keys() - set(feeds.load(venue).heartbeats)
    assert named <= {"spot.order_book_update, old"}


@pytest.mark.parametrize("venue", RECORDED)
def test_records_are_such_as_their_topics_carry_and_fit_the_wire(venue: str) -> None:
    records, _ = recorded(venue, *RECORDED[venue])
    for record in records[:: max(1, len(records) // 500)]:
        topic = TOPIC_OF[type(record)]
        assert check_carried(topic.name, topic.place(record)[0], record) is record
        if not isinstance(record, DeadLetter):
            assert CODEC.decode(CODEC.encode(topic.name, record)) == record


@pytest.mark.parametrize("venue", RECORDED)
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
    speaker = feeds.load(venue)
    for market, frame in frames(venue):
        once, again = (speaker.parser(market, {}, 5_000_000).parse(frame.data, frame.at) for _ in range(2))
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


def parse_or_refuse(venue: str, market: str, frame: bytes, at: int) -> None:
    reader = feeds.load(venue).parser(market, {}, 5_000_000)
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
    market, frame = data.draw(st.sampled_from(frames(venue)))
    message = json.loads(frame.data)
    path = data.draw(st.sampled_from(paths_in(message)))
    changed = replaced(message, path, data.draw(JSON))
    parse_or_refuse(venue, market, json.dumps(changed).encode(), frame.at)


@pytest.mark.parametrize("venue", VENUES)
@given(frame=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_or_refused(venue: str, frame: bytes) -> None:
    parse_or_refuse(venue, feeds.load(venue).markets[0], frame, NOW)  # type: ignore[index]  # they are tuples


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
        ("bitget", "bitget:BTC-USDT-PERP"),
        ("bybit", "bybit:BTC-USDT-PERP"),
        ("gateio", "gateio:BTC-USDT"),
        ("kraken", "kraken:BTC-USD"),
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
