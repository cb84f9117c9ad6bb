"""Trade streams for folders of runs: raw records whole and damaged, and a journal of what a folder made of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.quality import LATEST, MAX_CLOCK_SKEW
from market.run import Window
from market.trade import GapMark, Side, TimeMark, Trade, TradeStreamRecord
from processors.batch import RawRecord
from processors.runs import compiled_folder, open_folder
from processors.runs.protocol import Contract, Other, RunFolder
from schemas.checks import check_carried
from schemas.codec import Codec
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade

TRADE, MARK, GAP, OTHER_TRADE = 7, 8, 9, 10
SECOND = 1_000_000
CONTRACT = Contract(TRADE, MARK, MAX_CLOCK_SKEW)
CODEC = Codec({(TRADES.name, Trade): TRADE, (TRADES.name, TimeMark): MARK, (TRADES.name, GapMark): GAP}, lambda schema_id: None)
INSTRUMENTS = (INSTRUMENT, "kraken:ETH-USD", "x" * 32 + ":" + "L" * 64)
APPENDED = (START + 60 * MINUTE) // 1000
WINDOW = Window(-1, 0, -1, START, START + MINUTE, START + MINUTE + SECOND, START)

needs_compiled = pytest.mark.skipif(compiled_folder() is None, reason="the extension is not built here")
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])  # long streams on a busy machine take a while to draw
both = pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False], ids=["compiled", "plain"])


def raw(offset: int, record: TradeStreamRecord, **changed: Any) -> RawRecord:
    return RawRecord(offset, APPENDED, record.instrument.encode(), CODEC.encode(TRADES.name, record))._replace(**changed)


def decoded(record: RawRecord) -> TradeStreamRecord | None:
    """By the full rules; None when they refuse it."""
    try:
        found = CODEC.decode(record.value)
        check_carried(TRADES.name, record.key, found, appended_at=record.timestamp_ms * 1000)
    except DataValidationError:
        return None
    assert isinstance(found, TradeStreamRecord)
    return found


class Journal:
    """What a folder did, and a simple rule for what to do with a record handed over."""

    def __init__(self) -> None:
        self.entries: list[object] = []
        self.folder: RunFolder

    def other(self, record: RawRecord, known: TradeStreamRecord | None) -> None:
        self.entries.append(record)
        found = decoded(record)
        assert known is None or known == found, "the folder has decoded it otherwise"
        if found is None:
            return
        self.entries.append(self.folder.take(found.instrument))
        self.folder.arm(found.instrument, self._window_after(found, record.offset))

    @staticmethod
    def _window_after(record: TradeStreamRecord, offset: int) -> Window | None:
        if isinstance(record, GapMark):
            return None
        time = record.event_time if isinstance(record, Trade) else record.time
        number = record.trade_id if isinstance(record, Trade) else "0"
        begin = time - time % MINUTE
        last_id = int(number) if number.isascii() and number.isdigit() and len(number) <= 18 else 0
        return Window(offset, last_id, last_id - 4, begin, begin + MINUTE, begin + MINUTE + 2 * SECOND, time)

    def tick(self) -> None:
        """As a commit does: all that was touched is taken."""
        names = self.folder.touched()
        self.entries.append((names, [self.folder.take(name) for name in names], self.folder.take_counts()))


def journal(make: Callable[[Other], RunFolder], batches: Iterable[Iterable[RawRecord]]) -> list[object]:
    """All that came of the batches, with a commit after each other one."""
    kept = Journal()
    kept.folder = make(kept.other)
    for name in INSTRUMENTS[:2]:
        kept.folder.arm(name, WINDOW)
    for number, batch in enumerate(batches):
        try:
            kept.folder.fold(batch)
        except CorruptRecordException:
            kept.entries.append("corrupt")
        if number % 2:
            kept.tick()
    kept.tick()
    kept.entries.append([kept.folder.take(name) for name in INSTRUMENTS])
    return kept.entries


def folder(compiled: bool) -> Callable[[Other], RunFolder]:
    return lambda other: open_folder(CONTRACT, other, compiled=compiled)


LAST_NUMBERS = st.sampled_from([0, 95, 8_190, 999_995, 10**9, 10**18 - 5])
"""The trade id before all others; an id has as many bytes as digits, a sequence one more from time to time."""
NUMBERS = st.one_of(st.just(1), st.integers(-5, 3), st.integers(0, 2 * 10**18))
"""How far a trade's id is from the last one."""
FIGURES = st.one_of(st.integers(1, 10**6).map(lambda value: value * ONE), st.integers(1, 10**38 - 1), st.integers(-1, 1))
SIDES: st.SearchStrategy[Side | None] = st.sampled_from(["buy", "sell", "buy", None])
TIMES = st.one_of(st.integers(0, SECOND), st.sampled_from([0, 0, -SECOND, 30 * SECOND, MINUTE, 2 * MINUTE]))
IDS = st.one_of(st.text("0123456789", max_size=26), st.text(max_size=4), st.just("A" * 201))


