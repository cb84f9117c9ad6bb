"""Frames of Binance read by compiled code: the records of the plain way, or its errors; sessions notice nothing."""

import json
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ingest.frames import aggregate
from ingest import feeds
from ingest.feed import Parsed, Parser
from ingest.feeds import _binance_frames
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from ingest.session import Session
from ingest.steady import PlainSteady, Steady
from market.errors import DataValidationError
from market.quality import MAX_CLOCK_SKEW
from tests.ingest_parts import FUTURES, NOW, SAMPLE, SPOT, combined, trade_frame

compiled = pytest.importorskip("ingest.feeds._binance_compiled", exc_type=ImportError)

KNOWN = (b"@trade", b"@aggTrade", b"@bookTicker")
AT = NOW + 1_000_000_000


def parsers(market: str = "spot") -> tuple[Parser, Parser]:
    """One that takes the short way where it can, and one that never does."""
    swift = feeds.load("binance").parser(market, {}, MAX_CLOCK_SKEW)
    plain = feeds.load("binance").parser(market, {}, MAX_CLOCK_SKEW)
    plain.parse = plain._parse  # type: ignore[attr-defined,method-assign]
    plain.parse_lone = plain._parse_lone  # type: ignore[attr-defined]
    return swift, plain


def outcome(parser: Parser, frame: bytes, at: int = AT) -> Any:
    try:
        return parser.parse(frame, at)
    except DataValidationError as error:
        return error.reason, error.field, str(error)


def assert_same(frame: bytes, at: int = AT, market: str = "spot") -> Any:
    swift, plain = parsers(market)
    found = outcome(swift, frame, at)
    assert found == outcome(plain, frame, at)
    if isinstance(found, Parsed):
        assert [type(record) for record in found.records] == [type(record) for record in outcome(plain, frame, at).records]
        assert type(found) is Parsed
    return found


@cache
def recorded(*which: str) -> list[tuple[bytes, int]]:
    files = {"sample": SAMPLE[:1], "spot": [SPOT], "futures": [FUTURES]}
    items = [item for name in which for item in read_recordings(files[name]) if isinstance(item, Frame)]
    return [(item.data, item.at) for item in items if any(kind in item.data[:60] for kind in KNOWN)][:3_000]


