"""REST beyond quotes: prices, books, pages of the past, summaries, market status; tags and compression."""

from __future__ import annotations

from typing import Any

import pytest

from history.errors import HistoryTooSlow, HistoryUnavailable, HistoryUnfit
from market.book_top import BookTop
from market.errors import StorageError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.interval import DAY, HOUR
from market.open_interest import OpenInterest
from market.price import PriceRecord
from market.session import Session, TradingCalendar, TradingDay
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.gateway_app import App
from tests.gateway_history import ListedHistory
from tests.gateway_parts import make_candle, make_quote

V1 = "/api/v1/realtime"
OPEN = START // MINUTE * MINUTE


def feed(app: App) -> None:
    price: Any = example(PriceRecord)
    book: Any = example(BookTop)
    app.feed("md.quotes", make_quote(bid=1), make_quote(instrument="okx:ETH-USDT", bid=2))
    app.feed("md.prices", price._replace(instrument=INSTRUMENT))
    app.feed("md.books", book._replace(instrument=INSTRUMENT))
    app.feed("md.status", FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START))


def test_latest_prices_books_and_all_quotes() -> None:
    app = App()
    feed(app)
    _, prices = app.get(f"{V1}/prices?symbols=BTC/USDT,NO/SUCH")
    assert [price["instrument"] for price in prices["data"]] == [INSTRUMENT]
    assert [error["name"] for error in prices["metadata"]["errors"]] == ["UNKNOWN_SYMBOL"]
    _, book = app.get(f"{V1}/depth/BTC/USDT?levels=1")
    assert [len(book["data"][side]) for side in ("bids", "asks")] == [1, 1]
    assert book["metadata"]["topic"] == "md.books"
    status, missing = app.get(f"{V1}/depth/okx:ETH-USDT")
    assert (status, missing["error"]["name"]) == (404, "NO_DATA")
    first = (app.get(f"{V1}/all?limit=1"))[1]
    rest = (app.get(f"{V1}/all?limit=1&cursor={first['metadata']['cursor']}"))[1]
    assert [quote["instrument"] for quote in first["data"] + rest["data"]] == [INSTRUMENT, "okx:ETH-USDT"]
    assert rest["metadata"]["cursor"] is None


def test_summary_and_market_status_by_venue() -> None:
    days = [
        TradingDay("2026-01-01", [Session(OPEN - HOUR, OPEN + HOUR)]),
        TradingDay("2026-01-02", [Session(OPEN + DAY, OPEN + 2 * DAY)]),
    ]
    trading, over = TradingCalendar("XNOW", "UTC", days), TradingCalendar("XTST", "Asia/Shanghai", days[1:])
    calendars = {"okx": over, "sim": trading}
    app = App(calendar_of=lambda instrument: calendars.get(instrument.partition(":")[0]))
    app.feed("md.quotes", make_quote(instrument="sim:A-USD", bid=1))
    feed(app)
    _, summary = app.get(f"{V1}/summary")
    assert summary["data"]["venues"] == [
        {"venue": "binance", "instruments": 1, "streams": {"LIVE": 1}},
        {"venue": "okx", "instruments": 1, "streams": {}},
        {"venue": "sim", "instruments": 1, "streams": {}},
    ]
    _, markets = app.get(f"{V1}/market-status")
    keys = ("status", "calendar", "closes_at", "opens_at")
    assert {each["venue"]: tuple(each[key] for key in keys) for each in markets["data"]} == {
        "binance": ("OPEN", None, None, None),
        "okx": ("CLOSED", "XTST", None, OPEN + DAY),
        "sim": ("OPEN", "XNOW", OPEN + HOUR, None),
    }


