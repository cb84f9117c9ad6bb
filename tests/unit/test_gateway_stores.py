"""What the gateway keeps in memory, and its bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.candle_history import CandleHistory
from gateway.instruments import Instruments
from gateway.latest import LatestStore
from gateway.messages import Source
from gateway.progress import Progress, start_offset
from gateway.refusals import ErrorCode, Refusal
from market.candle import CandleEventKind
from market.errors import SubscriptionError
from market.instrument import resolve
from tests.builders import INSTRUMENT, MINUTE, START
from tests.gateway_parts import HandTurnedLoop, Listener, make_candle, make_hub

SOURCE = Source("md.candles", 0, 0)


def test_entry_not_used_for_longest_goes_first() -> None:
    store: LatestStore[str, list[int]] = LatestStore("gateway-test", capacity=2)
    store.entry("a", list)
    store.entry("b", list)
    store.look_up("a")
    store.entry("c", list)
    assert (store.look_up("a"), store.look_up("b"), len(store)) == ([], None, 2)


def test_hits_and_misses_are_counted() -> None:
    store: LatestStore[str, list[int]] = LatestStore("gateway-test")
    store.entry("a", list).append(1)
    store.look_up("a")
    store.look_up("a")
    store.look_up("b")
    assert (store.hits, store.misses) == (2, 1)


def test_history_keeps_the_highest_version_of_each_candle() -> None:
    history = CandleHistory()
    closed = make_candle(kind=CandleEventKind.CLOSE, revision=1, offset=5)
    assert history.take(make_candle(offset=3), SOURCE)
    assert history.take(closed, SOURCE)
    assert not history.take(make_candle(offset=9), SOURCE)
    assert not history.take(closed, SOURCE)
    assert [held.event for held in history.latest(INSTRUMENT, "1m", 10)] == [closed]


def test_history_forgets_the_oldest_candle_of_a_full_series() -> None:
    history = CandleHistory(per_series=3)
    for minute in (5, 1, 4, 2, 3):
        history.take(make_candle(minute), SOURCE)
    assert [held.event.open_time for held in history.latest(INSTRUMENT, "1m", 10)] == [
        START + minute * MINUTE for minute in (3, 4, 5)
    ]


def test_candle_older_than_all_that_a_full_series_keeps_is_not_taken() -> None:
    history = CandleHistory(per_series=2)
    assert [history.take(make_candle(minute), SOURCE) for minute in (5, 6, 4, 7)] == [True, True, False, True]
    assert [(held.event.open_time - START) // MINUTE for held in history.latest(INSTRUMENT, "1m", 10)] == [6, 7]


def test_history_is_bounded_over_all_series() -> None:
    history = CandleHistory(in_all=4)
    for minute in range(3):
        for code in ("A", "B"):
            history.take(make_candle(minute, instrument=f"sim:{code}"), SOURCE)
    assert len(history) == 4
    assert len(history.latest("sim:A", "1m", 10)) == 2


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, [3, 4]), (99, [0, 1, 2, 3, 4])])
def test_history_gives_the_latest_candles_oldest_first(count: int, expected: list[int]) -> None:
    history = CandleHistory()
    for minute in (3, 0, 4, 1, 2):
        history.take(make_candle(minute), SOURCE)
    found = [(held.event.open_time - START) // MINUTE for held in history.latest(INSTRUMENT, "1m", count)]
    assert found == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3))))
def test_history_holds_the_highest_versions_in_whatever_order_they_come(versions: list[tuple[int, int, int]]) -> None:
    history = CandleHistory()
    for minute, revision, offset in versions:
        history.take(make_candle(minute, revision=revision, offset=offset), SOURCE)
    best: dict[int, tuple[int, int]] = {}
    for minute, revision, offset in versions:
        best[minute] = max(best.get(minute, (-1, -1)), (revision, offset))
    held = {(one.event.open_time - START) // MINUTE: one.event.version for one in history.latest(INSTRUMENT, "1m", 100)}
    assert held == best


codes = st.text("AB12-.", min_size=1, max_size=4).filter(lambda code: code[0] not in "-.")
ids = st.builds(lambda venue, code: f"{venue}:{code}", st.sampled_from(["x", "y"]), codes)
aliases = st.text("abAB12-/_: .xy", max_size=6) | ids


def outcome_of(find: Any) -> Any:
    try:
        return find()
    except Refusal as refusal:
        return refusal.code
    except SubscriptionError as error:
        return ErrorCode.AMBIGUOUS_SYMBOL if "ambiguous" in str(error) else ErrorCode.UNKNOWN_SYMBOL


@given(st.sets(ids, max_size=8), aliases)
def test_index_of_instruments_finds_what_the_domain_finds(known: set[str], alias: str) -> None:
    assert outcome_of(lambda: Instruments(known).resolve(alias)) == outcome_of(lambda: resolve(alias, known))


@given(st.lists(ids, max_size=8))
def test_instruments_of_a_venue_come_in_order_and_once(known: list[str]) -> None:
    instruments = Instruments(known)
    assert instruments.of_venue("x") == sorted({one for one in known if one.startswith("x:")})
    assert instruments.of_venue("z") == []


class Watched(str):
    """A text that counts how often it is looked at."""

    __slots__ = ()
    looks = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Watched.looks += 1
        return str.__eq__(self, other)

    def startswith(self, *args: Any) -> bool:
        Watched.looks += 1
        return str.startswith(self, *args)


def test_whole_venues_cost_no_comparison_with_every_instrument() -> None:
    many = 100
    hub = make_hub(HandTurnedLoop(), known=[Watched(f"binance:A{number}-USDT") for number in range(many)])
    listener = Listener(hub)
    Watched.looks = 0
    listener.say(action="subscribe", symbols=[f"madeup{number}:*" for number in range(50)], data_type="TRADE")
    assert Watched.looks == 0
    listener.say(action="unsubscribe", symbols=[f"madeup{number}:*" for number in range(50)])
    listener.say(action="subscribe", symbol="binance:*", data_type="TRADE")
    Watched.looks = 0
    listener.say(action="unsubscribe", symbol="binance:*")
    assert Watched.looks < 5 * many
    assert hub.traffic.subscriptions == 0


def test_look_back_is_cut_at_the_first_record_there_is() -> None:
    assert start_offset((10, 100), None) == 10
    assert start_offset((10, 100), 20) == 80
    assert start_offset((90, 100), 20) == 90
    assert start_offset((0, 0), 20) == 0


def test_tail_has_caught_up_when_every_partition_reached_its_end_at_the_start() -> None:
    progress = Progress({("t", 0): (0, 10), ("t", 1): (0, 0), ("s", 0): (5, 8)}, {"t": 4, "s": None})
    assert progress.starts == {("t", 0): 6, ("t", 1): 0, ("s", 0): 5}
    assert progress.remaining == 2
    progress.move(("t", 0), 9)
    progress.move(("s", 0), 8)
    assert progress.remaining == 1
    progress.move(("t", 0), 12)
    assert progress.remaining == 0
    assert [tuple(one) for one in progress.describe()] == [("s", 0, 8, 8), ("t", 0, 12, 12), ("t", 1, 0, 0)]