def message(frame: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(frame)["data"]
    return fields


@pytest.mark.parametrize(("name", "market"), [("sample", "spot"), ("spot", "spot"), ("futures", "usdm")])
def test_recorded_frames_are_read_alike_and_nearly_all_by_the_short_way(name: str, market: str) -> None:
    swift, plain = parsers(market)
    taken = 0
    for frame, at in recorded(name):
        assert outcome(swift, frame, at) == outcome(plain, frame, at)
        taken += swift._compiled.read(frame, at) is not None  # type: ignore[attr-defined]
    assert taken > 0.99 * len(recorded(name)) > 50


def test_a_trade_told_as_an_aggregate_is_read_by_the_short_way() -> None:
    frame = aggregate(message(recorded("sample")[1][0]) if b"@trade" in recorded("sample")[1][0] else TRADE_FIELDS, 17)
    found = assert_same(frame)
    assert (found.name, found.records[0].trade_id, found.records[0].trade_count) == ("aggTrade", "17", 1)


TRADE_FIELDS = {"E": NOW // 1000, "s": "BTCUSDT", "t": 5, "p": "1.5", "q": "2", "T": NOW // 1000, "m": True, "M": True}
NUMBERS = st.one_of(st.integers(-1, 30), st.integers(0, 10**21), st.just(NOW // 1000), st.booleans(), st.none(), st.floats())
TEXTS = st.one_of(
    st.decimals(min_value=0, max_value=10**14, places=8).map(str),
    st.from_regex(r"\A[0-9]{0,14}(\.[0-9]{0,14})?\Z"),
    st.sampled_from(["0", "0.00000000", "-1", "1e5", "", ".5", "5.", "٣", "MARKET", "ADL", "BTCUSDT", 'a"b', "NaN"]),
    st.text(max_size=4),
)
VALUES: st.SearchStrategy[Any] = TEXTS | NUMBERS | st.just([]) | st.just({"x": 1})
FORMS = {
    "trade": {"e": "trade", **TRADE_FIELDS},
    "aggTrade": {**TRADE_FIELDS, "a": 7, "f": 3, "l": 5},
    "bookTicker": {"u": 400, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.7", "a": "61837.64", "A": "1.5"},
}


@given(st.sampled_from(list(FORMS)), st.sampled_from("estapqTmMXfluUbBAE"), VALUES, st.booleans(), st.randoms())
def test_changed_messages_are_read_alike(channel: str, name: str, value: Any, spaced: bool, chance: Any) -> None:
    fields = [*{**FORMS[channel], name: value}.items()]
    chance.shuffle(fields)
    frame = combined(f"btcusdt@{channel}", dict(fields))
    assert_same(frame.replace(b",", b", ") if spaced else frame)


@given(st.sampled_from(list(FORMS)), st.integers(0, 300), st.binary(max_size=3), st.integers(0, 4))
def test_damaged_frames_are_read_alike(channel: str, place: int, put: bytes, cut: int) -> None:
    frame = combined(f"btcusdt@{channel}", FORMS[channel])
    place %= len(frame)
    assert_same(frame[:place] + put + frame[place + cut :])


@given(st.sampled_from(list(FORMS)), st.integers(-(10**7), 10**7))
def test_clocks_that_run_ahead_are_judged_alike(channel: str, ahead: int) -> None:
    fields = {**FORMS[channel], "T": NOW // 1000}
    assert_same(combined(f"btcusdt@{channel}", fields), NOW - ahead)


@pytest.mark.parametrize("at", [0, -1, 2**62, 10**15 * 5])
def test_times_of_ours_that_are_none_are_refused_alike(at: int) -> None:
    assert_same(trade_frame(1), at)


def test_fields_given_twice_are_read_alike() -> None:
    frame = trade_frame(1)
    assert_same(frame.replace(b'"t":1', b'"t":1,"t":2'))
    assert_same(frame.replace(b'"p":"100.00"', b'"p":"100.00","p":"7"'))


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(1, 12), st.sampled_from(["BTCUSDT", "ETHUSDT"])),
        st.tuples(
            st.sampled_from(["lost", "restored", "bad", "mute", "unmute", "tick", "aggregate", "quote"]),
            st.just(0),
            st.just(""),
        ),
    ),
    max_size=40,
)


@given(EVENTS, st.booleans(), st.booleans())
def test_sessions_tell_the_same_whichever_way_frames_are_read(events: Any, once: bool, arbitrated: bool) -> None:
    told = []
    (swift, plain), (swift_again, plain_again), (_, unexpected) = parsers(), parsers(), parsers()
    for steady, expects, parser in (
        (Steady, True, swift),
        (PlainSteady, True, swift_again),
        (Steady, True, plain),
        (PlainSteady, True, plain_again),
        (Steady, False, unexpected),
    ):
        session = Session("binance", (), once=once, arbitrated=arbitrated)
        if not expects:
            session._note_steady = lambda *_: None  # type: ignore[method-assign]
        with patch("ingest.session.Steady", steady):
            session.add_line("line", parser)
        told.append(([*play(session, events)], session.counts, session.instruments(), session.missing()))
    assert all(one == told[0] for one in told)


def play(session: Session, events: Any) -> Any:
    stream = SimpleNamespace(instrument="binance:BTC-USDT", channel="trade")
    subscription = _binance_subscription(stream)
    for number, (kind, trade, symbol) in enumerate(events):
        at = NOW + number * 300_000
        if kind == "frame":
            yield session.received("line", trade_frame(trade, at=at, symbol=symbol), at)
        elif kind == "aggregate":
            yield session.received("line", combined("btcusdt@aggTrade", FORMS["aggTrade"]), at)
        elif kind == "quote":
            yield session.received("line", combined("btcusdt@bookTicker", FORMS["bookTicker"]), at)
        elif kind == "bad":
            yield session.received("line", b'{"stream":"btcusdt@trade","data":{}}', at)
        elif kind == "lost":
            yield session.lost("line", at, "gone")
        elif kind == "restored":
            yield session.restored("line", at)
        elif kind == "tick":
            yield session.tick(at)
        elif kind == "mute":
            session.mute([subscription])
        else:
            session.unmute([subscription])


def _binance_subscription(stream: Any) -> Any:
    from ingest.feed import Subscription

    return Subscription(stream.instrument, stream.channel)


def test_where_it_was_not_built_frames_are_read_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_binance_frames, "_COMPILED", None)
    parser = feeds.load("binance").parser("spot", {}, MAX_CLOCK_SKEW)
    assert outcome(parser, trade_frame(1)) == outcome(parsers()[0], trade_frame(1))
