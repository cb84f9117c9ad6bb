"""What a commit writes: the compiled encoders give fastavro's bytes, and its errors."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Candle, CandleEvent, CandleEventKind, TradePoint, fold
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.decimals import AMOUNT_PRECISION, ONE, PRECISION
from market.errors import DataValidationError
from market.gaps import Gap, KnownGaps
from market.seen_trades import SeenTrades
from processors.encoding import encoders, plain
from schemas.codec import Codec
from schemas.topics import CANDLES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade

ENCODERS = encoders()
encode_candle, encode_series, encode_closed = ENCODERS.encode_candle, ENCODERS.encode_series, ENCODERS.encode_closed

pytestmark = pytest.mark.skipif(cast("Any", ENCODERS) is plain, reason="the extension is not built here")

LONGS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200), st.just(START))
COUNTS = st.integers(-(2**31), 2**31 - 1)


def figures(precision: int) -> st.SearchStrategy[int]:
    """Decimals of every width, and those at the edges of a byte, of 64 and of 128 bits."""
    largest = 10**precision - 1
    edges = [sign * 2**bits + step for bits in range(166) for sign in (1, -1) for step in (-1, 0, 1)]
    return st.one_of(st.integers(-largest, largest), st.sampled_from([edge for edge in edges if abs(edge) <= largest]))


FIGURES, AMOUNTS = figures(PRECISION), figures(AMOUNT_PRECISION)
TEXTS = st.text(max_size=40)
POINTS = st.builds(TradePoint, LONGS, LONGS, FIGURES, TEXTS)
CANDLES_HELD = st.builds(Candle, POINTS, POINTS, FIGURES, FIGURES, FIGURES, AMOUNTS, st.none() | FIGURES, LONGS, LONGS)
RANGES = st.tuples(LONGS, LONGS)
EVENTS = st.builds(
    CandleEvent,
    **dict.fromkeys(("instrument", "interval", "first_trade_id", "last_trade_id", "source_topic"), TEXTS),
    **dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), FIGURES),
    **dict.fromkeys(("open_time", "close_time", "trade_count", "last_trade_time", "received_at", "source_offset"), LONGS),
    **dict.fromkeys(("revision", "source_partition"), COUNTS),
    kind=st.sampled_from(CandleEventKind),
    amount=AMOUNTS,
    taker_buy_volume=st.none() | FIGURES,
)
STATES = st.builds(
    SeriesState,
    LONGS,
    LONGS,
    LONGS,
    st.dictionaries(TEXTS, LONGS, max_size=3),
    st.builds(SeenTrades, LONGS, LONGS, st.lists(RANGES, max_size=4), st.lists(LONGS, max_size=4)),
    st.dictionaries(st.tuples(TEXTS, LONGS), st.builds(OpenCandle, CANDLES_HELD, LONGS), max_size=3),
    st.dictionaries(TEXTS, RANGES, max_size=3),
    st.builds(KnownGaps, st.lists(st.builds(Gap, LONGS, LONGS, st.booleans()), max_size=3), LONGS),
)
CLOSED = st.builds(ClosedCandle, CANDLES_HELD, COUNTS, LONGS, st.booleans(), st.booleans())


def make_event(**changes: Any) -> CandleEvent:
    candle = fold([make_trade(1), make_trade(2)])
    assert candle is not None
    event = CandleEvent(
        INSTRUMENT,
        "1m",
        START,
        START + MINUTE,
        CandleEventKind.UPDATE,
        0,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.amount,
        candle.vwap,
        candle.taker_buy_volume,
        candle.trade_count,
        "1",
        "2",
        False,
        False,
        False,
        START,
        START,
        "md.trades",
        3,
        77,
    )
    return event._replace(**changes)


@given(EVENTS)
def test_candle_events_are_encoded_as_by_the_codec(event: CandleEvent) -> None:
    framed = Codec({(CANDLES.name, CandleEvent): 0}, lambda schema_id: None).encode(CANDLES.name, event)
    assert encode_candle(event) == plain.encode_candle(event) == framed[5:]


@given(STATES)
def test_series_are_encoded_as_by_fastavro(state: SeriesState) -> None:
    assert encode_series(state) == plain.encode_series(state)


@given(CLOSED)
def test_closed_candles_are_encoded_as_by_fastavro(closed: ClosedCandle) -> None:
    assert encode_closed(closed) == plain.encode_closed(closed)


def test_a_state_of_many_kilobytes_is_encoded_whole() -> None:
    state = SeriesState(seen=SeenTrades(holes=[(n, n + 1) for n in range(64)], hashes=[n << 50 for n in range(128)]))
    candle = fold([make_trade(1)])
    assert candle is not None
    state.open = {(f"{n}m", START): OpenCandle(candle, n) for n in range(50)}
    assert len(encode_series(state)) > 4096
    assert encode_series(state) == plain.encode_series(state)


WRONG: dict[str, dict[str, Any]] = {
    "a price of 39 digits": {"open": 10**38},
    "a price of minus 39 digits": {"low": -(10**38)},
    "an amount of 51 digits": {"amount": 10**50},
    "a volume beyond 128 bits": {"taker_buy_volume": 2**128},
    "a time beyond 64 bits": {"open_time": 2**63},
    "an offset that is none": {"source_offset": None},
    "a price that is a float": {"close": 1.5},
    "a price that is text": {"close": "1"},
    "an instrument that is none": {"instrument": None},
    "a text that is no Unicode": {"interval": "\ud800"},
    "a kind of its own": {"kind": "SOMETHING"},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_value_that_does_not_fit_is_refused_with_the_same_words(changes: dict[str, Any]) -> None:
    event = make_event(**changes)
    with pytest.raises(DataValidationError) as expected:
        plain.encode_candle(event)
    with pytest.raises(DataValidationError) as found:
        encode_candle(event)
    assert (found.value.reason, str(found.value)) == (expected.value.reason, str(expected.value))


UNUSUAL: dict[str, dict[str, Any]] = {
    "a flag that is a number": {"gap": 1},
    "a count that is a flag": {"trade_count": True},
    "a kind that is text": {"kind": "CLOSE"},
    "a revision beyond 32 bits": {"revision": 2**40},
    "an amount of 50 digits": {"amount": 10**50 - 1},
}


@pytest.mark.parametrize("changes", UNUSUAL.values(), ids=UNUSUAL)
def test_what_fastavro_takes_is_taken(changes: dict[str, Any]) -> None:
    event = make_event(**changes)
    assert encode_candle(event) == plain.encode_candle(event)


def test_a_state_that_does_not_fit_is_refused_as_by_fastavro() -> None:
    state = SeriesState(latest=2**63)
    with pytest.raises(OverflowError):
        plain.encode_series(state)
    with pytest.raises(OverflowError):
        encode_series(state)
    point = TradePoint(0, 0, 10**38, "1")
    closed = ClosedCandle(Candle(point, point, ONE, ONE, ONE, ONE, None, 1, 1), 1, 1, True, False)
    with pytest.raises(DataValidationError, match="38 digits"):
        encode_closed(closed)


def test_what_is_usual_needs_no_fastavro(monkeypatch: pytest.MonkeyPatch) -> None:
    candle = fold([make_trade(1, price=10**9, size=10**4), make_trade(2)])
    assert candle is not None
    closed = ClosedCandle(candle, 1, 5, True, False)
    state = SeriesState(
        observed_from={"1m": START},
        seen=SeenTrades(9, 1, [(3, 4)], [-5]),
        open={("1m", START): OpenCandle(candle, 5)},
        closed={"1m": (START - MINUTE, START)},
        gaps=KnownGaps([Gap(START, START + 1)]),
    )
    expected = plain.encode_candle(make_event()), plain.encode_series(state), plain.encode_closed(closed)
    for name in ("encode_candle", "encode_series", "encode_closed"):
        monkeypatch.delattr(plain, name)
    assert (encode_candle(make_event()), encode_series(state), encode_closed(closed)) == expected
