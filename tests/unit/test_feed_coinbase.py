"""Frames of Coinbase Exchange, as recorded on 2021-04-17, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser, Subscription
from ingest.feeds.coinbase import VENUE
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.book_rules import unnumbered
from market.decimals import ONE
from market.depth import Depth, DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.quote import Quote
from market.trade import Trade
from tests.venue_data import COINBASE, recorded

AT = 1_618_677_817_300_000
MATCH = {
    "type": "match",
    "trade_id": 82008,
    "maker_order_id": "f71dd5c4-b316-4869-83db-ff328a7379a6",
    "taker_order_id": "d30ea30a-c805-4f05-ba7e-28020dfc52b3",
    "side": "sell",
    "size": "335",
    "price": "0.5762",
    "product_id": "SKL-GBP",
    "sequence": 27883501,
    "time": "2021-04-17T16:43:37.270697Z",
}
TICKER = {
    "type": "ticker",
    "sequence": 27883501,
    "product_id": "SKL-GBP",
    "price": "0.5762",
    "open_24h": "0.5102",
    "volume_24h": "3480196.10000000",
    "low_24h": "0.5",
    "high_24h": "0.588",
    "volume_30d": "76124009.10000000",
    "best_bid": "0.5742",
    "best_ask": "0.5771",
    "side": "buy",
    "time": "2021-04-17T16:43:37.270697Z",
    "trade_id": 82008,
    "last_size": "335",
}
SNAPSHOT = {"type": "snapshot", "product_id": "BAND-GBP", "asks": [["14.8024", "12.77"]], "bids": [["14.7550", "3.1"]]}
UPDATE = {
    "type": "l2update",
    "product_id": "SKL-USD",
    "changes": [["buy", "0.7705", "0.0"], ["sell", "0.7710", "12.5"]],
    "time": "2021-04-17T16:43:37.264230Z",
}


def frame(message: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (message | changes).items() if value is not ...}).encode()


def parser() -> Parser:
    return feeds.load("coinbase").parser("spot", {}, 5_000_000)


def parse(data: bytes) -> Parsed:
    return parser().parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def test_match_has_the_side_that_the_maker_had_not() -> None:
    trade = only(frame(MATCH))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.sequence, trade.side) == ("coinbase:SKL-GBP", "82008", 82008, "buy")
    assert (trade.price, trade.size, trade.exchange_time) == (576_200_000_000, 335 * ONE, 1_618_677_817_270_697)
    assert only(frame(MATCH, side="buy")).side == "sell"


def test_recorded_tickers_say_that_it_is_the_takers_side() -> None:
    """A ticker is told with each match, under its trade id."""
    takers = {}
    for line in _lines("ticker"):
        takers[line["product_id"], str(line["trade_id"])] = line["side"]
    trades = [record for record in recorded("coinbase", *COINBASE)[0] if isinstance(record, Trade)]
    assert {(trade.instrument.partition(":")[2], trade.trade_id): trade.side for trade in trades} == takers
    assert len(takers) == 107


def test_recorded_trade_ids_of_a_product_have_no_holes() -> None:
    parts = recorded("coinbase", *COINBASE)[0]
    by_product: dict[str, list[int]] = {}
    for record in parts:
        if isinstance(record, Trade):
            by_product.setdefault(record.instrument, []).append(int(record.trade_id))
    assert sum(map(len, by_product.values())) == 107
    assert all(ids == list(range(ids[0], ids[-1] + 1)) for ids in by_product.values())
    assert parser().contiguous == ("matches",)


def test_last_match_is_a_trade_as_any_other() -> None:
    assert parse(frame(MATCH, type="last_match")) == parse(frame(MATCH))
    assert parse(frame(MATCH)).name == "matches"


def test_ticker_has_the_best_prices_and_the_last_day() -> None:
    quote = only(frame(TICKER))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.last) == (574_200_000_000, None, 577_100_000_000, 576_200_000_000)
    assert (quote.open_24h, quote.volume_24h) == (510_200_000_000, 3480196_100000000000)
    assert (quote.last_size, quote.sequence, quote.exchange_time) == (335 * ONE, 27883501, 1_618_677_817_270_697)
    newer = only(frame(TICKER, best_bid_size="1.5", best_ask_size="2"))
    assert (newer.bid_size, newer.ask_size) == (1_500_000_000_000, 2 * ONE)
    assert only(frame(TICKER, time=..., last_size=...)).exchange_time is None  # of a product that was never traded


def test_snapshot_begins_a_book_and_an_update_changes_levels_of_both_sides() -> None:
    snapshot, update = only(frame(SNAPSHOT)), only(frame(UPDATE))
    assert isinstance(update, Depth)
    assert (snapshot.kind, snapshot.exchange_time, snapshot.last_sequence) == (DepthKind.SNAPSHOT, None, None)
    assert (update.kind, update.exchange_time) == (DepthKind.DELTA, 1_618_677_817_264_230)
    assert ([level[:2] for level in update.bids], [level[:2] for level in update.asks]) == (
        [(770_500_000_000, 0)],
        [(771_000_000_000, 12_500_000_000_000)],
    )
    reader = parser()
    assert isinstance(reader, BookParser)
    assert (reader.book_rules("level2").step, reader.book_rules("level2").fetched) == (unnumbered, False)


@pytest.mark.parametrize(
    ("word", "channel"), [("level2", "level2"), ("level2_batch", "level2_batch"), ("level2_50", "level2_batch")]
)
def test_books_are_of_the_channel_that_the_venue_confirmed(word: str, channel: str) -> None:
    reader = parser()
    confirmed = {"type": "subscriptions", "channels": [{"name": word, "product_ids": ["SKL-USD"]}, {"name": "heartbeat"}]}
    assert reader.parse(frame(confirmed), AT) == Parsed("reply", ())
    assert reader.parse(frame(UPDATE), AT).name == channel
    assert reader.channel_of(frame(UPDATE, time="soon")) == channel


def test_an_instrument_has_one_channel_of_books() -> None:
    both = [Subscription("coinbase:BTC-USD", channel) for channel in ("level2_batch", "level2")]
    VENUE.check(both[:1])
    VENUE.check(both[1:])
    with pytest.raises(SubscriptionError, match="has both level2 and level2_batch"):
        VENUE.check(both)


def test_products_are_listed_and_hosts_of_both_names_are_the_venues() -> None:
    products = json.dumps([{"id": "SKL-EUR"}, {"id": "btc-usd"}, {"id": "BTC-USD-X"}]).encode()
    for host in ("api.pro.coinbase.com", "api.exchange.coinbase.com"):
        assert VENUE.listed(f"https://{host}/products", products) == {"SKL-EUR": "coinbase:SKL-EUR"}
        assert VENUE.listed(f"https://{host}/products/SKL-EUR", products) == {}
    assert VENUE.market_of("wss://advanced-trade-ws.coinbase.com") is None


@pytest.mark.parametrize("kind", ["heartbeat", "received", "done", "status"])
def test_known_kind_that_is_not_carried_is_ignored_by_name(kind: str) -> None:
    assert parse(frame({"type": kind, "product_id": "BTC-USD"})) == Parsed(kind, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (frame({"type": "rumours"}), "unknown_stream", "type"),
        (frame(MATCH, side="both"), "unknown_side", "side"),
        (frame(MATCH, size="0"), "not_positive", "size"),
        (frame(MATCH, trade_id=...), "missing_field", "trade_id"),
        (frame(MATCH, time="2021-04-17 16:43:37"), "bad_time", "exchange_time"),
        (frame(MATCH, time="2021-02-30T16:43:37Z"), "bad_time", "exchange_time"),
        (frame(MATCH, product_id="SKLGBP"), "unknown_symbol", "product_id"),
        (frame(MATCH, product_id=...), "unknown_symbol", "product_id"),
        (frame(MATCH, product_id="skl-gbp"), "bad_instrument", "instrument"),
        (frame(TICKER, best_bid="x"), "not_a_decimal", "bid"),
        (frame(UPDATE, changes=[["both", "1", "1"]]), "unknown_side", "side"),
        (frame(UPDATE, changes=[["buy", "0", "1"]]), "not_positive", "bids"),
        (frame(SNAPSHOT, asks=[["1", "-1"]]), "negative", "asks"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def _lines(kind: str) -> list[dict[str, Any]]:
    told = [json.loads(item.data) for item in read_recordings(COINBASE) if isinstance(item, Frame)]
    return [message for message in told if message["type"] == kind]
