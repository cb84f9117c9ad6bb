"""Price changes by compiled code, in plain Python and by the rules alone: the same events, states and refusals."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.price_change import PriceChangedEvent, PriceChanges, Threshold, Throttle
from market.trade import GapMark, TimeMark, Trade
from processors.agents import price_changes
from processors.agents.price_changes import PriceChangesFold
from processors.batch import Batch, RawRecord, decode_record
from processors.changes import compiled_folder
from processors.computation import Scope
from processors.outputs import Message, message_of
from processors.states.price_changes import decode_price, encode_price
from processors.tables import TableView
from processors.transport.packing import Output, messages_of
from runtime.errors import ConfigurationError
from runtime.settings import ProcessorSettings
from schemas.codec import Codec, SchemaNotLearnt
from schemas.records import Record
from schemas.topics import PRICE_CHANGES, TRADES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.folding import Runner, told
from tests.run_streams import GAP, MARK, TRADE, damage, raw, unhurried

OTHER = "sim:OTHER-USD"
TENTH, SECOND = 100_000, 1_000_000
PARTITION, PARTITIONS, MAX_SKEW = 3, 4, 5 * SECOND
CODEC = Codec(
    {
        (TRADES.name, Trade): TRADE,
        (TRADES.name, TimeMark): MARK,
        (TRADES.name, GapMark): GAP,
        (PRICE_CHANGES.name, PriceChangedEvent): 11,
    },
    lambda schema_id: None,
)
OPAQUE = str(UUID(int=7))

needs_compiled = pytest.mark.skipif(compiled_folder() is None, reason="the extension is not built here")
both = pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False], ids=["compiled", "plain"])

Outcome = tuple[dict[tuple[str, int], list[Message]], list[tuple[int, str]], int]
"""Of a commit: what is told in each partition, what is refused and why, how many trades were read."""


def by_place(outputs: Iterable[Output]) -> dict[tuple[str, int], list[Message]]:
    found: dict[tuple[str, int], list[Message]] = {}
    for message in messages_of(outputs):
        found.setdefault(message[:2], []).append(message)
    return found


class Folded:
    """The fold of a partition between commits and crashes."""

    def __init__(self, throttle: Throttle, threshold: Threshold, *, compiled: bool) -> None:
        self.stored: dict[str, bytes] = {}
        self._rules = throttle, threshold
        self._compiled = compiled
        self.crash()

    def crash(self) -> None:
        self._view = TableView(lambda key: self.stored.get(key.decode()))
        scope = Scope(PARTITION, {"price-changes": self._view}, CODEC, PARTITIONS, MAX_SKEW, self._compiled)
        self._fold = PriceChangesFold(scope, *self._rules, {})

    def take_in(self, records: Sequence[RawRecord]) -> None:
        self._fold.fold(Batch(TRADES.name, PARTITION, [records], records[0].offset, records[-1].offset))

    def commit(self) -> Outcome:
        effects = self._fold.take()
        self._view.seal()
        self.stored |= {key: value for key, value in self._view.sealed(1).items() if value is not None}
        self._view.landed(1)
        return by_place(effects.outputs), [(refusal.raw.offset, refusal.reason) for refusal in effects.refusals], effects.trades


class ByTheRules:
    """The same, in the fewest words."""

    def __init__(self, throttle: Throttle, threshold: Threshold) -> None:
        self.stored: dict[str, bytes] = {}
        self._rules: dict[str, Any] = {"source": (TRADES.name, PARTITION), "throttle": throttle, "threshold": threshold}
        self.crash()

    def crash(self) -> None:
        self._changes = {
            name: PriceChanges(name, decode_price(self.stored.get(name)), **self._rules) for name in (INSTRUMENT, OTHER)
        }
        self._outcome: tuple[list[Message], list[tuple[int, str]], int] = [], [], 0

    def take_in(self, records: Sequence[RawRecord]) -> None:
        outputs, refused, trades = self._outcome
        for record in records:
            try:
                found = decode_record(TRADES.name, record, CODEC, MAX_SKEW).record
                if isinstance(found, Trade | TimeMark):
                    trades += isinstance(found, Trade)
                    event = self._changes[found.instrument].apply(found, record.offset)
                    outputs += [message_of(PRICE_CHANGES, event, CODEC, PARTITIONS)] if event else []
            except DataValidationError as error:
                refused.append((record.offset, error.reason))
        self._outcome = outputs, refused, trades

    def commit(self) -> Outcome:
        for name, changes in self._changes.items():
            if changes.changed:
                self.stored[name] = encode_price(changes.state)
                changes.changed = False
        outputs, refused, trades = self._outcome
        self._outcome = [], [], 0
        return by_place(outputs), refused, trades


PRICES = st.integers(1, 4).map(lambda price: price * ONE) | st.sampled_from(
    [1, 2, 3, 7, 10**24, 10**24 + 1, 10**24 + 2, 10**25, 2**63, 2**64, 10**38 - 1, 0, -1]
)
STEPS = st.sampled_from([0, 0, 1, TENTH // 3, TENTH - 1, TENTH, SECOND])
LAGS = st.sampled_from([0, 0, 1, TENTH, MINUTE, -SECOND, -6 * SECOND])
ODD: list[dict[str, Any]] = [
    {"trade_id": OPAQUE, "first_trade_id": OPAQUE, "last_trade_id": OPAQUE},
    {"trade_id": "9" * 30},
    {"first_trade_id": "x" * 64},
    {"last_trade_id": "é"},
    {"trade_id": ""},
    {"exchange_time": None},
    {"exchange_time": 5},
    {"size": 10**38 - 1},
    {"size": 0},
    {"sequence": -(2**63)},
    {"sequence": 2**63 - 1},
    {"side": None},
    {"trade_count": 0},
]


@st.composite
def streams(draw: st.DrawFn) -> list[RawRecord]:
    """Trades and marks of two instruments, close to each other in time and price; whatever is not simple among them."""
    found: list[RawRecord] = []
    time = START
    for number in range(draw(st.integers(1, 40))):
        name = draw(st.sampled_from([INSTRUMENT, INSTRUMENT, OTHER]))
        time += draw(STEPS)
        kind = draw(st.sampled_from(["trade"] * 8 + ["mark"] * 3 + ["late", "odd", "gap", "again", "damaged"]))
        at = time - draw(st.sampled_from([1, TENTH, SECOND])) if kind == "late" else time
        trade = make_trade(number + 1, at=at, price=1, received_at=time + draw(LAGS), instrument=name)
        trade = trade._replace(price=draw(PRICES if kind == "odd" else PRICES.filter(lambda price: 0 < price < 10**26)))
        offset = 100 + number + number // 7
        match kind:
            case "mark":
                record = raw(offset, TimeMark(name, time))
            case "gap":
                record = raw(offset, GapMark(name, None, time))
            case "odd":
                record = raw(offset, trade._replace(**draw(st.sampled_from(ODD))))
            case "damaged":
                record = draw(damage(raw(offset, trade)))
            case "again" if found:
                record = draw(st.sampled_from(found))._replace(offset=offset)
            case _:
                record = raw(offset, trade)
        found.append(record)
    return found


THROTTLES = st.builds(
    Throttle, st.sampled_from([TENTH, TENTH // 3, 2**70]), st.sampled_from([1, 2, 3, 100, 2**70]), st.booleans()
)
LIMITS = st.none() | st.sampled_from([0, 1, ONE, 25 * ONE, 50 * ONE, 100 * ONE, 10**30])
CUTS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["commit", "commit", "crash", "go on"]), st.integers(0, 9)))


@needs_compiled
@unhurried
@given(streams(), CUTS, THROTTLES, st.builds(Threshold, LIMITS, LIMITS))
def test_compiled_plain_and_the_rules_tell_store_and_refuse_the_same(
    records: list[RawRecord], cuts: list[tuple[int, str, int]], throttle: Throttle, threshold: Threshold
) -> None:
    CODEC.learn(CODEC.unknown_ids(record.value for record in records))  # of damaged ones
    compiled, plain = (Folded(throttle, threshold, compiled=compiled) for compiled in (True, False))
    folds: list[Folded | ByTheRules] = [compiled, plain, ByTheRules(throttle, threshold)]
    begin = committed = 0
    for size, then, back in [*cuts, (len(records), "commit", 0)]:
        part = records[begin : begin + size]
        begin += len(part)
        for fold in folds if part else ():
            fold.take_in(part)
        if then == "crash":
            begin = max(0, committed - back)
            for fold in folds:
                fold.crash()
        if then == "commit":
            committed = begin
            outcomes = [fold.commit() for fold in folds]
            assert outcomes[0] == outcomes[2]
            assert outcomes[1] == outcomes[2]
            assert compiled.stored == folds[2].stored
            assert plain.stored == folds[2].stored


@needs_compiled
@given(st.integers(1, 10**26), st.integers(1, 10**26))
def test_per_cent_are_rounded_half_even_in_both_directions(old: int, new: int) -> None:
    fold, rules = Folded(Throttle(enabled=False), Threshold(), compiled=True), ByTheRules(Throttle(enabled=False), Threshold())
    records = [raw(n, make_trade(n, at=START + n)._replace(price=price)) for n, price in enumerate((old, old, new, old), 1)]
    for each in (fold, rules):
        each.take_in(records)
    assert fold.commit() == rules.commit()


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of the records that were taken in by the full rules."""
    found: list[int] = []
    apply = PriceChanges.apply

    def noting(changes: PriceChanges, record: Trade | TimeMark, offset: int) -> Any:
        found.append(offset)
        return apply(changes, record, offset)

    monkeypatch.setattr(PriceChanges, "apply", noting)
    return found


