"""Series kept in compiled code: the same candles, bytes, states and counts as by the full rules, whatever comes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEventKind
from market.candle_series import HORIZON
from market.trade import GapMark, TimeMark, TradeStreamRecord
from processors.agents import candles
from processors.computation import Effects
from processors.states.candles import decode_closed, decode_series
from processors.transport.packing import messages_of
from runtime.settings import ProcessorSettings
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.folding import Runner, told
from tests.run_streams import needs_compiled, unhurried

OTHER = "sim:OTHER-USD"
HOUR = 60 * MINUTE
SECOND = MINUTE // 60
ALL = ProcessorSettings().model_copy(update={"intervals": ("1m", "5m", "1h", "4h", "1d")})
NEW, UPDATE, CLOSE = CandleEventKind.NEW, CandleEventKind.UPDATE, CandleEventKind.CLOSE

pytestmark = needs_compiled

STEPS = [0, 0, 1, SECOND, 3 * SECOND, 20 * SECOND, MINUTE, 7 * MINUTE, 5 * HOUR, 25 * HOUR]
ODD: list[dict[str, Any]] = [
    {"trade_id": "opaque"},
    {"first_trade_id": "x" * 30},
    {"last_trade_id": "é"},
    {"size": 2**126, "price": 1},
    {"size": 2**99, "price": 1},
    {"size": 2**60, "price": 2**65},
    {"price": 0},
    {"sequence": 1},
    {"side": None},
    {"exchange_time": None},
]


@st.composite
def streams(draw: st.DrawFn) -> list[TradeStreamRecord]:
    """Mostly trades in order, over minutes and days, in two instruments; whatever is not simple among them."""
    found: list[TradeStreamRecord] = []
    time, ids = START, {INSTRUMENT: 0, OTHER: 0}
    for _ in range(draw(st.integers(1, 50))):
        instrument = draw(st.sampled_from([INSTRUMENT, INSTRUMENT, INSTRUMENT, OTHER]))
        time += draw(st.sampled_from(STEPS))
        kind = draw(st.sampled_from(["trade"] * 12 + ["late"] * 3 + ["again", "skip", "odd", "mark", "gap", "heal", "old gap"]))
        ids[instrument] += 3 if kind == "skip" else 1
        trade = make_trade(
            ids[instrument],
            at=time - (draw(st.sampled_from([1, SECOND, 3 * SECOND, 70 * SECOND, 6 * HOUR])) if kind == "late" else 0),
            price=draw(st.integers(1, 50)),
            size=draw(st.integers(1, 9)),
            side=draw(st.sampled_from(["buy", "sell"])),
            received_at=time,
            instrument=instrument,
        )
        match kind:
            case "again":
                found += [trade, trade]
            case "odd":
                found.append(trade._replace(**draw(st.sampled_from(ODD))))
            case "mark":
                found.append(TimeMark(instrument, time))
            case "gap" | "heal":
                found.append(GapMark(instrument, time - 5 * SECOND, time, healed=kind == "heal"))
            case "old gap":
                found.append(GapMark(instrument, time - HOUR, time - HOUR + 1))
            case _:
                found.append(trade)
    return found


def by_candle(effects: Sequence[Effects]) -> dict[bytes | None, list[tuple[int, bytes | None]]]:
    """Messages of each candle, in order."""
    found = defaultdict(list)
    for one in effects:
        for message in messages_of(one.outputs):
            assert message.topic == "md.candles"
            found[message.key].append((message.partition, message.value))
    return found


def outcome(effects: Effects) -> tuple[Any, ...]:
    refused = [(refusal.raw.offset, refusal.reason) for refusal in effects.refusals]
    return +effects.counts, effects.trades, +effects.candles, effects.received_at, refused


@unhurried
@given(streams(), st.lists(st.integers(1, 12), min_size=1, max_size=6), st.sets(st.integers(0, 12)))
def test_kept_series_tell_and_store_what_the_full_rules_say(
    records: list[TradeStreamRecord], sizes: list[int], crashes: set[int]
) -> None:
    kept, plain = (Runner(candles.build(ALL), compiled=compiled) for compiled in (True, False))
    begin = step = 0
    effects: list[tuple[Effects, Effects]] = []
    while begin < len(records):
        size = sizes[step % len(sizes)]
        for runner in (kept, plain):
            runner.offsets[TRADES.name] = begin
        effects.append((kept.batch(records[begin : begin + size]), plain.batch(records[begin : begin + size])))
        if step in crashes:
            for runner in (kept, plain):
                runner.open()
        begin, step = begin + size, step + 1
    assert [outcome(one) for one, _ in effects] == [outcome(other) for _, other in effects]
    assert by_candle([one for one, _ in effects]) == by_candle([other for _, other in effects])
    assert kept.tables["closed-candles"] == plain.tables["closed-candles"]
    assert kept.tables["candles"].keys() == plain.tables["candles"].keys()
    for name, data in kept.tables["candles"].items():
        found, expected = decode_series(data), decode_series(plain.tables["candles"][name])
        assert found.applied_offset >= expected.applied_offset  # of a duplicate or replay at the end it is free to know
        assert replace(found, applied_offset=0) == replace(expected, applied_offset=0)


def begun(settings: ProcessorSettings = ALL) -> Runner:
    """A run whose first trade, which goes by the full rules, is committed."""
    runner = Runner(candles.build(settings))
    runner.batch([make_trade(1)])
    return runner


def kinds(effects: Effects) -> set[tuple[str, CandleEventKind]]:
    return {(event.interval, event.kind) for event in told(effects)}


def test_candles_open_and_close_without_the_full_rules(applied: list[int]) -> None:
    runner = begun()
    found = [make_trade(number, at=START + number * 30 * SECOND) for number in range(2, 1200)]
    found[500] = found[500]._replace(exchange_time=found[500].event_time - SECOND)
    effects = runner.batch([*found, TimeMark(INSTRUMENT, START + 1500 * MINUTE)])
    assert applied == [0]
    new_and_close = {(interval, kind) for interval in ALL.intervals for kind in (NEW, CLOSE)}
    assert kinds(effects) == new_and_close - {("1d", NEW)}


def test_trade_before_the_newest_candle_but_within_the_grace_needs_no_full_rules(applied: list[int]) -> None:
    runner = begun()
    runner.batch([make_trade(2, at=START + 60 * SECOND)])
    effects = runner.batch([make_trade(3, at=START + 59 * SECOND + 1)])
    assert applied == [0]
    assert {(event.interval, event.kind, event.trade_count) for event in told(effects)} == {
        ("1m", UPDATE, 2),
        *((interval, UPDATE, 3) for interval in ALL.intervals[1:]),
    }


@pytest.mark.parametrize(
    ("record", "after"),
    [
        pytest.param(make_trade(3, at=START + 59 * SECOND), 4, id="a trade of a closed candle"),
        pytest.param(make_trade(4, at=START + 3 * MINUTE), 5, id="a trade behind a hole"),
        pytest.param(GapMark(INSTRUMENT, START, START + 1), 3, id="a gap"),
    ],
)
def test_series_is_kept_again_from_the_commit_after_a_record_that_is_not_simple(
    applied: list[int], record: TradeStreamRecord, after: int
) -> None:
    runner = begun()
    runner.batch([make_trade(2, at=START + 2 * MINUTE)])
    runner.batch([record])
    effects = runner.batch([make_trade(after + step, at=START + (4 + step) * MINUTE) for step in range(5)])
    assert applied == [0, 2]
    assert ("1m", NEW) in kinds(effects)


def test_series_that_is_not_simple_goes_by_runs_from_commit_to_commit(applied: list[int]) -> None:
    runner = begun()
    runner.batch([make_trade(2)._replace(trade_id="opaque")])
    for number in range(2, 6):
        runner.batch([make_trade(number, at=START + number)])
    assert applied == [0, 1]


def test_gap_is_in_the_candles_it_touches_and_in_no_other(applied: list[int]) -> None:
    runner = begun()
    runner.batch([GapMark(INSTRUMENT, START + 150 * SECOND, START + 151 * SECOND)])
    effects = runner.batch([make_trade(1 + step, at=START + step * MINUTE) for step in range(1, 6)])
    assert applied == [0, 1]
    closed = {event.open_time: (event.gap, event.complete) for event in told(effects) if event.kind is CLOSE}
    assert closed[START + MINUTE] == (False, True)
    assert closed[START + 2 * MINUTE] == (True, False)
    assert closed[START + 3 * MINUTE] == (False, True)


def test_gap_beyond_the_horizon_is_forgotten(applied: list[int]) -> None:
    runner = begun(ProcessorSettings())
    runner.batch([GapMark(INSTRUMENT, START, START + 1)])
    runner.batch([make_trade(2, at=START + HORIZON + MINUTE), make_trade(3, at=START + HORIZON + 3 * MINUTE)])
    assert applied == [0, 1, 3]
    assert decode_series(runner.tables["candles"][INSTRUMENT]).gaps.known == []


def test_candles_beyond_the_horizon_are_deleted(applied: list[int]) -> None:
    runner = begun(ProcessorSettings())
    runner.batch([make_trade(2, at=START + MINUTE), make_trade(3, at=START + 3 * MINUTE)])
    before = sorted(runner.tables["closed-candles"])
    runner.batch([make_trade(4, at=START + HORIZON + 2 * MINUTE + 2 * SECOND)])
    assert applied == [0]
    assert [key for key in before if key not in runner.tables["closed-candles"]] == before[:2]


def test_interval_no_longer_configured_closes_and_opens_no_more(applied: list[int]) -> None:
    runner = begun(ProcessorSettings(intervals=("5m", "1m")))
    runner.batch([make_trade(2, at=START + 1)])
    runner.computation = candles.build(ProcessorSettings(intervals=("1m",)))
    runner.open()
    runner.batch([make_trade(3, at=START + 2)])  # by the full rules, which tidy up what is observed from when
    applied.clear()
    events = told(runner.batch([make_trade(4, at=START + 3), make_trade(5, at=START + 6 * MINUTE)]))
    assert applied == []
    assert sorted((event.interval, event.kind) for event in events) == [("1m", CLOSE), ("1m", NEW), ("5m", CLOSE)]
    assert {event.complete for event in events} == {False}
    assert {decode_closed(data).candle.trade_count for data in runner.tables["closed-candles"].values()} == {2, 4}


def test_more_intervals_than_compiled_code_has_room_for_go_by_the_full_rules(applied: list[int]) -> None:
    minutes = [number for number in range(1, 60) if 1440 % number == 0]
    intervals = tuple(f"{number}m" for number in minutes)
    assert len(intervals) > 16
    runner = begun(ProcessorSettings(intervals=intervals))
    effects = runner.batch([make_trade(2, at=START + MINUTE)])
    assert applied == [0, 1]
    assert kinds(effects) >= {("1m", NEW), ("2m", UPDATE)}


def test_mark_that_is_no_news_changes_nothing_though_the_grace_has_shrunk() -> None:
    outcomes = []
    for compiled in (True, False):
        runner = Runner(candles.build(ProcessorSettings(grace_seconds=100)), compiled=compiled)
        runner.batch([make_trade(1), make_trade(2, at=START + 90 * SECOND)])
        runner.computation = candles.build(ProcessorSettings(grace_seconds=1))
        runner.open()
        runner.batch([make_trade(3, at=START + 90 * SECOND)])
        outcomes.append(outcome(runner.batch([TimeMark(INSTRUMENT, START + 90 * SECOND)])))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == {"unchanged": 1}


def test_candle_closed_by_a_run_whose_state_was_lost_is_told_again() -> None:
    runner = begun(ProcessorSettings())
    runner.batch([make_trade(2, at=START + 1)])
    runner.take_in([make_trade(3, at=START + 2 * MINUTE)])
    first = told(runner.commit("closed-candles"))
    runner.open()
    runner.offsets[TRADES.name] = 2
    again = told(runner.batch([make_trade(3, at=START + 2 * MINUTE), make_trade(4, at=START + 4 * MINUTE)]))
    assert next(event for event in again if event.kind is CLOSE) == next(event for event in first if event.kind is CLOSE)
