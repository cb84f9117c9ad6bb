"""The same input gives the same results however it is cut, shared out, stored and read again; recorded and generated streams.

What may differ is where a record came from (partition and offset). Of a candle the highest version counts, of all else each
record by its identity, and nothing may come under one identity with two contents.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.quality import MAX_CLOCK_SKEW
from market.trade import GapMark, TimeMark, Trade
from processors.agents import candles, price_changes, quality
from processors.computation import Computation
from runtime.settings import ProcessorSettings
from schemas.partitioning import partition_of
from schemas.records import Record
from tests.builders import MINUTE, START, make_trade
from tests.counted import show
from tests.folding import Runner, told
from tests.ingest_parts import FUTURES, FUTURES_LISTING, SAMPLE, SPOT, SPOT_LISTING
from tests.run_streams import unhurried
from tests.settled import settled
from tests.venue_data import (
    BITFINEX,
    BITGET,
    BITSTAMP,
    COINBASE,
    GATEIO,
    KRAKEN,
    KRAKEN_FUTURES,
    NO_WHOLE,
    OKX,
    WHOLE_BITGET,
    WHOLE_BYBIT,
    WHOLE_KRAKEN,
    recorded,
)

SETTINGS = ProcessorSettings(intervals=("1m", "5m", "15m", "1h", "4h", "1d"))
AGENTS: Mapping[str, Callable[[ProcessorSettings], Computation]] = {
    "candles": candles.build,
    "price_changes": price_changes.build,
    "quality": quality.build,
}
RECORDED = (
    ("binance", (SPOT_LISTING, SPOT)),
    ("binance", (FUTURES_LISTING, FUTURES)),
    ("binance", tuple(SAMPLE)),
    ("okx", OKX),
    ("kraken", KRAKEN),
    ("bitget", BITGET),
    ("gateio", GATEIO),
    ("coinbase", COINBASE),
    ("bitstamp", BITSTAMP),
    ("bitfinex", BITFINEX),
    ("kraken_futures", KRAKEN_FUTURES),
)
WHOLE = (("kraken", WHOLE_KRAKEN), ("bitget", WHOLE_BITGET), ("bybit", WHOLE_BYBIT))
MOST_RECORDS = 4_000
"""Of a whole recording: the plain path takes a tenth of a millisecond for each."""


class Worker:
    """One partition of all topics, processed with batches, commits and crashes as chance has them."""

    def __init__(self, computation: Computation, partition: int, chance: random.Random | None) -> None:
        self.outputs: list[Any] = []
        self._runner = Runner(computation, compiled=chance is None or chance.random() < 0.5, partition=partition)
        self._chance = chance

    def process(self, topic: str, records: Sequence[Record]) -> None:
        """All of a topic; without chance in one batch and one commit."""
        chance, runner = self._chance, self._runner
        if chance is None:
            self.outputs += told(runner.batch(records, topic))
            return
        committed = 0
        while (begin := runner.offsets[topic]) < len(records):
            runner.take_in(records[begin : begin + chance.randint(1, 40)], topic)
            turn = chance.random()
            if turn < 0.5:
                self.outputs += told(runner.commit())
                committed = runner.offsets[topic]
            elif turn < 0.6:  # crashed, with none, some or all of the tables written
                tables = runner.computation.tables
                self.outputs += told(runner.commit(*tables[: chance.randint(1, len(tables))]))
                runner.open()
                runner.offsets[topic] = committed
        self.outputs += told(runner.commit())


def results(agent: str, records: Iterable[Record], *, partitions: int = 1, seed: int | None = None) -> list[Record]:
    """All that an agent tells of the records of the topics it reads."""
    computation = AGENTS[agent](SETTINGS)
    outputs = []
    shared: dict[int, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for topic in computation.sources:
            if isinstance(record, topic.records):
                shared[partition_of(topic.place(record)[1], partitions)][topic.name].append(record)
    chance = None if seed is None else random.Random(seed)
    for partition, by_topic in shared.items():
        worker = Worker(computation, partition, chance)
        for topic_name, found in by_topic.items():
            worker.process(topic_name, found)
        outputs += worker.outputs
    return outputs


def closed(records: Sequence[Record]) -> list[Record]:
    """The records with a time mark behind them for each instrument, so that every interval closes."""
    trades = [record for record in records if isinstance(record, Trade)]
    last, instruments = max(trade.event_time for trade in trades), dict.fromkeys(trade.instrument for trade in trades)
    return [*records, *(TimeMark(instrument, last + 2 * 24 * 60 * MINUTE) for instrument in instruments)]


@pytest.mark.parametrize("agent", AGENTS)
def test_recorded_streams_give_the_same_however_they_are_processed(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_all_ways(agent, RECORDED, capsys)


@pytest.mark.parametrize("agent", AGENTS)
def test_whole_recordings_give_the_same_however_they_are_processed(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not all(paths and all(path.is_file() for path in paths) for _, paths in WHOLE):
        pytest.skip(NO_WHOLE)
    check_all_ways(agent, WHOLE, capsys)


def check_all_ways(agent: str, captures: Sequence[tuple[str, tuple[Path, ...]]], capsys: pytest.CaptureFixture[str]) -> None:
    venues = Counter[str]()
    for venue, paths in captures:
        records = closed(recorded(venue, *paths)[0][:MOST_RECORDS])
        expected = settled(results(agent, records))
        for seed, partitions in enumerate((1, 1, 2, 3, 4, 8)):
            assert settled(results(agent, records, partitions=partitions, seed=seed)) == expected
        venues[venue] += sum(1 if isinstance(key, tuple) else len(found) for key, found in expected.items())
    assert len(+venues) >= min(4, len(captures))
    show(capsys, f"{agent}, the same seven ways: " + ", ".join(f"{number} of {venue}" for venue, number in venues.items()))


@st.composite
def disorderly(draw: st.DrawFn) -> list[Record]:
    """Trades of three instruments, some twice, late, from the future or behind a gap, with time marks among them."""
    found: list[Record] = []
    time = START
    for number in range(draw(st.integers(1, 60))):
        instrument = f"sim:S{draw(st.integers(0, 2))}-USD"
        time += draw(st.sampled_from([0, 1, 20_000, 1_000_000, MINUTE, 10 * MINUTE]))
        late = draw(st.sampled_from([0, 0, 0, 3_000_000, 2 * MINUTE, 26 * 60 * MINUTE]))
        ahead = draw(st.sampled_from([0, 0, 0, 1_000_000, MAX_CLOCK_SKEW + 1]))
        trade = make_trade(
            number + 1, at=time - late + ahead, received_at=time, price=draw(st.integers(95, 105)), instrument=instrument
        )
        found += [trade] * draw(st.sampled_from([1, 1, 1, 2]))
        kind = draw(st.sampled_from(["", "", "", "mark", "gap"]))
        if kind == "mark":
            found.append(TimeMark(instrument, time))
        elif kind == "gap":
            gap = GapMark(instrument, time - 5_000_000, time)
            found += [gap, gap._replace(healed=True)][: draw(st.integers(1, 2))]
    return found


@pytest.mark.parametrize("agent", AGENTS)
@unhurried
@given(disorderly(), st.integers(1, 5), st.integers(0, 2**32))
def test_disorderly_streams_give_the_same_however_they_are_processed(
    agent: str, records: list[Record], partitions: int, seed: int
) -> None:
    assert settled(results(agent, records, partitions=partitions, seed=seed)) == settled(results(agent, records))


@unhurried
@given(disorderly(), st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_shuffled_trades_give_the_same_candles_in_the_end(records: list[Record], shuffler: random.Random, seed: int) -> None:
    """Within the horizon; which of the candles were observed from their first instant depends on what came first."""
    trades = [record for record in records if isinstance(record, Trade)]
    newest = max(trade.event_time for trade in trades)
    trades = [trade for trade in trades if trade.event_time > newest - 24 * 60 * MINUTE + MINUTE]
    shuffled = shuffler.sample(trades, len(trades))
    marks = [TimeMark(instrument, newest + MINUTE) for instrument in dict.fromkeys(trade.instrument for trade in trades)]
    depends_on_order = ("revision", "complete", "kind")
    in_order = settled(results("candles", [*trades, *marks]), without=depends_on_order)
    assert settled(results("candles", [*shuffled, *marks], seed=seed), without=depends_on_order) == in_order
