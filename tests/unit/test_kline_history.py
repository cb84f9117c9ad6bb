"""Klines of the past, asked for page by page: every closed one of a range once and in order, as documented by each venue."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest.backfill import BackfillFailed, check_history
from ingest.feed import Subscription
from ingest.rest_venue import Request
from market.decimals import AMOUNT_SCALE, ONE
from market.errors import DataValidationError, SubscriptionError
from market.quote import Kline
from tests.backfilling import SKEW, backfilled, telling
from tests.ingest_parts import NOW, FakeClock

MINUTE = 60_000_000
Query = dict[str, str]
Answer = Callable[[list[int], Query], Any]
"""What a venue answers that has klines which began at these times (microseconds)."""


class Case(NamedTuple):
    """A stream of a venue, how many klines of what length (minutes) it tells at most, and the amount that each has."""

    instrument: str
    channel: str
    minutes: int
    most: int
    answer: Answer
    asked: str
    volume: int | None = 3 * ONE
    amount: int | None = None


def bitfinex(opened: list[int], query: Query) -> Any:
    """ "Candles": both ends are part of it, oldest first with sort=1; time, open, close, high, low, volume."""
    assert query["sort"] == "1"
    found = [at // 1000 for at in opened if int(query["start"]) <= at // 1000 <= int(query["end"])]
    return [[at, 10, 12, 13, 9, 3] for at in found[: int(query["limit"])]]


def bitget(opened: list[int], query: Query) -> Any:
    """ "Get History Candlestick Data": the last ones up to a time, which may be part of it, oldest first."""
    found = [at // 1000 for at in opened if at // 1000 <= int(query["endTime"])][-int(query["limit"]) :]
    return {"code": "00000", "msg": "success", "data": [[str(at), "10", "13", "9", "12", "3", "40", "33"] for at in found]}


def bitstamp(opened: list[int], query: Query) -> Any:
    """ "OHLC data": the last ones up to the end, where both ends are told."""
    found = [at // 1_000_000 for at in opened if at // 1_000_000 <= int(query["end"])][-int(query["limit"]) :]
    names = {"open": "10", "high": "13", "low": "9", "close": "12", "volume": "3"}
    return {"data": {"pair": "BTC/USD", "ohlc": [{"timestamp": str(at), **names} for at in found]}}


def deribit(opened: list[int], query: Query) -> Any:
    """ "public/get_tradingview_chart_data": lists of figures, oldest first."""
    found = [at // 1000 for at in opened if int(query["start_timestamp"]) < at // 1000 <= int(query["end_timestamp"])]
    figures = {"open": 10, "high": 13, "low": 9, "close": 12, "volume": 3.0, "cost": 33}
    lists = {name: [figure] * len(found) for name, figure in figures.items()}
    return {"jsonrpc": "2.0", "result": {"status": "ok" if found else "no_data", "ticks": found, **lists}}


def gateio(opened: list[int], query: Query) -> Any:
    """ "Futures market K-line chart": both ends are part of it; `sum` is the amount."""
    found = [at // 1_000_000 for at in opened if int(query["from"]) <= at // 1_000_000 <= int(query["to"])]
    assert len(found) <= 2_000
    return [{"t": at, "v": 3, "o": "10", "h": "13", "l": "9", "c": "12", "sum": "33"} for at in found]


def kraken_futures(opened: list[int], query: Query) -> Any:
    """ "Market Candles": of seconds from one to another."""
    found = [at for at in opened if int(query["from"]) <= at // 1_000_000 <= int(query["to"])]
    figures = {"open": "10.0", "high": "13.0", "low": "9.0", "close": "12.0", "volume": 3}
    return {"candles": [{"time": at // 1000, **figures} for at in found], "more_candles": False}


CASES = [
    Case("bitfinex:BTC-USD", "candles.1m", 1, 10_000, bitfinex, "/v2/candles/trade:1m:tBTCUSD/hist"),
    Case("bitfinex:AVAX-USD", "candles.1h", 60, 10_000, bitfinex, "/v2/candles/trade:1h:tAVAX:USD/hist"),
    Case("bitget:BTC-USDT", "candle5m", 5, 199, bitget, "/api/v2/spot/market/history-candles", amount=33 * 10**AMOUNT_SCALE),
    Case(
        "bitget:BTC-USDT-PERP", "candle4H", 240, 199, bitget, "/api/v2/mix/market/history-candles", amount=33 * 10**AMOUNT_SCALE
    ),
    Case("bitstamp:BTC-USD", "ohlc.60", 1, 1_000, bitstamp, "/api/v2/ohlc/btcusd/"),
    Case("bitstamp:BTC-USD", "ohlc.86400", 1_440, 1_000, bitstamp, "/api/v2/ohlc/btcusd/"),
    Case(
        "deribit:BTC-USD-PERP",
        "chart.trades.15",
        15,
        1_000,
        deribit,
        "/api/v2/public/get_tradingview_chart_data",
        amount=33 * 10**AMOUNT_SCALE,
    ),
    Case("gateio:BTC-USDT-PERP", "futures.candlesticks", 1, 1_000, gateio, "/api/v4/futures/usdt/candlesticks"),
    Case(
        "kraken_futures:BTC-USD-PERP",
        "charts.trade.1h",
        60,
        2_000,
        kraken_futures,
        "/api/charts/v1/trade/PI_XBTUSD/1h",
        volume=None,
    ),
]
NAMES = [f"{case.instrument} {case.channel}" for case in CASES]


class Rest:
    """A venue that has klines which began at these times."""

    def __init__(self, answer: Answer, opened: list[int]) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._opened = opened

    async def get(self, request: Request) -> bytes:
        self.asked.append(request.url)
        parts = urlsplit(request.url)
        return json.dumps(self._answer(self._opened, dict(parse_qsl(parts.query)))).encode()


def run(case: Case, rest: Rest, begin: int, end: int, marks: Path, now: int) -> list[Kline]:
    """What a backfill publishes."""
    return backfilled(Subscription(case.instrument, case.channel), Kline, rest, begin, end, marks, FakeClock(now))


def opened_before(now: int, minutes: int, number: int) -> list[int]:
    """When the last klines began, the last of them still open."""
    last = now // (minutes * MINUTE) * minutes * MINUTE
    return [last - back * minutes * MINUTE for back in range(number - 1, -1, -1)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_every_closed_kline_of_a_range_comes_once_and_in_order(case: Case, tmp_path: Path) -> None:
    number = 2 * case.most + 7
    now = NOW // (case.minutes * MINUTE) * case.minutes * MINUTE + SKEW + 1
    opened = opened_before(now, case.minutes, number)
    rest = Rest(case.answer, opened)
    told = run(case, rest, opened[2], now, tmp_path / "marks.json", now)
    assert [one.open_time for one in told] == opened[2:-1]
    assert {one.instrument for one in told} == {case.instrument}
    figures = {(one.open, one.high, one.low, one.close, one.volume, one.amount, one.is_closed) for one in told}
    assert figures == {(10 * ONE, 13 * ONE, 9 * ONE, 12 * ONE, case.volume, case.amount, True)}
    assert {urlsplit(url).path for url in rest.asked} == {case.asked}
    assert len(rest.asked) == 3
    again = run(case, rest, opened[2], now, tmp_path / "marks.json", now)
    assert [one.open_time for one in again] in ([opened[-2]], [])  # the last one that was told may come again


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_kline_that_may_not_be_over_is_not_told(case: Case, tmp_path: Path) -> None:
    length = case.minutes * MINUTE
    now = NOW // length * length + SKEW - 1
    opened = opened_before(now, case.minutes, 4)
    told = run(case, Rest(case.answer, opened), opened[0], now, tmp_path / "marks.json", now)
    assert [one.open_time for one in told] == opened[:-2]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_answer_that_is_none_ends_a_backfill_with_a_word(case: Case, tmp_path: Path) -> None:
    with pytest.raises(BackfillFailed, match="cannot be taken in"):
        run(case, Rest(lambda *_: {"error": "no"}, []), NOW - MINUTE, NOW, tmp_path / "marks.json", NOW)


@pytest.mark.parametrize(
    ("instrument", "url", "answer", "reason"),
    [
        ("bitget", "https://api.bitget.com/api/v2/spot/market/history-candles?symbol=BTCUSDT&granularity=2min", "[]", "wrong"),
        (
            "bitget",
            "https://api.bitget.com/api/v2/spot/market/history-candles?symbol=BTCUSDT&granularity=1min",
            '[["1"]]',
            "miss",
        ),
        ("bitstamp", "https://www.bitstamp.net/api/v2/ohlc/btcusd/?step=61", "{}", "wrong_interval"),
        (
            "deribit",
            "https://www.deribit.com/api/v2/public/get_tradingview_chart_data?instrument_name=BTC-PERPETUAL&resolution=7",
            "{}",
            "wrong_interval",
        ),
        (
            "deribit",
            "https://www.deribit.com/api/v2/public/get_tradingview_chart_data?instrument_name=BTC-PERPETUAL&resolution=1",
            '{"ticks":[1],"open":[],"high":[],"low":[],"close":[],"volume":[],"cost":[]}',
            "missing_field",
        ),
    ],
)
def test_wrong_answer_is_refused_by_its_field(instrument: str, url: str, answer: str, reason: str) -> None:
    around = {"bitget": f'{{"code":"00000","data":{answer}}}', "deribit": f'{{"result":{answer}}}'}
    with pytest.raises(DataValidationError) as caught:
        telling(f"{instrument}:").answered(url, around.get(instrument, answer).encode(), NOW, {}, SKEW)
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("instrument", "channel"),
    [
        ("bitstamp:BTC-USD", "live_trades"),
        ("bitstamp:BTC-USD", "ohlc.61"),
        ("kraken_futures:BTC-USD-PERP", "charts.trade.2m"),
        ("kraken_futures:BTC-USD-PERP", "ticker"),
        ("bitget:BTC-USDT", "books"),
        ("bitget:BTC-USDC-PERP", "candle1m"),
        ("bitfinex:BTC-USD", "book"),
        ("deribit:BTC-USD-PERP", "chart.trades.10"),
    ],
)
def test_what_a_venue_does_not_tell_of_the_past_is_refused_by_name(instrument: str, channel: str) -> None:
    with pytest.raises(SubscriptionError, match=channel):
        check_history(telling(instrument), [(Subscription(instrument, channel), NOW - MINUTE, NOW)])
