"""Funding that was paid, asked for page by page: every payment of a range once and in order, as the venue told it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds
from ingest.backfill import BackfillFailed, TellingVenue, check_history
from ingest.feed import Subscription
from ingest.feeds._pages import Window
from ingest.rest_venue import Place, Request
from market.errors import SubscriptionError
from market.funding import Funding
from tests.backfilling import SKEW, backfilled
from tests.ingest_parts import ALL_DATA, NOW, FakeClock

HOUR = 3_600_000_000
RATE, PRICE = 8_760_000, 77_310_000_000_000  # 0.00000876, 77.31

Answer = Callable[[list[int], dict[str, int]], Any]


def binance(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("Get Funding Rate History"): oldest first, both ends are part of it."""
    found = [at for at in paid if query["startTime"] <= at <= query["endTime"]][: query["limit"]]
    return [{"symbol": "BTCUSDT", "fundingRate": "0.00000876", "fundingTime": at, "markPrice": "77.31"} for at in found]


def bybit(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("Get Funding Rate History"): newest first, both ends are part of it."""
    found = [at for at in reversed(paid) if query["startTime"] <= at <= query["endTime"]][: query["limit"]]
    rows = [{"symbol": "BTCUSDT", "fundingRate": "0.00000876", "fundingRateTimestamp": str(at)} for at in found]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}, "time": 1}


def okx(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("Get funding rate history"): newest first, neither end is part of it."""
    found = [at for at in reversed(paid) if query["before"] < at < query["after"]][: query["limit"]]
    rows = [
        {"instId": "BTC-USDT-SWAP", "fundingRate": "0.5", "realizedRate": "0.00000876", "fundingTime": str(at)} for at in found
    ]
    return {"code": "0", "msg": "", "data": rows}


def deribit(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("public/get_funding_rate_history"): oldest first; whether the start is part of it is not said."""
    found = [at for at in paid if query["start_timestamp"] < at <= query["end_timestamp"]]
    rows = [{"timestamp": at, "interest_1h": 8.76e-06, "interest_8h": 0.5, "index_price": 8222.87} for at in found]
    return {"jsonrpc": "2.0", "result": rows}


def gateio(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("Futures market historical funding rate"): newest first, in seconds, both ends are part of it."""
    found = [at // 1000 for at in reversed(paid) if query["from"] <= at // 1000 <= query["to"]]
    return [{"t": at, "r": "0.00000876"} for at in found[: query["limit"]]]


def bitget(paid: list[int], query: dict[str, int]) -> Any:
    """As documented ("Get Historical Funding Rates"): the newest of all, newest first."""
    rows = [{"symbol": "BTCUSDT", "fundingRate": "0.00000876", "fundingTime": str(at)} for at in reversed(paid)]
    return {"code": "00000", "msg": "success", "data": rows[: query["pageSize"]]}


class Rest:
    """A venue that paid at these times (milliseconds) and tells of those that were by now."""

    def __init__(self, answer: Answer, paid: list[int], clock: FakeClock) -> None:
        self.asked: list[str] = []
        self.paid = paid
        self._answer = answer
        self._clock = clock

    async def get(self, request: Request) -> bytes:
        self.asked.append(request.url)
        query = {name: int(value) for name, value in parse_qsl(urlsplit(request.url).query) if value.isdecimal()}
        return json.dumps(self._answer([at for at in self.paid if at * 1000 <= self._clock.now()], query)).encode()


VENUES = [
    ("binance", "markPrice@1s", "fundingRate", 1_000, binance),
    ("bybit", "tickers", "funding/history", 200, bybit),
    ("okx", "funding-rate", "funding-rate-history", 100, okx),
    ("deribit", "ticker.100ms", "get_funding_rate_history", 744, deribit),
    ("gateio", "futures.tickers", "futures.funding_rate", 1_000, gateio),
]
WHOLE_SECONDS = ("deribit", "gateio")


def run(venue: str, channel: str, rest: Rest, begin: int, end: int, marks: Path, clock: FakeClock) -> list[Funding]:
    """What a backfill of a perpetual publishes."""
    return backfilled(Subscription(f"{venue}:BTC-USDT-PERP", channel), Funding, rest, begin, end, marks, clock)


@pytest.mark.parametrize(("venue", "channel", "name", "most", "answer"), VENUES, ids=[each[0] for each in VENUES])
@pytest.mark.parametrize("hours", [1, 8])
def test_every_payment_of_a_range_comes_once_and_in_order(
    venue: str, channel: str, name: str, most: int, answer: Answer, hours: int, tmp_path: Path
) -> None:
    clock, number = FakeClock(NOW), 2 * most + 7
    late = 1_000 if venue in WHOLE_SECONDS else 1  # milliseconds
    paid = [(NOW - back * hours * HOUR) // 1_000_000 * 1000 + back % 2 * late for back in range(number, 0, -1)]
    rest = Rest(answer, paid, clock)
    told = run(venue, channel, rest, paid[2] * 1000, paid[-2] * 1000, tmp_path / "marks.json", clock)
    assert [one.exchange_time for one in told] == [at * 1000 for at in paid[2:-2]]
    assert {(one.instrument, one.channel, one.rate) for one in told} == {(f"{venue}:BTC-USDT-PERP", name, RATE)}
    assert {(one.next_funding_time, one.mark_price) for one in told} == {(None, PRICE if venue == "binance" else None)}
    assert len(rest.asked) <= number * hours // (most - 1) + 1


@pytest.mark.parametrize(("venue", "channel", "name", "most", "answer"), VENUES, ids=[each[0] for each in VENUES])
def test_command_given_again_goes_on_where_it_was(
    venue: str, channel: str, name: str, most: int, answer: Answer, tmp_path: Path
) -> None:
    assert name
    clock = FakeClock(NOW)
    begin = NOW - (most + 50) * HOUR
    paid = [(begin + number * HOUR) // 1000 for number in range(most + 100)]
    rest = Rest(answer, paid, clock)
    first = run(venue, channel, rest, begin, NOW, tmp_path / "marks.json", clock)
    asked = len(rest.asked)
    clock.time += 3 * HOUR
    later = run(venue, channel, rest, begin, clock.time, tmp_path / "marks.json", clock)
    assert len(rest.asked) == asked + 1
    times = [one.exchange_time or 0 for one in (*first, *later)]
    assert sorted(set(times)) == [at * 1000 for at in paid if begin <= at * 1000 < clock.time]
    assert len(times) - len(set(times)) <= 1  # the last one that was told comes again
    finished = run(venue, channel, rest, begin, NOW, tmp_path / "marks.json", clock)
    assert finished == []


def test_the_last_hundred_payments_of_bitget_are_told(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    paid = [(NOW - back * 8 * HOUR) // 1000 for back in range(100, 0, -1)]
    rest = Rest(bitget, paid, clock)
    told = run("bitget", "ticker", rest, paid[50] * 1000, paid[-2] * 1000, tmp_path / "marks.json", clock)
    assert [one.exchange_time for one in told] == [at * 1000 for at in paid[50:-2]]
    assert {(one.channel, one.rate) for one in told} == {("history-fund-rate", RATE)}
    assert len(rest.asked) == 1
    with pytest.raises(BackfillFailed, match="last 100 payments"):
        run("bitget", "ticker", rest, paid[0] * 1000 - 1, NOW, tmp_path / "others.json", clock)
    younger = Rest(bitget, paid[90:], clock)
    assert len(run("bitget", "ticker", younger, 1, NOW, tmp_path / "young.json", clock)) == 10


def test_hour_of_deribit_is_told_to_be_one(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    begin = (NOW - 4 * HOUR) // HOUR * HOUR
    (told,) = run("deribit", "ticker.raw", Rest(deribit, [begin // 1000], clock), begin, NOW, tmp_path / "marks.json", clock)
    assert (told.interval_seconds, told.rate, told.exchange_time) == (3_600, RATE, begin)


@pytest.mark.parametrize(
    ("venue", "instrument", "channel"),
    [
        ("bitget", "bitget:BTC-USDT", "ticker"),
        ("deribit", "deribit:BTC-USD-260925", "ticker.100ms"),
        ("deribit", "deribit:BTC-USD-PERP", "book.100ms"),
        ("gateio", "gateio:BTC-USDT-PERP", "futures.book_ticker"),
        ("binance", "binance:BTC-USDT", "markPrice@1s"),
        ("bybit", "bybit:BTC-USDT", "tickers"),
        ("bybit", "bybit:BTC-USDT-260925", "tickers"),
        ("bybit", "bybit:BTC-USDC-260925", "tickers"),
        ("okx", "okx:BTC-USDT", "funding-rate"),
        ("okx", "okx:BTC-USDT-PERP", "open-interest"),
    ],
)
def test_what_pays_no_funding_has_no_history_of_it(venue: str, instrument: str, channel: str) -> None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, TellingVenue)
    with pytest.raises(SubscriptionError, match=channel):
        check_history(speaker, [(Subscription(instrument, channel), NOW - HOUR, NOW)])


@given(st.lists(st.integers(0, 400), unique=True), st.integers(1, 60), st.integers(0, 300), st.integers(1, 100))
def test_pages_of_windows_are_the_payments_of_the_range(paid: list[int], most: int, begin: int, length: int) -> None:
    records = [Funding("binance:BTC-USDT-PERP", "fundingRate", 1, None, None, None, None, at * HOUR, 401 * HOUR) for at in paid]
    place: Place | None = Place(begin * HOUR)
    end, found = (begin + length) * HOUR, list[int | None]()
    while place is not None:
        page = Window.of_funding(place, end, most + 1).payments(records)
        assert len(page.records) <= most
        found += [one.exchange_time for one in page.records if isinstance(one, Funding)]
        place = page.next
    assert found == [at * HOUR for at in sorted(paid) if begin <= at < begin + length]


RECORDED = [
    (
        "binance",
        "https://fapi.binance.com/fapi/v1/fundingRate?symbol=BTCUSDT",
        ALL_DATA / "binance-rest" / "fapi_fundingRate_BTCUSDT.json",
        [
            (1_786_780_800_002_000, 65_230_000, 63_050_016_927_540_000),
            (1_786_809_600_000_000, 53_110_000, 63_068_065_376_810_000),
        ],
    ),
    (
        "bybit",
        "https://api.bybit.com/v5/market/funding/history?category=linear&symbol=BTCUSDT",
        ALL_DATA / "bybit-rest" / "v5_market_funding_history_BTCUSDT.json",
        [(1_786_780_800_000_000, 47_370_000, None), (1_786_809_600_000_000, 44_030_000, None)],
    ),
]


@pytest.mark.parametrize(("venue", "url", "path", "paid"), RECORDED, ids=[each[0] for each in RECORDED])
def test_recorded_payments_are_told_oldest_first(
    venue: str, url: str, path: Path, paid: list[tuple[int, int, int | None]]
) -> None:
    if not path.exists():
        pytest.skip("the recorded answers are not at hand (TAPELINE_DATA)")
    speaker = feeds.load(venue)
    assert isinstance(speaker, TellingVenue)
    parsed = speaker.answered(url, path.read_bytes(), 1_786_820_700_000_000, {}, SKEW)
    assert parsed is not None
    told = [record for record in parsed.records if isinstance(record, Funding)]
    assert [(one.exchange_time, one.rate, one.mark_price) for one in told] == paid
    assert {one.instrument for one in told} == {f"{venue}:BTC-USDT-PERP"}
