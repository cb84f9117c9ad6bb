"""Folders of runs, compiled and plain: one contract, held against a straightforward model of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given

from market.candle import fold
from market.candle_series import LARGEST_RUN_AMOUNT, LARGEST_RUN_VOLUME, CandleSeries, SeriesState
from market.decimals import ONE
from market.errors import DataValidationError
from market.interval import parse_interval
from market.quality import MAX_CLOCK_SKEW
from market.run import NEVER, Run, Window
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from processors.batch import RawRecord
from processors.runs import open_folder, plain
from processors.runs.protocol import Other, RunCounts
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.run_streams import (
    CODEC,
    CONTRACT,
    INSTRUMENTS,
    SECOND,
    SIZES,
    WINDOW,
    both,
    cut,
    decoded,
    folder,
    journal,
    needs_compiled,
    raw,
    streams,
    unhurried,
)


def is_simple(trade: Trade) -> bool:
    """Whether a valid trade is one that a run can hold."""
    ids = trade.first_trade_id, trade.last_trade_id
    return (
        trade.trade_id.isascii()
        and trade.trade_id.isdigit()
        and len(trade.trade_id) <= 18
        and all(text.isascii() and len(text) <= 24 for text in ids)
        and trade.amount < LARGEST_RUN_AMOUNT
    )


@dataclass
class ModelLane:
    window: Window
    trades: list[Trade] = field(default_factory=list)
    source_offset: int = -1
    begun_at: int = -1


class Model:
    """The contract in so many words, for streams encoded as our codec does."""

    def __init__(self, other: Other) -> None:
        self.other = other
        self.lanes: dict[str, ModelLane] = {}
        self.order: list[str] = []
        self.counts = RunCounts()

    def fold(self, records: Iterable[RawRecord]) -> None:
        for record in records:
            if not self._belongs(record):
                self.other(record, None)

    def _belongs(self, record: RawRecord) -> bool:
        found = decoded(record)
        lane = self.lanes.get(found.instrument) if found else None
        if found is None or lane is None or isinstance(found, GapMark):
            return False
        if isinstance(found, TimeMark):
            return self._mark(lane, found, record.offset)
        return is_simple(found) and self._trade(lane, found, record.offset)

    def _mark(self, lane: ModelLane, mark: TimeMark, offset: int) -> bool:
        window = lane.window
        if offset <= window.applied_offset:
            self.counts.replayed += 1
            return True
        if mark.time >= window.closes_at:
            return False
        if mark.time > window.latest:
            self.counts.applied += 1
            self._touch(mark.instrument)
        else:
            self.counts.unchanged += 1
        lane.window = window._replace(applied_offset=offset, latest=max(window.latest, mark.time))
        return True

    def _trade(self, lane: ModelLane, trade: Trade, offset: int) -> bool:
        window, number = lane.window, int(trade.trade_id)
        if offset <= window.applied_offset:
            self.counts.replayed += 1
            self.counts.trades += 1
            return True
        inside = window.begin <= trade.event_time < window.end and trade.event_time < window.closes_at
        volume, amount = sum(t.size for t in lane.trades), sum(t.amount for t in lane.trades)
        has_room = volume + trade.size < LARGEST_RUN_VOLUME and amount + trade.amount < LARGEST_RUN_AMOUNT
        if not inside or not has_room:
            return False
        if window.floor_id < number <= window.last_id:
            self.counts.duplicate += 1
            number = window.last_id
        elif number == window.last_id + 1 and not self._is_tied(lane, trade):
            lane.trades.append(trade)
            lane.source_offset = offset
            self._touch(trade.instrument)
            self.counts.applied += 1
        else:
            return False
        self.counts.trades += 1
        latest = max([window.latest, *(t.event_time for t in lane.trades)])
        lane.window = window._replace(applied_offset=offset, last_id=number, latest=latest)
        return True

    def _is_tied(self, lane: ModelLane, trade: Trade) -> bool:
        places = [(t.event_time, t.sequence) for t in lane.trades]
        return bool(places) and (trade.event_time, trade.sequence) in (min(places), max(places))

    def _touch(self, instrument: str) -> None:
        if instrument not in self.order:
            self.order.append(instrument)

    def arm(self, instrument: str, window: Window | None) -> None:
        self.lanes.pop(instrument, None)
        if instrument in self.order:
            self.order.remove(instrument)
        if window is not None:
            self.lanes[instrument] = ModelLane(window, begun_at=window.applied_offset)

    def take(self, instrument: str) -> Run | None:
        lane = self.lanes.get(instrument)
        if lane is None or lane.window.applied_offset == lane.begun_at:
            return None
        window = lane.window
        run = Run(fold(lane.trades), lane.source_offset, window.applied_offset, window.last_id, window.latest)
        self.arm(instrument, window)
        return run

    def touched(self) -> list[str]:
        return list(self.order)

    def take_counts(self) -> RunCounts:
        counts, self.counts = self.counts, RunCounts()
        return counts


@both
@unhurried
@given(streams(damaged=False), SIZES)
def test_runs_are_what_the_contract_says(compiled: bool, records: list[RawRecord], sizes: list[int]) -> None:
    assert journal(folder(compiled), cut(records, sizes)) == journal(Model, cut(records, sizes))


@needs_compiled
@unhurried
@given(streams(damaged=True), SIZES)
def test_both_folders_do_the_same_with_whatever_comes(records: list[RawRecord], sizes: list[int]) -> None:
    assert journal(folder(True), cut(records, sizes)) == journal(folder(False), cut(records, sizes))


# the state machine behind

INTERVALS = [parse_interval("1m"), parse_interval("5m")]


class Series:
    """Candle series fed by a folder, as an agent does, or record by record."""

    def __init__(self, compiled: bool | None) -> None:
        self.series = {
            name: CandleSeries(name, SeriesState(), {}, intervals=INTERVALS, grace=SECOND, source=("trades", 0))
            for name in INSTRUMENTS
        }
        self.events: list[object] = []
        self.folder = None if compiled is None else open_folder(CONTRACT, self.other, compiled=compiled)

    def other(self, record: RawRecord, known: TradeStreamRecord | None) -> None:
        found = decoded(record)
        assert known is None or known == found
        if found is None:
            return
        series = self.series[found.instrument]
        self.merge(found.instrument)
        self.events += series.apply(found, record.offset)[1]
        if self.folder:
            self.folder.arm(found.instrument, series.window())

    def merge(self, name: str) -> None:
        run = self.folder.take(name) if self.folder else None
        if run is not None:
            self.series[name].merge_run(run)

    def fold(self, batch: Sequence[RawRecord]) -> None:
        if self.folder is None:
            for record in batch:
                self.other(record, None)
        else:
            self.folder.fold(batch)

    def tick(self) -> None:
        for name in INSTRUMENTS:
            self.merge(name)
            self.events += self.series[name].updates()

    def outcome(self) -> list[object]:
        return [*self.events, *(series.state for series in self.series.values())]


@both
@unhurried
@given(streams(damaged=True), SIZES)
def test_candles_by_runs_are_the_candles_record_by_record(compiled: bool, records: list[RawRecord], sizes: list[int]) -> None:
    by_runs, one_by_one = Series(compiled), Series(None)
    for batch in cut(records, sizes):
        for way in (by_runs, one_by_one):
            way.fold(batch)
            way.tick()
    assert by_runs.outcome() == one_by_one.outcome()


# what is handed over, one by one

VALID = make_trade(1)
WHOLE = CODEC.encode(TRADES.name, VALID)
TIME = CODEC.encode(TRADES.name, TimeMark(INSTRUMENT, START))[-9:-1]
"""As Avro writes it, behind a 2 in the exchange's case, before the 2 of a one-digit id in the receiver's."""
BEFORE_1970 = bytes([TIME[0] | 1]) + TIME[1:]
ODD: dict[str, dict[str, Any]] = {
    "a hole before it": {"trade_id": "2"},
    "an id that is no number": {"trade_id": "1a"},
    "an id of 19 digits": {"trade_id": "0" * 18 + "1"},
    "an id with other digits": {"trade_id": "\N{ARABIC-INDIC DIGIT ONE}"},
    "a first id too long": {"first_trade_id": "1" * 25},
    "a last id that is not ASCII": {"last_trade_id": "é"},
    "an empty id": {"first_trade_id": ""},
    "no price": {"price": 0},
    "a price below zero": {"price": -ONE},
    "a price of 39 digits": {"price": 10**38 - 1, "size": 10**38 - 1},
    "a size that fills a run": {"price": 1, "size": LARGEST_RUN_VOLUME},
    "an amount beyond 128 bits": {"price": 2**64, "size": 2**63},
    "no trades in it": {"trade_count": 0},
    "received before all times": {"received_at": 0, "exchange_time": None},
    "an exchange ahead of us": {"exchange_time": START + MAX_CLOCK_SKEW + 1},
    "published before all times": {"published_at": 1},
    "before the window": {"exchange_time": START - 1},
    "after the window": {"exchange_time": START + MINUTE, "received_at": START + MINUTE},
}


@both
@pytest.mark.parametrize(
    "record",
    [
        pytest.param(raw(0, VALID, key=None), id="no key"),
        pytest.param(raw(0, VALID, key=b"kraken:ETH-USD"), id="the key of another instrument"),
        pytest.param(raw(0, VALID, value=None), id="no value"),
        pytest.param(raw(0, VALID, value=b""), id="an empty value"),
        pytest.param(raw(0, VALID, value=b"\1" + CODEC.encode(TRADES.name, VALID)[1:]), id="another magic byte"),
        pytest.param(raw(0, VALID, value=CODEC.encode(TRADES.name, VALID) + b"\0"), id="a byte too many"),
        pytest.param(raw(0, VALID, value=CODEC.encode(TRADES.name, VALID)[:-1]), id="a byte too few"),
        pytest.param(raw(0, VALID, value=b"\0\0\0\0\x0a" + CODEC.encode(TRADES.name, VALID)[5:]), id="an older schema"),
        pytest.param(raw(0, VALID, timestamp_ms=START // 1000 - 5001), id="received after it was appended"),
        pytest.param(raw(0, make_trade(1, instrument="kraken:ETH-EUR")), id="not armed"),
        pytest.param(raw(0, GapMark(INSTRUMENT, None, START)), id="a gap mark"),
        pytest.param(raw(0, TimeMark(INSTRUMENT, WINDOW.closes_at)), id="a mark that closes"),
        pytest.param(raw(0, TimeMark(INSTRUMENT, START, published_at=0)), id="a mark published before all times"),
        pytest.param(raw(0, VALID, value=WHOLE.replace(b"\2" + TIME, b"\4" + TIME)), id="an exchange time of no kind"),
        pytest.param(raw(0, VALID, value=WHOLE.replace(b"\2" + TIME, b"\2" + BEFORE_1970)), id="an exchange before 1970"),
        pytest.param(raw(0, VALID, value=WHOLE.replace(TIME + b"\2", BEFORE_1970 + b"\2")), id="received before 1970"),
        *(pytest.param(raw(0, VALID._replace(**changes)), id=name) for name, changes in ODD.items()),
    ],
)
def test_what_is_not_simple_is_handed_over(compiled: bool, record: RawRecord) -> None:
    handed: list[RawRecord] = []
    opened = open_folder(CONTRACT, lambda record, known: handed.append(record), compiled=compiled)
    opened.arm(INSTRUMENT, WINDOW)
    opened.fold([record, raw(1, VALID), record._replace(offset=2)])
    assert handed[:2] == [record, record._replace(offset=2)]
    assert opened.take(INSTRUMENT) == Run(fold([VALID]), 1, 1, 1, START)


@both
def test_trades_equal_in_the_order_are_handed_over(compiled: bool) -> None:
    handed: list[RawRecord] = []
    opened = open_folder(CONTRACT, lambda record, known: handed.append(record), compiled=compiled)
    opened.arm(INSTRUMENT, WINDOW)
    opened.fold([raw(0, VALID), raw(1, make_trade(2)._replace(sequence=1))])
    assert [record.offset for record in handed] == [1]


@both
def test_what_is_handed_over_finds_the_run_up_to_it(compiled: bool) -> None:
    runs: list[Run | None] = []
    opened = open_folder(CONTRACT, lambda record, known: runs.append(opened.take(INSTRUMENT)), compiled=compiled)
    opened.arm(INSTRUMENT, WINDOW)
    opened.fold([raw(0, VALID), raw(1, GapMark(INSTRUMENT, None, START)), raw(2, make_trade(2, at=START + 1))])
    assert runs == [Run(fold([VALID]), 0, 0, 1, START)]
    assert opened.take(INSTRUMENT) == Run(fold([make_trade(2, at=START + 1)]), 2, 2, 2, START + 1)


@both
def test_an_error_of_the_other_side_ends_the_batch_there(compiled: bool) -> None:
    def refuse(record: RawRecord, _: TradeStreamRecord | None) -> None:
        raise LookupError(record.offset)

    opened = open_folder(CONTRACT, refuse, compiled=compiled)
    opened.arm(INSTRUMENT, WINDOW)
    with pytest.raises(LookupError, match="1"):
        opened.fold([raw(0, VALID), raw(1, GapMark(INSTRUMENT, None, START)), raw(2, make_trade(2, at=START + 1))])
    assert opened.take(INSTRUMENT) == Run(fold([VALID]), 0, 0, 1, START)


@both
def test_only_what_changes_candles_or_time_touches(compiled: bool) -> None:
    opened = open_folder(CONTRACT, lambda record, known: None, compiled=compiled)
    first, second, third = INSTRUMENTS
    for name in INSTRUMENTS:
        opened.arm(name, WINDOW._replace(last_id=1))
    opened.fold(
        [
            raw(0, TimeMark(third, START + 1)),
            raw(1, make_trade(1, instrument=first)),
            raw(2, TimeMark(first, START)),
            raw(3, make_trade(2, instrument=second)),
        ]
    )
    assert opened.touched() == [third, second]
    assert opened.take(first) == Run(None, -1, 2, 1, START)
    assert opened.take(third) == Run(None, -1, 0, 1, START + 1)
    assert opened.take(third) is None
    assert opened.touched() == [second]
    assert opened.take_counts() == RunCounts(trades=2, applied=2, unchanged=1, duplicate=1)
    assert opened.take_counts() == RunCounts()


@both
def test_an_instrument_is_disarmed_and_armed_again(compiled: bool) -> None:
    handed: list[RawRecord] = []
    opened = open_folder(CONTRACT, lambda record, known: handed.append(record), compiled=compiled)
    opened.arm(INSTRUMENT, WINDOW)
    opened.fold([raw(0, VALID)])
    opened.arm(INSTRUMENT, None)
    assert (opened.touched(), opened.take(INSTRUMENT)) == ([], None)
    opened.fold([raw(1, VALID)])
    assert handed == [raw(1, VALID)]
    opened.arm(INSTRUMENT, WINDOW)
    opened.fold([raw(2, VALID)])
    assert opened.take(INSTRUMENT) == Run(fold([VALID]), 2, 2, 1, START)


@both
def test_thousands_of_instruments_are_told_apart(compiled: bool) -> None:
    handed: list[RawRecord] = []
    opened = open_folder(CONTRACT, lambda record, known: handed.append(record), compiled=compiled)
    names = [f"sim:{number}" for number in range(5000)]
    for name in names:
        opened.arm(name, WINDOW._replace(closes_at=NEVER))
    found = [make_trade(1, price=number + 1, instrument=name) for number, name in enumerate(names)]
    opened.fold(raw(offset, trade) for offset, trade in enumerate(found))
    assert (handed, opened.touched()) == ([], names)
    assert [opened.take(name) for name in names] == [Run(fold([t]), n, n, 1, START) for n, t in enumerate(found)]


@both
def test_what_is_no_instrument_is_not_armed(compiled: bool) -> None:
    with pytest.raises(DataValidationError, match="not an instrument id"):
        open_folder(CONTRACT, lambda record, known: None, compiled=compiled).arm("BTC", WINDOW)


def test_the_plain_folder_is_there_without_the_compiled_one() -> None:
    assert isinstance(open_folder(CONTRACT, lambda record, known: None, compiled=False), plain.Folder)
