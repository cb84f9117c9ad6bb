"""Perpetuals of Gate.io: frames recorded on 2023-05-24 and, where it says so, as documented."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import ListeningVenue, Subscription
from ingest.rest_venue import DefiningVenue, FetchingVenue, HistoricalVenue, Place, PollableVenue
from market.book import Book
from market.book_rules import BookRules
from market.decimals import ONE
from market.depth import BookState, Depth
from market.errors import DataValidationError, SubscriptionError
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from tests.ingest_parts import NOW
from tests.venue_data import GATEIO_FUTURES, recorded

VENUE = feeds.load("gateio")
PERPETUAL = "gateio:BTC-USDT-PERP"
# as documented ("futures.trades", "futures.tickers")
TRADE = {
    "size": -108,
    "id": 27753479,
    "create_time": 1_723_161_599,
    "create_time_ms": 1_723_161_599_123,
    "price": "96.4",
    "contract": "BTC_USDT",
    "is_internal": False,
}
TICKER = {
    "contract": "BTC_USDT",
    "last": "118.4",
    "change_percentage": "0.77",
    "funding_rate": "-0.000114",
    "funding_rate_indicative": "0.01875",
    "mark_price": "118.35",
    "index_price": "118.36",
    "total_size": "73648",
    "volume_24h": "745487577",
    "quanto_base_rate": "",
    "low_24h": "117",
    "high_24h": "119.2",
}

CANDLE = {"t": 1_723_161_540, "v": 0, "c": "1", "h": "1", "l": "1", "o": "1", "n": "1m_BTC_USDT"}


def frame(channel: str, result: Any) -> bytes:
    return json.dumps(
        {"time": NOW // 10**6, "time_ms": NOW // 1000, "channel": channel, "event": "update", "result": result}
    ).encode()


def parse(data: bytes) -> Any:
    return VENUE.parser(None, {}, 5_000_000).parse(data, NOW).records


def test_every_book_is_live_and_its_top_is_that_of_the_ticker_of_the_same_number() -> None:
    records, playback = recorded("gateio", *GATEIO_FUTURES)
    books: dict[str, Book] = {}
    tops: dict[tuple[str, int | None], tuple[int | None, ...]] = {}
    quotes: dict[tuple[str, int | None], tuple[int | None, ...]] = {}
    for record in records:
        if isinstance(record, Depth) and record.state is BookState.LIVE:
            book = books.setdefault(record.instrument, Book(BookRules()))
            book.apply(record)
            assert not book.is_crossed
            bid, ask = book.bids.top, book.asks.top
            assert bid is not None
            assert ask is not None
            tops[record.instrument, record.last_sequence] = (bid.price, bid.size, ask.price, ask.size)
        elif isinstance(record, Quote):
            quotes[record.instrument, record.sequence] = (record.bid, record.bid_size, record.ask, record.ask_size)
    assert len(books) == 10
    assert playback.session.unsynced() == []
    both = tops.keys() & quotes.keys()
    assert len(both) > 10
    assert [key for key in both if tops[key] != quotes[key]] == []


def test_trade_is_in_contracts_and_a_sale_is_below_zero() -> None:
    (sale,), (purchase,) = parse(frame("futures.trades", [TRADE])), parse(frame("futures.trades", [TRADE | {"size": 5}]))
    assert isinstance(sale, Trade)
    assert (sale.instrument, sale.trade_id, sale.side, sale.size) == (PERPETUAL, "27753479", "sell", 108 * ONE)
    assert (sale.price, sale.exchange_time) == (964 * ONE // 10, 1_723_161_599_123_000)
    assert (purchase.side, purchase.size) == ("buy", 5 * ONE)


def test_ticker_tells_funding_and_open_interest_too() -> None:
    quote, funding, held = parse(frame("futures.tickers", [TICKER]))
    assert isinstance(quote, Quote)
    assert isinstance(funding, Funding)
    assert isinstance(held, OpenInterest)
    assert (quote.last, quote.bid, quote.change_percent_24h) == (1184 * ONE // 10, None, 77 * ONE // 100)
    assert (funding.rate, funding.mark_price, funding.index_price) == (-114_000_000, 11835 * ONE // 100, 11836 * ONE // 100)
    assert (quote.mark_price, quote.index_price) == (funding.mark_price, funding.index_price)
    assert (held.open_interest, held.notional, held.exchange_time) == (73_648 * ONE, None, NOW)


def test_recorded_candle_is_of_a_minute_and_without_volume_here() -> None:
    (kline,) = (record for record in recorded("gateio", *GATEIO_FUTURES)[0] if isinstance(record, Kline))
    assert (kline.instrument, kline.interval, kline.volume, kline.is_closed) == ("gateio:FRONT-USDT-PERP", "1m", 0, False)
    assert kline.close == 1701 * ONE // 10_000


def test_recorded_list_says_what_a_contract_stands_for() -> None:
    found = [record for record in recorded("gateio", *GATEIO_FUTURES)[0] if isinstance(record, InstrumentDefinition)]
    one = next(each for each in found if each.instrument == "gateio:KNC-USDT-PERP")
    assert (one.tick_size, one.lot_size, one.multiplier, one.multiplier_currency) == (ONE // 10_000, ONE, ONE, "KNC")
    assert (one.settle_currency, one.is_trading) == ("USDT", True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame("futures.trades", [TRADE | {"size": 0}]), "not_positive"),
        (frame("futures.trades", [TRADE | {"contract": "BTC_USD"}]), "unknown_symbol"),
        (frame("futures.trades", [TRADE | {"size": "many"}]), "wrong_type"),
        (frame("futures.trades", TRADE), "wrong_type"),
        (
            frame("futures.candlesticks", [{"t": 1, "v": 0, "c": "1", "h": "1", "l": "1", "o": "1", "n": "5m_BTC_USDT"}]),
            "wrong_interval",
        ),
        (frame("futures.rumours", {}), "unknown_stream"),
    ],
)
def test_bad_frame_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert caught.value.reason == reason


def test_perpetuals_are_asked_for_at_their_own_address() -> None:
    assert isinstance(VENUE, ListeningVenue)
    assert isinstance(VENUE, FetchingVenue)
    assert isinstance(VENUE, DefiningVenue)
    route = VENUE.route(Subscription(PERPETUAL, "futures.trades"), None)
    assert (route.market, route.url) == ("usdt", "wss://fx-ws.gateio.ws/v4/ws/usdt")
    assert VENUE.market_of(route.url) == "usdt"
    assert VENUE.market_of("wss://fx-ws.gateio.ws/v4/ws/btc") is None
    streams = [Subscription(PERPETUAL, channel) for channel in ("futures.trades", "futures.order_book_update")]
    asked = [json.loads(request.message) for request in VENUE.requests(streams, 1, NOW, subscribe=True)]
    assert [(each["channel"], each["payload"]) for each in asked] == [
        ("futures.trades", ["BTC_USDT"]),
        ("futures.order_book_update", ["BTC_USDT", "100ms"]),
    ]
    book = VENUE.book_request(PERPETUAL)
    assert book.url == "https://api.gateio.ws/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=100&with_id=true"
    assert VENUE.market_of(book.url) == book.market == "usdt"
    (listed,) = VENUE.definition_requests("usdt")
    assert listed.url == "https://api.gateio.ws/api/v4/futures/usdt/contracts"


def test_pairs_and_perpetuals_have_channels_of_their_own() -> None:
    assert isinstance(VENUE, PollableVenue)
    assert isinstance(VENUE, HistoricalVenue)
    for instrument, channel in ((PERPETUAL, "spot.trades"), ("gateio:BTC-USDT", "futures.trades")):
        with pytest.raises(SubscriptionError, match=f"{channel} is no channel of {instrument}, which has"):
            VENUE.check([Subscription(instrument, channel)])
    with pytest.raises(SubscriptionError, match="no instrument of gateio"):
        VENUE.check([Subscription("gateio:BTC-USD-PERP", "futures.trades")])
    stream = Subscription(PERPETUAL, "futures.trades")
    assert VENUE.poll_request(stream) is None
    request = VENUE.history_request(stream, Place(NOW + 1_500_000), NOW + 2_000_001)
    assert request is not None
    assert request.url == (
        "https://api.gateio.ws/api/v4/futures/usdt/trades"
        f"?contract=BTC_USDT&from={NOW // 1_000_000 + 1}&to={NOW // 1_000_000 + 3}&limit=1000&offset=0"
    )
    assert VENUE.history_request(Subscription(PERPETUAL, "futures.book_ticker"), Place(NOW), NOW * 2) is None
