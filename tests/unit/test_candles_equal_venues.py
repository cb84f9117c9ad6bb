"""Candles folded from recorded trades against every kline that the venues stated of the same trades, by each venue's own rule.

A kline is pushed about once a second, so it sums up the trades of its interval up to some moment: those from its first to its
last trade id, or those whose volume (or amount, where the venue tells that alone) is the kline's. Where the recording has all
of these trades, `market.kline_comparison` must find no difference; of a closed kline they must be all of its interval.

Kraken recorded none in the same minutes as trades (for its REST answers see below and `test_candles_equal_krakens`), OKX none
at all.
"""

import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.feeds.kraken import VENUE as KRAKEN_VENUE
from market.candle import Candle, candle_of, fold, merge
from market.kline_comparison import differences, is_empty
from market.kline_rules import RULES, Closing, Opening, rule_of
from market.quote import Kline
from market.trade import Trade
from schemas.records import Record
from tests.builders import MINUTE
from tests.counted import show
from tests.ingest_parts import FUTURES, SPOT
from tests.venue_data import BITGET, GATEIO, KRAKEN, NO_WHOLE, OKX, WHOLE_BITGET, WHOLE_BYBIT, WHOLE_KRAKEN_REST, recorded

CLOSED, OPEN = "equal, closed", "equal, open"
EMPTY, REPEATED = "empty", "empty, repeating the close before"
NOT_RECORDED = "not of recorded trades alone"
BY_RULE = "opens with the close before"


def beginnings(trades: list[Trade]) -> list[Candle]:
    """The candle of the first trade, of the first two, and so on, in the order of trades."""
    found: list[Candle] = []
    for trade in sorted(trades, key=lambda trade: (trade.event_time, trade.sequence)):
        found.append(merge(found[-1], candle_of(trade)) if found else candle_of(trade))
    return found


def same_sum(kline: Kline, candle: Candle) -> bool:
    return candle.volume == kline.volume if kline.volume is not None else candle.amount == kline.amount


class Comparison:
    """Compares the klines of one instrument, in the order told; every one of them is counted under one word."""

    def __init__(self, venue: str, trades: list[Trade], klines: list[Kline]) -> None:
        self.counts: Counter[str] = Counter()
        self._rule = rule_of(venue)
        self._trades = trades
        self._covered_from = first_covered(venue, trades)
        self._closes: dict[int, int] = {}
        self._seen_empty: set[int] = set()
        following = [*(later.open_time for later in klines[1:]), 0]
        for kline, next_open_time in zip(klines, following, strict=True):
            is_last = self._rule.closing is Closing.NEXT_KLINE and next_open_time > kline.open_time
            self.counts[self._compare(kline, is_closed=kline.is_closed or is_last)] += 1
            self._closes[kline.open_time] = kline.close

    def _compare(self, kline: Kline, *, is_closed: bool) -> str:
        before = self._closes.get(kline.open_time - MINUTE)
        if is_empty(kline):
            self._seen_empty.add(kline.open_time)
            assert not differences(None, kline, self._rule, before), kline
            return EMPTY if before is None else REPEATED
        candle = self._candle(kline, is_closed=is_closed)
        if candle is None:
            return NOT_RECORDED
        assert not differences(candle, kline, self._rule, before), kline
        if before is not None and self._rule.opening is Opening.PREVIOUS_CLOSE:
            self.counts[BY_RULE] += 1
        return CLOSED if is_closed else OPEN

    def _candle(self, kline: Kline, *, is_closed: bool) -> Candle | None:
        """Our candle of the trades that a kline sums up; None where the recording lacks some."""
        within = [trade for trade in self._trades if kline.open_time <= trade.event_time < kline.open_time + MINUTE]
        if kline.first_trade_id is not None and kline.last_trade_id is not None:
            first, last = int(kline.first_trade_id), int(kline.last_trade_id)
            within = [one for one in within if int(one.first_trade_id) >= first and int(one.last_trade_id) <= last]
            return fold(within) if sum(trade.trade_count for trade in within) == last - first + 1 else None
        if kline.open_time < self._covered_from and kline.open_time not in self._seen_empty:
            return None
        same = [candle for candle in beginnings(within) if same_sum(kline, candle)]
        assert len(same) == 1, kline
        assert not is_closed or same[0] == fold(within), kline
        return same[0]


