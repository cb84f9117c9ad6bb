"""Candles folded from recorded trades against every kline that the venues stated of the same trades, by each venue's own rule.

A kline is pushed about once a second, so it sums up the trades of its interval up to some moment: those whose volume (or
amount, where the venue tells that alone) is the kline's. Of an interval that the recording saw from its first instant there is
always such a beginning of the trades, and then all else must be equal, too.

| venue | open, and so high and low |
|---|---|
| Bybit, Bitget | begin with the close of the kline before: an interval opens where the last one closed |
| Gate.io | of the first trade, as ours; a kline without trades repeats the close of the one before |

OKX recorded no klines, Kraken none in the same minutes as trades (for its REST answers see below and
`test_candles_equal_krakens`).
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.feeds.kraken import VENUE as KRAKEN_VENUE
from market.candle import Candle, candle_of, fold, merge
from market.quote import Kline
from market.trade import Trade
from schemas.records import Record
from tests.builders import MINUTE
from tests.counted import show
from tests.venue_data import BITGET, GATEIO, NO_WHOLE, WHOLE_BITGET, WHOLE_BYBIT, WHOLE_KRAKEN_REST, recorded

OPENS_AT_PREVIOUS_CLOSE = {"bybit", "bitget"}


def beginnings(trades: list[Trade]) -> list[Candle]:
    """The candle of the first trade, of the first two, and so on, in the order of trades."""
    found: list[Candle] = []
    for trade in sorted(trades, key=lambda trade: (trade.event_time, trade.sequence)):
        found.append(merge(found[-1], candle_of(trade)) if found else candle_of(trade))
    return found


def same_sum(kline: Kline, candle: Candle) -> bool:
    return candle.volume == kline.volume if kline.volume is not None else candle.amount == kline.amount


def is_empty(kline: Kline) -> bool:
    return not (kline.amount if kline.volume is None else kline.volume)


def check(kline: Kline, candle: Candle, venue: str) -> None:
    """That a kline is what the venue's rule makes of the trades of a candle."""
    high, low, open_ = candle.high, candle.low, candle.open
    if venue in OPENS_AT_PREVIOUS_CLOSE:
        high, low, open_ = max(high, kline.open), min(low, kline.open), kline.open
    assert (kline.open, kline.high, kline.low, kline.close) == (open_, high, low, candle.close), kline
    if kline.amount is not None:
        assert kline.amount == candle.amount, kline


class Comparison:
    """Compares the klines of one instrument, in the order told."""

    def __init__(self, venue: str, trades: list[Trade], klines: list[Kline], covered_from: int) -> None:
        self.compared = self.closed = self.empty = self.opens = 0
        self._venue = venue
        self._trades = trades
        self._closes: dict[int, int] = {}
        self._seen_empty: set[int] = set()
        for kline in klines:
            self._compare(kline, is_covered=kline.open_time >= covered_from)
            self._closes[kline.open_time] = kline.close

    def _compare(self, kline: Kline, *, is_covered: bool) -> None:
        if is_empty(kline):
            self._seen_empty.add(kline.open_time)
            assert len({kline.open, kline.high, kline.low, kline.close}) == 1, kline
        elif not is_covered and kline.open_time not in self._seen_empty:
            return  # it had trades before the recording began
        self._check_open(kline)
        if is_empty(kline):
            self.empty += 1
            return
        within = [trade for trade in self._trades if kline.open_time <= trade.event_time < kline.open_time + MINUTE]
        same = [candle for candle in beginnings(within) if same_sum(kline, candle)]
        assert len(same) == 1, kline
        check(kline, same[0], self._venue)
        self.compared += 1
        if kline.is_closed:
            assert same[0] == fold(within), kline
            self.closed += 1

    def _check_open(self, kline: Kline) -> None:
        before = self._closes.get(kline.open_time - MINUTE)
        if before is not None and (self._venue in OPENS_AT_PREVIOUS_CLOSE or is_empty(kline)):
            assert kline.open == before, kline
            self.opens += 1


def whole(venue: str, paths: Sequence[Path], *counts: int) -> object:
    missing = not paths or not all(path.exists() for path in paths)
    return pytest.param(venue, paths, counts, marks=pytest.mark.skipif(missing, reason=NO_WHOLE), id=f"{venue}, whole")


def first_covered(venue: str, trades: list[Trade]) -> int:
    """The first minute of which every trade is there: Bitget tells the last 50 after subscribing, others what comes."""
    first = trades[0].event_time if venue == "bitget" else trades[0].received_at
    return first - first % MINUTE + MINUTE


@pytest.mark.parametrize(
    ("venue", "paths", "counts"),
    [
        pytest.param("gateio", GATEIO, (3, 0, 3, 0), id="gateio"),
        pytest.param("bitget", BITGET, (33, 13, 2, 35), id="bitget"),
        whole("bitget", WHOLE_BITGET, 109, 45, 6, 115),
        whole("bybit", WHOLE_BYBIT, 41, 0, 2, 43),
    ],
)
def test_klines_equal_the_candles_of_the_trades_they_cover(
    capsys: pytest.CaptureFixture[str], venue: str, paths: Sequence[Path], counts: tuple[int, int, int, int]
) -> None:
    records: list[Record] = recorded(venue, *paths)[0]
    trades: dict[str, list[Trade]] = {}
    klines: dict[str, list[Kline]] = {}
    for record in records:
        if isinstance(record, Trade):
            trades.setdefault(record.instrument, []).append(record)
        elif isinstance(record, Kline):
            klines.setdefault(record.instrument, []).append(record)
    found = [
        Comparison(venue, trades[name], told, first_covered(venue, trades[name]))
        for name, told in klines.items()
        if name in trades
    ]
    compared, closed = sum(one.compared for one in found), sum(one.closed for one in found)
    empty, opens = sum(one.empty for one in found), sum(one.opens for one in found)
    show(capsys, f"{venue}: {compared} klines equal our candles, {closed} of them closed; {empty} empty; {opens} opens by rule")
    assert (compared, closed, empty, opens) == counts


@pytest.mark.skipif(not WHOLE_KRAKEN_REST.is_dir(), reason=NO_WHOLE)
def test_krakens_answers_hold_the_candles_of_its_trades(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = {"spot": {"XBTUSDT": "kraken:BTC-USDT"}}
    at = 1_762_820_300_000_000

    def answered(kind: str, file: str) -> list[Record]:
        body = gzip.decompress((WHOLE_KRAKEN_REST / file).read_bytes())
        parsed = KRAKEN_VENUE.answered(f"https://api.kraken.com/0/public/{kind}?pair=XBTUSDT", body, at, pairs, 5_000_000)
        assert parsed is not None
        return list(parsed.records)

    trades = [record for record in answered("Trades", "http_trades.json.gz") if isinstance(record, Trade)]
    klines = [record for record in answered("OHLC", "http_ohlc.json.gz") if isinstance(record, Kline)]
    assert [int(trade.trade_id) for trade in trades] == list(range(10_218_208, 10_219_208))
    first = trades[0].event_time // MINUTE * MINUTE + MINUTE
    last = trades[-1].event_time // MINUTE * MINUTE
    compared = 0
    for kline in klines:
        if first <= kline.open_time < last:
            compared += 1
            candle = fold([trade for trade in trades if kline.open_time <= trade.event_time < kline.open_time + MINUTE])
            assert (candle is None) == is_empty(kline)
            if candle is not None:
                check(kline, candle, "kraken")
                assert (kline.volume, kline.trade_count) == (candle.volume, candle.trade_count)
    show(capsys, f"kraken: {compared} minutes of REST klines equal the candles of REST trades")
    assert compared == 409
