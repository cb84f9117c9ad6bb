"""Frames of Bitfinex, as recorded on 2021-04-17, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Subscription, UnsubscribingParser
from ingest.feeds.bitfinex import VENUE
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.book_rules import by_previous_if_named
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from tests.ingest_parts import played
from tests.venue_data import BITFINEX

AT = 1_618_677_547_000_000
INFO = b'{"event":"info","version":2,"serverId":"083bd8d4","platform":{"status":1}}'
CHANNELS = {"ticker": 232952, "trades": 232960, "book": 225206}
SYMBOLS = {"ticker": "tTESTBTC:TESTUSD", "trades": "tMNABTC", "book": "tDOGUSD"}
TICKER = "[60400,76.16686512,60406,86.2067634199999,-1292,-0.0209,60410,10.05320242,62408,60057]"
TRADES = "[[670002570,1618677535660,-76.7682617,0.00002516],[670002569,1618677306497,692.4561076,0.00002523]]"


def subscribed(channel: str, id_: int | None = None) -> bytes:
    told = {"event": "subscribed", "channel": channel, "chanId": id_ or CHANNELS[channel], "symbol": SYMBOLS[channel]}
    return json.dumps(told).encode()


def frame(channel: str, *payloads: str) -> bytes:
    return f"[{CHANNELS[channel]},{','.join(payloads)}]".encode()


def parser() -> UnsubscribingParser:
    """One that was told of a ticker, trades and a book."""
    reader = feeds.load("bitfinex").parser("v2", {}, 5_000_000)
    for told in (INFO, *map(subscribed, CHANNELS)):
        reader.parse(told, AT)
    assert isinstance(reader, UnsubscribingParser)
    return reader


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes, reader: UnsubscribingParser | None = None) -> Any:
    (record,) = (reader or parser()).parse(data, AT).records
    return record


def linked(reader: UnsubscribingParser, payload: str, sequence: int) -> tuple[int, int]:
    """Numbers that a change of the book has: that of the frame before it, and its own."""
    depth = only(frame("book", payload, str(sequence)), reader)
    return depth.previous_sequence, depth.last_sequence


def test_amount_below_zero_is_a_sale_and_the_newest_trade_of_a_snapshot_comes_last() -> None:
    first, last = parse(frame("trades", TRADES, "9")).records
    assert isinstance(last, Trade)
    assert (last.instrument, last.trade_id, last.sequence, last.side) == ("bitfinex:MANA-BTC", "670002570", 670002570, "sell")
    assert (last.price, last.size, last.exchange_time) == (25_160_000, 76_768_261_700_000, 1_618_677_535_660_000)
    assert isinstance(first, Trade)
    assert (first.trade_id, first.side) == ("670002569", "buy")


def test_trade_is_told_by_te_and_its_update_is_counted_by_name() -> None:
    te, tu = (frame("trades", f'"{word}"', "[1,1618677535660,2,3]", "9") for word in ("te", "tu"))
    assert only(te).price == 3 * ONE
    assert parse(tu) == Parsed("trades, tu", ())


def test_ticker_has_no_sizes_since_the_venues_are_sums() -> None:
    quote = only(frame("ticker", TICKER, "6"))
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.sequence) == ("bitfinex:TESTBTC-TESTUSD", 6)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (60400 * ONE, None, 60406 * ONE, None)
    assert (quote.last, quote.high_24h, quote.low_24h) == (60410 * ONE, 62408 * ONE, 60057 * ONE)
    assert (quote.change_24h, quote.change_percent_24h) == (-1292 * ONE, -2_090_000_000_000)
    assert quote.volume_24h == 10_053_202_420_000


def test_figure_with_more_digits_than_a_record_holds_is_not_told_and_not_rounded() -> None:
    quote = only(frame("ticker", TICKER.replace("10.05320242", "10.0532024200000012"), "6"))
    assert (quote.volume_24h, quote.bid) == (None, 60400 * ONE)
    with pytest.raises(DataValidationError, match=r"bid: .* more than 12 decimal places"):
        only(frame("ticker", TICKER.replace("60400", "60400.0000000000012"), "6"))


def test_recorded_sizes_of_tickers_are_sums_of_many_levels() -> None:
    """The reason why they are left out: none is the size of the best level of the book that follows within two seconds."""
    told = [json.loads(item.data) for item in read_recordings(BITFINEX) if isinstance(item, Frame)]
    streams = {
        each["chanId"]: (each["channel"], each["symbol"]) for each in told if isinstance(each, dict) and "chanId" in each
    }
    sizes: dict[str, tuple[float, float]] = {}
    compared = 0
    for message in told:
        channel, symbol = streams.get(message[0], ("", "")) if isinstance(message, list) else ("", "")
        if channel == "ticker" and message[1] != "hb":
            sizes.setdefault(symbol, (message[1][1], message[1][3]))
        elif channel == "book" and message[1] != "hb" and isinstance(message[1][0], list):
            bids, asks = ([row for row in message[1] if (row[2] > 0) is is_bid] for is_bid in (True, False))
            of_25 = [sum(abs(row[2]) for row in side[:25]) for side in (bids, asks)]
            assert sizes[symbol][0] > bids[0][2]
            assert sizes[symbol][1] > -asks[0][2]
            compared += sum(abs(size / total - 1) < 0.05 for size, total in zip(sizes[symbol], of_25, strict=True))
    assert compared >= 7  # of 14 sides; the others changed by more than a twentieth in between


def test_snapshot_has_both_sides_and_a_change_without_orders_removes_a_level() -> None:
    snapshot = only(frame("book", "[[277520,1,0.00383141],[283460,2,-0.5]]", "17"))
    assert isinstance(snapshot, Depth)
    assert (snapshot.kind, snapshot.last_sequence, snapshot.exchange_time) == (DepthKind.SNAPSHOT, 17, None)
    assert [level[:2] for level in (*snapshot.bids, *snapshot.asks)] == [
        (277520 * ONE, 3_831_410_000),
        (283460 * ONE, ONE // 2),
    ]
    gone = only(frame("book", "[283460,0,-1]", "18"))
    assert (gone.kind, gone.bids, [level[:2] for level in gone.asks]) == (DepthKind.DELTA, (), [(283460 * ONE, 0)])
    assert only(frame("book", "[2e-8,0,1]", "18")).bids[0].price == 20_000
    assert only(frame("book", "[]", "18")).kind is DepthKind.SNAPSHOT


def test_change_follows_the_one_before_it_unless_a_frame_of_the_line_was_missed() -> None:
    reader = parser()
    only(frame("book", "[[1,1,1]]", "17"), reader)
    assert linked(reader, "[1,1,2]", 18) == (17, 18)
    reader.parse(frame("ticker", '"hb"', "19"), AT)
    assert linked(reader, "[1,1,3]", 20) == (18, 20)
    reader.parse(frame("ticker", '"hb"', "23"), AT)  # 21 and 22 did not come
    assert linked(reader, "[1,1,4]", 24) == (22, 24)
    assert isinstance(reader, BookParser)
    assert reader.book_rules("").step is by_previous_if_named


def test_change_after_one_that_was_refused_does_not_follow_the_book() -> None:
    reader = parser()
    only(frame("book", "[[1,1,1]]", "17"), reader)
    with pytest.raises(DataValidationError):
        reader.parse(frame("book", "[0,1,2]", "18"), AT)
    assert linked(reader, "[1,1,2]", 19) == (18, 19)


def test_line_that_is_opened_again_counts_anew_and_has_other_channel_ids() -> None:
    reader = parser()
    only(frame("book", "[[1,1,1]]", "17"), reader)
    reader.parse(INFO, AT)
    with pytest.raises(DataValidationError, match="nothing was told of 225206"):
        reader.parse(frame("book", "[1,1,1]", "1"), AT)
    assert reader.channel_of(frame("book", "[1,1,1]", "1")) == "unknown"
    reader.parse(subscribed("book"), AT)
    assert only(frame("book", "[[1,1,1]]", "2"), reader).last_sequence == 2
    assert linked(reader, "[1,1,2]", 3) == (2, 3)


def test_recorded_frames_are_numbered_one_by_one_and_one_that_is_left_out_ends_every_book() -> None:
    items = list(read_recordings(BITFINEX))
    frames = [number for number, item in enumerate(items) if isinstance(item, Frame) and item.data.startswith(b"[")]
    sequences = [json.loads(items[number].data)[-1] for number in frames]  # type: ignore[union-attr]  # they are frames
    assert sequences == list(range(1, 1671))
    without = frames[800]
    records = played(items[:without] + items[without + 1 :], playback=Playback(feeds.load("bitfinex")))
    states: dict[str, list[BookState]] = {}
    for record in records:
        if isinstance(record, Depth):
            states.setdefault(record.instrument, []).append(record.state)
    assert len(states) == 7
    told = {name: kinds for name, kinds in states.items() if BookState.GAP in kinds}
    assert states.keys() - told.keys() == {"bitfinex:BFT-USD"}  # begun before, silent afterwards
    assert all(kinds == sorted(kinds, key=lambda kind: kind is BookState.GAP) for kinds in told.values())


def test_streams_are_ended_by_the_ids_of_the_connection() -> None:
    reader = parser()
    gone = [Subscription("bitfinex:MANA-BTC", "trades"), Subscription("bitfinex:MANA-BTC", "book")]
    assert [json.loads(message) for message in reader.unsubscriptions(gone)] == [{"event": "unsubscribe", "chanId": 232960}]
    assert VENUE.requests(gone, 1, AT, subscribe=False) == []
    assert reader.parse(b'{"event":"unsubscribed","status":"OK","chanId":232960}', AT) == Parsed("reply", ())
    assert reader.unsubscriptions(gone) == []


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (INFO, "info"),
        (b'{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}', "info"),
        (b'{"event":"conf","status":"OK","flags":65536}', "reply"),
        (frame("book", '"hb"', "1"), "hb"),
        (frame("book", '"cs"', "-1892", "1"), "book, cs"),
    ],
)
def test_what_is_no_data_has_a_name(data: bytes, name: str) -> None:
    assert parse(data) == Parsed(name, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"event":"rumours"}', "unknown_stream", "event"),
        (b'{"event":"subscribed","channel":"candles","chanId":1,"key":"trade:7D:tBTCUSD"}', "unknown_stream", "event"),
        (b'{"event":"subscribed","channel":"book","chanId":1,"symbol":"fUSD"}', "unknown_symbol", "symbol"),
        (b"[1]", "missing_field", "channel"),
        (b"[7,[1,1,1],1]", "unknown_stream", "channel"),
        (frame("trades", '"fte"', "[1]", "1"), "unknown_stream", "channel"),
        (frame("ticker", '"te"', "[1]", "1"), "unknown_stream", "channel"),
        (frame("trades", '"te"', "[1,1618677535660,0,3]", "1"), "not_positive", "size"),
        (frame("trades", '"te"', "[1,1618677535660,2]", "1"), "missing_field", "trade"),
        (frame("trades", '"te"', '[1,"soon",2,3]', "1"), "wrong_type", "exchange_time"),
        (frame("ticker", "[1,2]", "1"), "missing_field", "ticker"),
        (frame("book", "[1,1,null]", "1"), "missing_field", "amount"),
        (frame("book", "[-1,1,1]", "1"), "not_positive", "bids"),
        (frame("book", "[1,-1,1]", "1"), "wrong_type", None),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)


# as documented ("WS Public Candles", "WS Public Status")


def keyed(channel: str, key: str) -> UnsubscribingParser:
    reader = parser()
    told = {"event": "subscribed", "channel": channel, "chanId": 7, "key": key}
    assert reader.parse(json.dumps(told).encode(), AT) == Parsed("reply", ())
    return reader


def test_candles_come_oldest_first_and_are_closed_once_another_one_follows() -> None:
    reader = keyed("candles", "trade:1m:tAVAX:USD")
    rows = "[[1618677480000,3,4,5,2,0.5],[1618677420000,2,3,4,1,7.25]]"
    first, second = reader.parse(f"[7,{rows},12]".encode(), AT).records
    assert isinstance(first, Kline)
    assert (first.instrument, first.interval, first.open_time) == ("bitfinex:AVAX-USD", "1m", 1_618_677_420_000_000)
    assert (first.open, first.close, first.high, first.low) == (2 * ONE, 3 * ONE, 4 * ONE, ONE)
    assert (first.volume, first.is_closed) == (725 * ONE // 100, True)
    assert isinstance(second, Kline)
    assert (second.open_time, second.is_closed) == (1_618_677_480_000_000, False)
    (update,) = reader.parse(b"[7,[1618677480000,3,4,5,2,0.75],13]", AT).records
    assert isinstance(update, Kline)
    assert (update.volume, update.is_closed) == (75 * ONE // 100, False)
    assert reader.parse(b"[7,[],14]", AT).records == []
    assert json.loads(reader.unsubscriptions([Subscription("bitfinex:AVAX-USD", "candles.1m")])[0])["chanId"] == 7


def test_state_of_a_perpetual_tells_marks_funding_and_open_interest() -> None:
    reader = keyed("status", "deriv:tBTCF0:USTF0")
    row = "[1618677059000,null,29297.85,29277.5,null,36950860.7,null,1618704000000,0.00000527,82,null,0.00014548,null,null,"
    parsed = reader.parse(f"[7,{row}29278.8925,null,null,9636.07644994,null,null,null,0.0005,0.0025],15]".encode(), AT)
    quote, funding, held = parsed.records
    assert parsed.name == "status"
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.mark_price, quote.index_price) == (
        "bitfinex:BTC-USDT-PERP",
        *(29_278_892_500_000_000, 29_277_500_000_000_000),
    )
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.next_funding_time, funding.interval_seconds) == (5_270_000, 1_618_704_000_000_000, 28_800)
    assert (funding.mark_price, funding.exchange_time) == (quote.mark_price, 1_618_677_059_000_000)
    assert isinstance(held, OpenInterest)
    assert held.open_interest == 9_636_076_449_940_000
    with pytest.raises(DataValidationError) as caught:
        reader.parse(b"[7,[1618677059000,null],16]", AT)
    assert (caught.value.reason, caught.value.field) == ("missing_field", "status")


@pytest.mark.parametrize(
    ("channel", "key"), [("candles", "trade:7D:tBTCUSD"), ("candles", "funding:1m:fUSD"), ("status", "liq:global")]
)
def test_what_else_has_a_key_is_not_known(channel: str, key: str) -> None:
    told = {"event": "subscribed", "channel": channel, "chanId": 7, "key": key}
    with pytest.raises(DataValidationError) as caught:
        parser().parse(json.dumps(told).encode(), AT)
    assert caught.value.reason == "unknown_stream"


def test_candles_and_states_are_asked_for_by_their_keys() -> None:
    streams = [Subscription("bitfinex:AVAX-USD", "candles.1D"), Subscription("bitfinex:BTC-USDT-PERP", "status")]
    VENUE.check(streams)
    asked = [json.loads(request.message) for request in VENUE.requests(streams, 1, AT, subscribe=True)][1:]
    assert asked == [
        {"event": "subscribe", "channel": "candles", "key": "trade:1D:tAVAX:USD"},
        {"event": "subscribe", "channel": "status", "key": "deriv:tBTCF0:USTF0"},
    ]
    with pytest.raises(SubscriptionError, match="bitfinex:BTC-USD is none"):
        VENUE.check([Subscription("bitfinex:BTC-USD", "status")])