def test_past_is_read_page_by_page() -> None:
    trades = [make_trade(number) for number in range(5)]
    history = ListedHistory(*trades)
    app = App((INSTRUMENT,), history=history.as_history())
    found, cursor = [], ""
    for _ in range(3):
        status, page = app.get(f"{V1}/trades/BTC/USDT?limit=2&since={START}&newest_first=false{cursor}")
        assert (status, page["metadata"]["instrument"]) == (200, INSTRUMENT)
        assert "resume" not in page["metadata"]  # the sink may be behind what the gateway has told
        found += [trade["trade_id"] for trade in page["data"]]
        cursor = f"&cursor={page['metadata']['cursor']}"
    assert found == [trade.trade_id for trade in trades]
    assert page["metadata"]["cursor"] is None
    assert history.asked[0][2][:4] == (START, history.asked[0][2].until, 2, False)
    status, refused = app.get(f"{V1}/klines/BTC/USDT?cursor=x")
    assert (status, refused["error"]["name"]) == (422, "INVALID_PARAMETER")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (HistoryUnavailable("10.1.2.3 is down"), 503),
        (HistoryUnfit("10.1.2.3 has no table"), 503),
        (HistoryTooSlow("10.1.2.3"), 504),
    ],
)
def test_trouble_with_the_database_is_told_without_its_address(failure: StorageError, status: int) -> None:
    app = App((INSTRUMENT,), history=ListedHistory(failure=failure).as_history())
    found, answer = app.get(f"{V1}/price-changes/BTC/USDT")
    assert found == status
    assert "10.1.2.3" not in answer["error"]["message"]


def test_past_funding_and_open_interest_are_told_as_exact_text() -> None:
    funding = Funding(INSTRUMENT, "tickers", -8_760_000, START + 9, 28_800, 10**12, None, None, START)
    bare = Funding(INSTRUMENT, "tickers", 0, None, None, None, 10**11, START, START)
    app = App((INSTRUMENT,), history=ListedHistory(funding, bare).as_history())
    status, page = app.get(f"{V1}/funding/BTC/USDT")
    assert status == 200
    assert page["data"] == [
        {
            "instrument": INSTRUMENT,
            "channel": "tickers",
            "rate": "-0.00000876",
            "next_funding_time": START + 9,
            "interval_seconds": 28_800,
            "mark_price": "1",
            "index_price": None,
            "exchange_time": None,
            "received_at": START,
        },
        {
            "instrument": INSTRUMENT,
            "channel": "tickers",
            "rate": "0",
            "next_funding_time": None,
            "interval_seconds": None,
            "mark_price": None,
            "index_price": "0.1",
            "exchange_time": START,
            "received_at": START,
        },
    ]
    told = OpenInterest(INSTRUMENT, "tickers", 59_891_732 * 10**9, 389999626501 * 10**22, START, START)
    app = App((INSTRUMENT,), history=ListedHistory(told, told._replace(notional=None)).as_history())
    status, page = app.get(f"{V1}/open-interest/BTC/USDT")
    assert status == 200
    assert [(one["open_interest"], one["notional"]) for one in page["data"]] == [
        ("59891.732", "3899996265.01"),
        ("59891.732", None),
    ]
    assert set(page["data"][0]) == {"instrument", "channel", "open_interest", "notional", "exchange_time", "received_at"}


def test_gateway_without_a_history_says_so() -> None:
    status, answer = App((INSTRUMENT,)).get(f"{V1}/klines/BTC/USDT")
    assert (status, answer["error"]["name"]) == (503, "HISTORY_UNAVAILABLE")


def test_what_is_had_already_is_not_sent_again() -> None:
    app = App()
    feed(app)
    path = "/api/realtime/quote/BTC/USDT"
    first = app.client.get(path)
    again = app.client.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.headers["etag"], again.content) == (304, first.headers["etag"], b"")
    app.feed("md.quotes", make_quote(at=START + 1, bid=9))
    assert app.client.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_long_answers_are_compressed_for_who_takes_it() -> None:
    history = ListedHistory(*(make_candle(minute) for minute in range(50))).as_history()
    app = App((INSTRUMENT,), history=history)
    path = f"{V1}/klines/BTC/USDT"
    zipped = app.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert len(zipped.json()["data"]) == 50
    assert "content-encoding" not in app.client.get(path, headers={"Accept-Encoding": "identity"}).headers