def runner(**settings: Any) -> Runner:
    return Runner(price_changes.build(ProcessorSettings.model_validate({"price_changes": settings})))


@needs_compiled
def test_records_after_the_first_of_an_instrument_need_no_full_rules_over_commits(applied: list[int]) -> None:
    run = runner()
    found = [make_trade(n, at=START + n * TENTH, price=100 + n) for n in range(1, 40)]
    found[10:20] = [trade._replace(trade_id=OPAQUE, first_trade_id=OPAQUE, last_trade_id=OPAQUE) for trade in found[10:20]]
    effects = [run.batch(found[:20]), run.batch([GapMark(INSTRUMENT, START, START + 1)]), run.batch(found[20:])]
    assert applied == [0]
    assert len(told(*effects)) == 38
    assert sum(one.trades for one in effects) == 39


@needs_compiled
def test_price_that_no_event_could_tell_is_for_the_full_rules_alone(applied: list[int]) -> None:
    run = runner()
    prices = [1, 2, 10**25, 3, 4]
    (refusal,) = run.batch(
        [make_trade(n, at=START + n * SECOND)._replace(price=price) for n, price in enumerate(prices)]
    ).refusals
    assert (refusal.raw.offset, refusal.reason) == (2, "too_large")
    assert applied == [0, 2]


