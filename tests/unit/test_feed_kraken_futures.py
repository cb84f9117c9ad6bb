"""Frames of Kraken Futures, as recorded on 2021-07-22, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser, SequencedParser
from ingest.feeds.kraken_futures import VENUE
from ingest.recorded import Answer, Frame
from ingest.recordings import read_recordings
from market.book import Book
from market.book_rules import BookRules, by_one
from market.decimals import ONE
from market.depth import Depth, DepthKind
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Quote
from market.trade import GapMark, Trade
from tests.ingest_parts import played
from tests.venue_data import KRAKEN_FUTURES, recorded

AT = 1_626_994_930_000_000
TRADE = {
    "feed": "trade",
    "product_id": "PI_LTCUSD",
    "uid": "e2429e31-8b9d-4195-900e-fd42be2dec89",
    "side": "buy",
    "type": "fill",
    "seq": 5956,
    "time": 1626994929946,
    "qty": 320.0,
    "price": 119.44,
}
BOOK = {
    "feed": "book",
    "product_id": "PI_ETHUSD",
    "side": "sell",
    "seq": 26660860,
    "price": 2004.85,
    "qty": 4787.0,
    "timestamp": 1626994927744,
}
SNAPSHOT = {
    "feed": "book_snapshot",
    "product_id": "FI_BCHUSD_210730",
    "timestamp": 1626994925378,
    "seq": 91192,
    "tickSize": None,
    "bids": [{"price": 439.3, "qty": 20108.0}, {"price": 438.9, "qty": 23706.0}],
    "asks": [{"price": 440.1, "qty": 5.0}],
}
TICKER = {
    "feed": "ticker_lite",
    "product_id": "FI_XBTUSD_210730",
    "bid": 32170.5,
    "ask": 32192.5,
    "change": 0.347779978478191,
    "premium": 0.1,
    "volume": 2375190.0,
    "tag": "month",
    "pair": "XBT:USD",
    "dtm": 7,
    "maturityTime": 1627657200000,
}
URL = "https://futures.kraken.com/derivatives/api/v3/instruments"


def frame(message: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (message | changes).items() if value is not ...}).encode()


def parser() -> Parser:
    return feeds.load("kraken_futures").parser("derivatives", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def test_trade_has_the_venues_id_and_the_number_of_its_contract() -> None:
    trade = only(frame(TRADE))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.sequence) == ("kraken_futures:LTC-USD-PERP", TRADE["uid"], 5956)
    assert (trade.side, trade.price, trade.size) == ("buy", 119_440_000_000_000, 320 * ONE)
    assert trade.exchange_time == 1_626_994_929_946_000


def test_recorded_trades_are_bought_at_the_ask_of_the_book() -> None:
    books: dict[str, Book] = {}
    above, trades = 0, 0
    for record in recorded("kraken_futures", *KRAKEN_FUTURES)[0]:
        if isinstance(record, Depth):
            books.setdefault(record.instrument, Book(BookRules())).apply(record)
        elif isinstance(record, Trade) and record.received_at - record.event_time < 1_000_000:
            bid, ask = books[record.instrument].bids.top, books[record.instrument].asks.top
            assert bid is not None
            assert ask is not None
            trades += 1
            above += (record.side == "buy") is (2 * record.price > bid.price + ask.price)
    assert (above, trades) == (3, 3)


def test_snapshot_of_trades_tells_the_newest_last() -> None:
    rows = [TRADE | {"seq": number, "uid": f"u{number}"} for number in (5955, 5954)]
    trades = parse(frame({"feed": "trade_snapshot", "product_id": "PI_LTCUSD", "trades": rows})).records
    assert [trade.sequence for trade in trades if isinstance(trade, Trade)] == [5954, 5955]


def test_recorded_trades_are_numbered_without_holes_and_one_that_is_left_out_is_a_gap() -> None:
    trades = [record for record in recorded("kraken_futures", *KRAKEN_FUTURES)[0] if isinstance(record, Trade)]
    numbers: dict[str, list[int]] = {}
    for trade in trades:
        numbers.setdefault(trade.instrument, []).append(trade.sequence)
    assert all(found == list(range(found[0], found[-1] + 1)) for found in numbers.values())
    assert sorted(map(len, numbers.values())) == [100] * 7 + [101] * 3
    reader = parser()
    assert isinstance(reader, SequencedParser)
    assert (reader.sequenced, reader.contiguous) == (("trade",), ())

    items = list(read_recordings(KRAKEN_FUTURES))
    (snapshot,) = [
        number
        for number, item in enumerate(items)
        if isinstance(item, Frame) and b'"trade_snapshot","product_id":"PI_LTCUSD"' in item.data
    ]
    data = items[snapshot].data  # type: ignore[union-attr]  # it is a frame
    message = json.loads(data)
    message["trades"] = [trade for trade in message["trades"] if trade["seq"] != 5_900]
    items[snapshot] = items[snapshot]._replace(data=json.dumps(message).encode())  # type: ignore[call-arg]
    gaps = [record for record in played(items, "kraken_futures") if isinstance(record, GapMark) and record.begin is not None]
    before, after = (next(trade for trade in trades if (trade.instrument, trade.sequence) == key) for key in _beside(5_900))
    assert gaps == [GapMark("kraken_futures:LTC-USD-PERP", before.event_time, after.event_time)]


def _beside(number: int) -> list[tuple[str, int]]:
    return [("kraken_futures:LTC-USD-PERP", number - 1), ("kraken_futures:LTC-USD-PERP", number + 1)]


def test_book_is_a_snapshot_and_changes_of_one_level_numbered_one_by_one() -> None:
    snapshot, change = only(frame(SNAPSHOT)), only(frame(BOOK))
    assert isinstance(snapshot, Depth)
    assert (snapshot.kind, snapshot.last_sequence) == (DepthKind.SNAPSHOT, 91192)
    assert [level[:2] for level in snapshot.bids] == [(439_300_000_000_000, 20108 * ONE), (438_900_000_000_000, 23706 * ONE)]
    assert (change.kind, change.last_sequence, change.bids) == (DepthKind.DELTA, 26660860, ())
    assert [level[:2] for level in change.asks] == [(2004_850_000_000_000, 4787 * ONE)]
    assert only(frame(BOOK, side="buy", qty=0)).bids[0].size == 0
    reader = parser()
    assert isinstance(reader, BookParser)
    assert (reader.book_rules("book").step, reader.book_rules("book").fetched) == (by_one, False)


def test_ticker_has_bid_ask_and_volume_and_no_time() -> None:
    quote = only(frame(TICKER))
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.channel) == ("kraken_futures:BTC-USD-210730", "ticker_lite")
    assert (quote.bid, quote.ask, quote.volume_24h) == (32170_500000000000, 32192_500000000000, 2375190 * ONE)
    assert (quote.exchange_time, quote.last, quote.change_percent_24h) == (None, None, None)
    assert only(frame(TICKER, bid=None)).bid is None


# as documented ("Ticker")
WHOLE_TICKER = {
    "time": 1626994929406,
    "product_id": "PI_XBTUSD",
    "funding_rate": -6.2604214e-11,
    "feed": "ticker",
    "bid": 21978.5,
    "ask": 21987.0,
    "bid_size": 2536.0,
    "ask_size": 13948.0,
    "volume": 31423655.0,
    "dtm": 0,
    "leverage": "50x",
    "index": 21984.54,
    "premium": -0.1,
    "last": 21979.0,
    "change": 0.6595,
    "suspended": False,
    "tag": "perpetual",
    "pair": "XBT:USD",
    "openInterest": 30072580.0,
    "markPrice": 21979.682641,
    "maturityTime": 0,
    "post_only": False,
    "volumeQuote": 31423655.0,
}


def test_whole_ticker_has_a_time_mark_and_index_prices_and_open_interest() -> None:
    quote, held = parse(frame(WHOLE_TICKER)).records
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.channel) == ("kraken_futures:BTC-USD-PERP", "ticker")
    assert quote.exchange_time == 1_626_994_929_406_000
    assert (quote.bid, quote.bid_size) == (21978_500000000000, 2536 * ONE)
    assert (quote.ask, quote.ask_size, quote.last) == (21987 * ONE, 13948 * ONE, 21979 * ONE)
    assert (quote.mark_price, quote.index_price) == (21979_682641000000, 21984_540000000000)
    assert isinstance(held, OpenInterest)
    assert (held.channel, held.open_interest) == ("ticker", 30_072_580 * ONE)
    (alone,) = parse(frame(WHOLE_TICKER, openInterest=..., markPrice=0.12345678901234567)).records
    assert isinstance(alone, Quote)
    assert (alone.mark_price, alone.bid) == (None, quote.bid)  # more digits than are kept
    assert parser().channel_of(frame(WHOLE_TICKER)) == "ticker"


def test_whole_ticker_of_a_perpetual_tells_its_relative_funding() -> None:
    given = {"relative_funding_rate": -1.37594364e-06, "next_funding_rate_time": 1626998400000}
    funding = parse(frame(WHOLE_TICKER | given)).records[-1]
    assert isinstance(funding, Funding)
    assert (funding.channel, funding.rate, funding.exchange_time) == ("ticker", -1_375_944, 1_626_994_929_406_000)
    assert (funding.next_funding_time, funding.interval_seconds) == (1_626_998_400_000_000, 3_600)
    assert (funding.mark_price, funding.index_price) == (21979_682641000000, 21984_540000000000)
    dated = parse(frame(WHOLE_TICKER | given | {"product_id": "FI_XBTUSD_210730"})).records
    assert not [record for record in dated if isinstance(record, Funding)]
    with pytest.raises(DataValidationError) as caught:
        parse(frame(WHOLE_TICKER | given | {"relative_funding_rate": "x"}))
    assert (caught.value.reason, caught.value.field) == ("wrong_type", "rate")


def test_recorded_contracts_are_listed_and_indices_are_not() -> None:
    (answer,) = [item for item in read_recordings(KRAKEN_FUTURES[:1]) if isinstance(item, Answer)]
    listed = VENUE.listed(answer.url, answer.body)
    assert len(listed) == 17  # beside ten indices
    assert listed["PI_XBTUSD"] == "kraken_futures:BTC-USD-PERP"
    assert listed["FI_XRPUSD_210924"] == "kraken_futures:XRP-USD-210924"
    assert all(VENUE.symbol_of(instrument) == symbol for symbol, instrument in listed.items())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"event":"info","version":1}', "info"),
        (b'{"event":"subscribed","feed":"book","product_ids":["PI_XRPUSD"]}', "reply"),
        (b'{"feed":"heartbeat","time":1626994927744}', "heartbeat"),
    ],
)
def test_what_is_no_data_has_a_name(data: bytes, name: str) -> None:
    assert parse(data) == Parsed(name, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"event":"rumours"}', "unknown_stream", "event"),
        (b'{"feed":"rumours","product_id":"PI_XRPUSD"}', "unknown_stream", "feed"),
        (frame(TRADE, side="both"), "unknown_side", "side"),
        (frame(TRADE, price="119"), "wrong_type", "price"),
        (frame(TRADE, qty=...), "missing_field", "size"),
        (frame(TRADE, qty=-1), "not_positive", "size"),
        (frame(TRADE, product_id="PI_XRPUSD_210924"), "unknown_symbol", "product_id"),
        (frame(TRADE, product_id="FI_XRPUSD"), "unknown_symbol", "product_id"),
        (frame(TRADE, product_id="in_xrpusd"), "unknown_symbol", "product_id"),
        (frame(TRADE, product_id="PI_XRP"), "unknown_symbol", "symbol"),
        (frame({"feed": "trade_snapshot", "product_id": "PI_ETHUSD", "trades": [TRADE]}), "symbol_mismatch", "product_id"),
        (frame(BOOK, seq=...), "missing_field", "seq"),
        (frame(SNAPSHOT, asks=[{"price": 1}]), "missing_field", "qty"),
        (frame(SNAPSHOT, asks=[{"price": 0, "qty": 1}]), "not_positive", "asks"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)
