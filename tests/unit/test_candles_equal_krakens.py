"""The fold against candles that an exchange computed from the same trades, at zero tolerance."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from market.candle import CandleEvent
from market.candle_series import CandleSeries, Outcome, SeriesState
from market.decimals import parse_decimal
from market.interval import parse_interval
from market.kline_comparison import differences, is_empty
from market.kline_rules import RULES
from market.quote import Kline
from market.trade import Trade
from market.watermark import GRACE
from tests.counted import show

DATA = Path(__file__).parent.parent / "data" / "kraken"
MINUTE = 60_000_000


def read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trade(row: dict[str, str]) -> Trade:
    number, time = row["trade_id"], int(row["time_micros"])
    price, size = (parse_decimal(row[field], field=field) for field in ("price", "size"))
    side = "buy" if row["side"] == "buy" else "sell"
    return Trade("kraken:BTC-USDT", number, int(number), price, size, side, time, time, number, number)  # type: ignore[arg-type]


def kline(row: dict[str, str]) -> Kline:
    open_, high, low, close, volume = (
        parse_decimal(row[field], field=field) for field in ("open", "high", "low", "close", "volume")
    )
    return Kline(
        instrument="kraken:BTC-USDT",
        interval="1m",
        open_time=int(row["open_time"]) * 1_000_000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        amount=None,
        trade_count=int(row["trade_count"]),
        taker_buy_volume=None,
        first_trade_id=None,
        last_trade_id=None,
        is_closed=True,
        exchange_time=None,
        received_at=0,
    )


def test_candles_equal_krakens_own_in_every_full_minute(capsys: pytest.CaptureFixture[str]) -> None:
    series = CandleSeries(
        "kraken:BTC-USDT", SeriesState(), {}, intervals=[parse_interval("1m")], grace=GRACE, source=("md.trades", 0)
    )
    candles: dict[int, CandleEvent] = {}
    found = [trade(row) for row in read("trades.csv")]
    for offset, one in enumerate(found):
        outcome, events = series.apply(one, offset)
        assert outcome is Outcome.APPLIED
        candles |= {event.open_time: event for event in (*events, *series.updates())}

    first = found[0].event_time // MINUTE * MINUTE + MINUTE
    last = found[-1].event_time // MINUTE * MINUTE
    compared: Counter[str] = Counter()
    before: int | None = None
    for stated in map(kline, read("candles_1m.csv")):
        if first <= stated.open_time < last:
            candle = candles.get(stated.open_time)
            assert (candle is None) == is_empty(stated), stated
            assert not differences(candle, stated, RULES["kraken"], before), stated
            compared["empty" if candle is None else "equal"] += 1
        before = stated.close
    show(capsys, f"kraken: {compared.total()} minutes compared with the candle series: {dict(compared)}")
    assert compared == {"equal": 272, "empty": 137}