@st.composite
def streams(draw: st.DrawFn, *, damaged: bool) -> list[RawRecord]:
    """Records of several instruments; most would belong to a run, if all went well."""
    offset, time, numbers, found = 0, START, dict.fromkeys(INSTRUMENTS, draw(LAST_NUMBERS)), list[RawRecord]()
    delay = draw(st.sampled_from([None, 3_000]))
    for _ in range(draw(st.integers(1, 25))):
        offset = max(0, offset + draw(st.sampled_from([1, 1, 1, 1, 2, -3])))
        name = draw(st.sampled_from(INSTRUMENTS))
        time += draw(TIMES) if draw(st.booleans()) else SECOND // 10
        kind = draw(st.sampled_from(["trade"] * 5 + ["odd trade"] * 2 + ["mark", "mark", "gap", "damaged"]))
        if kind == "mark":
            found.append(raw(offset, TimeMark(name, time, draw(st.sampled_from([None, time, 0])))))
        elif kind == "gap":
            found.append(raw(offset, GapMark(name, None, time)))
        else:
            trade = (
                draw(odd_trades(name, numbers[name], time)) if kind == "odd trade" else next_trade(draw, name, numbers, time)
            )
            if delay is not None and kind != "odd trade":
                trade = trade._replace(received_at=time + delay, published_at=time + 2 * delay)
            record = raw(offset, trade)
            if damaged and kind == "damaged":
                record = draw(damage(record))
            found.append(record)
    return found


def next_trade(draw: st.DrawFn, name: str, numbers: dict[str, int], time: int) -> Trade:
    numbers[name] += 1
    side = draw(SIDES)
    return make_trade(numbers[name], at=time, price=draw(st.integers(1, 10**8)), side=side, instrument=name)


@st.composite
def odd_trades(draw: st.DrawFn, name: str, number: int, time: int) -> Trade:
    """A trade that is a duplicate, leaves a hole, is huge, invalid, tied, of an unusual id or time."""
    trade = make_trade(max(0, number + draw(NUMBERS)), at=time, instrument=name)
    changes: dict[str, st.SearchStrategy[Any]] = {
        "price": FIGURES,
        "size": FIGURES,
        "sequence": st.integers(-(2**63), 2**63 - 1) | st.integers(number - 2, number + 2),
        "exchange_time": st.sampled_from([None, time - SECOND, time + 6 * SECOND, 0, -1, LATEST - 1, 2**62]),
        "received_at": st.sampled_from([time + SECOND, APPENDED * 1000 + MAX_CLOCK_SKEW, APPENDED * 1000 + MAX_CLOCK_SKEW + 1]),
        "trade_count": st.integers(-1, 300) | st.sampled_from([2**31 - 1, -(2**31)]),
        "published_at": st.sampled_from([None, time, 0, LATEST]),
    }
    changes |= dict.fromkeys(("trade_id", "first_trade_id", "last_trade_id"), IDS)
    chosen = draw(st.sets(st.sampled_from(sorted(changes)), max_size=3))
    return Trade(**{**trade._asdict(), **{key: draw(changes[key]) for key in sorted(chosen)}})


@st.composite
def damage(draw: st.DrawFn, record: RawRecord) -> RawRecord:
    """The record with bytes changed, cut off or added, or under another key."""
    value = record.value or b""
    place = draw(st.integers(0, len(value) - 1))
    return draw(
        st.sampled_from(
            [
                record._replace(value=value[:place]),
                record._replace(value=value + b"\0"),
                record._replace(value=value[:place] + bytes([value[place] ^ draw(st.integers(1, 255))]) + value[place + 1 :]),
                record._replace(value=None),
                record._replace(key=None),
                record._replace(key=b"kraken:ETH-USD"),
                record._replace(timestamp_ms=draw(st.sampled_from([-1, 0, START // 1000, 2**62, -(2**62)]))),
            ]
        )
    )


def cut(records: Sequence[RawRecord], sizes: Sequence[int]) -> Iterator[Sequence[RawRecord]]:
    places = [0, *(min(sum(sizes[: n + 1]), len(records)) for n in range(len(sizes))), len(records)]
    return (records[begin:end] for begin, end in pairwise(places))


SIZES = st.lists(st.integers(1, 20), max_size=6)
