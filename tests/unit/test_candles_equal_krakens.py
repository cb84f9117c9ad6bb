"""The fold against candles that an exchange computed from the same trades, at zero tolerance."""

import csv
from pathlib import Path

from market.candle import CandleEvent
from market.candle_series import CandleSeries, Outcome, SeriesState
from market.decimals import parse_decimal
from market.interval import parse_interval
from market.trade import Trade
from market.watermark import GRACE

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


def test_candles_equal_krakens_own_in_every_full_minute() -> None:
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
    compared = 0
    for row in read("candles_1m.csv"):
        open_time = int(row["open_time"]) * 1_000_000
        if not first <= open_time < last:
            continue
        compared += 1
        if row["trade_count"] == "0":
            assert open_time not in candles
            continue
        candle = candles[open_time]
        ours = (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trade_count)
        fields = ("open", "high", "low", "close", "volume")
        assert ours == (*(parse_decimal(row[field], field=field) for field in fields), int(row["trade_count"])), row
    assert compared == 409