def first_covered(venue: str, trades: list[Trade]) -> int:
    """The first minute of which every trade is there: Bitget tells the last 50 after subscribing, others what comes."""
    if not trades:
        return 1 << 62
    first = trades[0].event_time if venue == "bitget" else trades[0].received_at
    return first - first % MINUTE + MINUTE


def compare_all(venue: str, records: list[Record]) -> tuple[int, Counter[str]]:
    """How many klines there are, and what became of them."""
    trades: dict[str, list[Trade]] = {}
    klines: dict[str, list[Kline]] = {}
    for record in records:
        if isinstance(record, Trade):
            trades.setdefault(record.instrument, []).append(record)
        elif isinstance(record, Kline):
            klines.setdefault(record.instrument, []).append(record)
    counts: Counter[str] = Counter()
    for name, told in klines.items():
        counts += Comparison(venue, trades.get(name, []), told).counts
    return sum(map(len, klines.values())), counts


def whole(venue: str, paths: Sequence[Path], counts: dict[str, int]) -> object:
    missing = not paths or not all(path.exists() for path in paths)
    return pytest.param(venue, paths, counts, marks=pytest.mark.skipif(missing, reason=NO_WHOLE), id=f"{venue}, whole")


@pytest.mark.parametrize(
    ("venue", "paths", "counts"),
    [
        pytest.param("binance", [SPOT], {OPEN: 1, NOT_RECORDED: 1}, id="binance, spot"),
        pytest.param("binance", [FUTURES], {OPEN: 15, NOT_RECORDED: 52}, id="binance, futures"),
        pytest.param("gateio", GATEIO, {OPEN: 3, EMPTY: 8, NOT_RECORDED: 3}, id="gateio"),
        pytest.param("bitget", BITGET, {CLOSED: 16, OPEN: 17, REPEATED: 2, NOT_RECORDED: 2984, BY_RULE: 33}, id="bitget"),
        whole("bitget", WHOLE_BITGET, {CLOSED: 55, OPEN: 54, REPEATED: 6, NOT_RECORDED: 9945, BY_RULE: 109}),
        whole("bybit", WHOLE_BYBIT, {OPEN: 41, REPEATED: 2, NOT_RECORDED: 6, BY_RULE: 41}),
    ],
)
def test_klines_equal_the_candles_of_the_trades_they_cover(
    capsys: pytest.CaptureFixture[str], venue: str, paths: Sequence[Path], counts: dict[str, int]
) -> None:
    klines, found = compare_all(venue, recorded(venue, *paths)[0])
    opens = found.pop(BY_RULE, 0)
    show(capsys, f"{venue}: of {klines} klines {dict(found)}; {opens} open with the close before")
    assert sum(found.values()) == klines
    assert found + Counter({BY_RULE: opens}) == Counter(counts)
    assert RULES[venue].is_proved


@pytest.mark.parametrize(("venue", "paths"), [("okx", OKX), ("kraken", KRAKEN)])
def test_recordings_without_klines_prove_nothing(capsys: pytest.CaptureFixture[str], venue: str, paths: Sequence[Path]) -> None:
    klines, found = compare_all(venue, recorded(venue, *paths)[0])
    show(capsys, f"{venue}: the recording has no klines, so none could be compared")
    assert (klines, found) == (0, Counter())
    assert RULES[venue].is_proved == (venue == "kraken")  # by its answers to requests, below


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
    assert [trade.sequence for trade in trades] == list(range(10_218_208, 10_219_208))
    first = trades[0].event_time // MINUTE * MINUTE + MINUTE
    last = trades[-1].event_time // MINUTE * MINUTE
    compared: Counter[str] = Counter()
    before: int | None = None
    for kline in klines:
        if first <= kline.open_time < last:
            candle = fold([trade for trade in trades if kline.open_time <= trade.event_time < kline.open_time + MINUTE])
            assert (candle is None) == is_empty(kline)
            assert not differences(candle, kline, RULES["kraken"], before), kline
            compared["empty" if candle is None else "equal"] += 1
        before = kline.close
    show(
        capsys,
        f"kraken: of {len(klines)} klines answered by REST {compared.total()} in the minutes of trades: {dict(compared)}",
    )
    assert compared.total() == 409
    assert compared == {"equal": 272, "empty": 137}