@both
def test_records_read_again_change_nothing_and_are_counted(compiled: bool) -> None:
    run = Runner(price_changes.build(ProcessorSettings()), compiled=compiled)
    found: list[Record] = [make_trade(1), make_trade(2, at=START + 1, price=200), TimeMark(INSTRUMENT, START + SECOND)]
    run.batch(found)
    before = dict(run.tables["price-changes"])
    effects = []
    for _ in ("as it goes on", "after a crash"):
        run.offsets[TRADES.name] = 0
        effects.append(run.batch(found[:2]))
        run.open()
    assert [(one.outputs, one.counts["replayed"], one.trades) for one in effects] == [([], 2, 2)] * 2
    assert run.tables["price-changes"] == before


@both
def test_instruments_beyond_those_held_in_memory_are_read_from_the_table_again(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_changes, "MOST_INSTRUMENTS", 1)
    run = Runner(price_changes.build(ProcessorSettings()), compiled=compiled)
    effects = [
        run.batch([make_trade(step, at=START + step * SECOND, price=step, instrument=name) for name in (INSTRUMENT, OTHER)])
        for step in range(1, 4)
    ]
    assert [(event.instrument, event.old_price // ONE, event.new_price // ONE) for event in told(*effects)] == [
        (INSTRUMENT, 1, 2),
        (OTHER, 1, 2),
        (INSTRUMENT, 2, 3),
        (OTHER, 2, 3),
    ]
    assert run.fold.known(TRADES.name) == 3


@both
def test_batch_is_folded_again_from_its_beginning_once_a_schema_is_learnt(compiled: bool) -> None:
    fold = Folded(Throttle(enabled=False), Threshold(), compiled=compiled)
    found = [raw(n, make_trade(n, at=START + n, price=100 + n)) for n in range(1, 4)]
    unknown = RawRecord(4, found[0].timestamp_ms, found[0].key, b"\0\0\0\1\0rest")
    CODEC.forget_missing()
    with pytest.raises(SchemaNotLearnt):
        fold.take_in([*found, unknown])
    CODEC.learn({256})
    fold.take_in([*found, unknown])
    outputs, refused, _ = fold.commit()
    assert [len(messages) for messages in outputs.values()] == [2]
    assert refused == [(4, "unknown_schema")]


def test_threshold_of_an_instrument_holds_instead_of_the_default_one() -> None:
    run = runner(
        throttle={"enabled": False},
        significance={"absolute": "1", "percent": "50"},
        instruments={INSTRUMENT: {"absolute": "10", "percent": None}, OTHER: {"ticks": 30, "tick_size": "0.1"}},
    )
    third = "sim:THIRD-USD"
    prices = {INSTRUMENT: (100, 109, 119), OTHER: (100, 101, 104), third: (100, 101, 102)}
    found = [
        make_trade(number, at=START + number, price=price, instrument=name)
        for name, three in prices.items()
        for number, price in enumerate(three, 1)
    ]
    events = told(run.batch(found))
    significant = {name: [event.is_significant for event in events if event.instrument == name] for name in prices}
    assert significant == {INSTRUMENT: [False, True], OTHER: [True, True], third: [True, True]}


@given(st.integers(1, 10**6), st.integers(1, 10**20), LIMITS, st.integers(-(10**26), 10**26))
def test_ticks_are_reached_as_any_other_threshold(ticks: int, tick_size: int, absolute: int | None, change: int) -> None:
    threshold = Threshold(absolute).with_ticks(ticks, tick_size)
    by_price = absolute is not None and abs(change) >= absolute
    assert threshold.reached_by(change, 0) == (by_price or abs(change) >= ticks * tick_size)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"significance": {"ticks": 5}}, "processors.price_changes.significance.tick_size"),
        ({"instruments": {OTHER: {"ticks": 5}}}, f"processors.price_changes.instruments.{OTHER}.tick_size"),
        ({"instruments": {"nothing": {"absolute": 5}}}, "processors.price_changes.instruments.nothing"),
        ({"significance": {"absolute": "1e-13"}}, "processors.price_changes.significance.absolute"),
    ],
)
def test_threshold_that_makes_no_sense_is_refused_by_its_name(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        runner(**settings)
    (problem,) = refused.value.problems
    assert problem.key == key
