"""Candles of runs equal candles of single records, whatever comes, however it is cut, and wherever the worker starts anew."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind
from market.candle_series import LARGEST_RUN_VOLUME, CandleSeries, ClosedCandle, SeriesState
from market.interval import parse_interval
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from processors.agents import candles
from processors.states.candles import decode_closed, decode_series
from runtime.settings import ProcessorSettings
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.folding import Runner, told

OTHER = "sim:OTHER-USD"
NEW = CandleEventKind.NEW
INTERVALS = ("1m", "5m")


@st.composite
def streams(draw: st.DrawFn) -> list[TradeStreamRecord]:
    """Mostly trades in order, in two instruments; some twice, some late, ids left out, gaps and time marks among them."""
    found: list[TradeStreamRecord] = []
    time, ids = START, {INSTRUMENT: 0, OTHER: 0}
    for _ in range(draw(st.integers(0, 60))):
        instrument = draw(st.sampled_from([INSTRUMENT, INSTRUMENT, OTHER]))
        time += draw(st.sampled_from([0, 1, 500_000, 3_000_000, 20_000_000]))
        kind = draw(st.sampled_from(["trade"] * 8 + ["again", "late", "skip", "opaque", "mark", "gap", "heal"]))
        ids[instrument] += 3 if kind == "skip" else 1
        trade = make_trade(
            ids[instrument],
            at=time - (70_000_000 if kind == "late" else 0),
            price=draw(st.integers(1, 50)),
            size=draw(st.integers(1, 9)),
            side=draw(st.sampled_from(["buy", "sell", None])),
            received_at=time,
            instrument=instrument,
        )
        match kind:
            case "again":
                found += [trade, trade]
            case "opaque":
                found.append(trade._replace(trade_id=f"x{ids[instrument]}"))
            case "mark":
                found.append(TimeMark(instrument, time))
            case "gap" | "heal":
                found.append(GapMark(instrument, time - 5_000_000, time, healed=kind == "heal"))
            case _:
                found.append(trade)
    return found


def one_by_one(records: list[TradeStreamRecord]) -> tuple[dict[str, SeriesState], dict[Any, ClosedCandle], list[CandleEvent]]:
    """States, closed candles and events without a single run."""
    states: dict[str, SeriesState] = {}
    closed: dict[str, dict[Any, ClosedCandle]] = {}
    events: list[CandleEvent] = []
    for offset, record in enumerate(records):
        instrument = record.instrument
        state = states.setdefault(instrument, SeriesState())
        of_instrument = closed.setdefault(instrument, {})
        intervals = [parse_interval(name) for name in INTERVALS]
        source = "md.trades", 3
        series = CandleSeries(instrument, state, of_instrument, intervals=intervals, grace=2_000_000, source=source)
        events += [*series.apply(record, offset)[1], *series.updates()]
    return states, {(name, *key): candle for name, found in closed.items() for key, candle in found.items()}, events


def events_of(runner: Runner, records: list[TradeStreamRecord], sizes: list[int], crashes: list[bool]) -> list[CandleEvent]:
    """Events of a run over the records in batches of these sizes; a crash after a batch loses what was not committed."""
    events: list[CandleEvent] = []
    committed = begin = step = 0
    while begin < len(records):
        size, crash = sizes[step % len(sizes)], crashes[step] if step < len(crashes) else False
        step += 1
        runner.offsets[TRADES.name] = begin
        runner.take_in(records[begin : begin + size])
        begin += size
        if crash:
            runner.open()
            begin = committed
        elif step % 2:
            events += told(runner.commit())
            committed = begin
    return events + told(runner.commit())


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@given(streams(), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.lists(st.booleans(), max_size=6))
def test_runs_change_nothing(compiled: bool, records: list[TradeStreamRecord], sizes: list[int], crashes: list[bool]) -> None:
    settings = ProcessorSettings(intervals=INTERVALS)
    runner = Runner(candles.build(settings), compiled=compiled)
    events = events_of(runner, records, sizes, crashes)
    states, closed, every = one_by_one(records)
    by_version = {(event.instrument, event.interval, event.open_time, event.version): event for event in every}
    for event in events:
        expected = by_version[event.instrument, event.interval, event.open_time, event.version]
        assert event == expected._replace(kind=event.kind)
    assert newest(events) == newest(every)
    stored = {name: decode_series(data) for name, data in runner.tables["candles"].items()}
    for name, state in stored.items():
        assert (state.open, state.closed, state.gaps, state.latest) == (
            states[name].open,
            states[name].closed,
            states[name].gaps,
            states[name].latest,
        )
    assert {
        (*key.split("|")[:2], int(key.split("|")[2])): decode_closed(data)
        for key, data in runner.tables["closed-candles"].items()
    } == closed


def newest(events: list[CandleEvent]) -> dict[Any, Any]:
    """The version of each candle that a consumer keeps; NEW or UPDATE may tell the same of an open one."""
    found = sorted(events, key=lambda event: event.version)
    return {
        (event.instrument, event.interval, event.open_time): event if event.revision else event._replace(kind=NEW)
        for event in found
    }


def test_run_of_trades_is_summed_up_without_the_full_rules(applied: list[int]) -> None:
    runner = Runner(candles.build(ProcessorSettings()))
    found: list[TradeStreamRecord] = [make_trade(number, at=START + number * 100_000) for number in range(1, 400)]
    found.insert(300, found[299])
    found.append(TimeMark(INSTRUMENT, START + MINUTE - 1))
    effects = runner.batch(found)
    assert applied == [0]
    assert (effects.trades, effects.counts["applied"], effects.counts["duplicate"]) == (400, 400, 1)
    assert isinstance(found[0], Trade)


@given(streams(), st.integers(1, 60))
def test_newest_version_is_the_last_word_after_a_crash_between_the_two_tables(
    records: list[TradeStreamRecord], size: int
) -> None:
    runner = Runner(candles.build(ProcessorSettings(intervals=INTERVALS)))
    runner.take_in(records[:size])
    events = told(runner.commit("closed-candles"))
    runner.open()
    runner.offsets[TRADES.name] = 0
    events += told(runner.batch(records))
    last_word = {(event.instrument, event.interval, event.open_time): event.version for event in events}
    assert last_word == {key: event.version for key, event in newest(events).items()}
    assert newest(events) == newest(one_by_one(records)[2])


@pytest.mark.parametrize("compiled", [True, False])
def test_interval_taken_out_of_the_settings_does_not_stand_in_for_another(compiled: bool) -> None:
    runner = Runner(candles.build(ProcessorSettings(intervals=("1m", "5m"))), compiled=compiled)
    runner.batch([make_trade(1), make_trade(2)])
    runner.computation = candles.build(ProcessorSettings(intervals=("1m",)))
    runner.open()
    runner.batch([make_trade(3), TimeMark(INSTRUMENT, START + MINUTE + 10_000_000)])  # closes 1m, not 5m
    effects = runner.batch([make_trade(4, at=START + MINUTE + 15_000_000), make_trade(5, at=START + MINUTE + 15_000_000)])
    assert [event.kind for event in told(effects)] == [
        CandleEventKind.NEW,
        CandleEventKind.UPDATE,
    ]


def test_candle_that_has_no_room_for_another_run_takes_its_trades_by_the_full_rules() -> None:
    most = 10**38 - 1
    runner = Runner(candles.build(ProcessorSettings()))
    sizes = [most - LARGEST_RUN_VOLUME - 1, 1, LARGEST_RUN_VOLUME - 1, LARGEST_RUN_VOLUME - 1]
    found = [make_trade(number, at=START + number)._replace(price=1, size=size) for number, size in enumerate(sizes, start=1)]
    refused = [refusal.reason for trade in found for refusal in runner.batch([trade]).refusals]
    assert refused == ["too_large"]
