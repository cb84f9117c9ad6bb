"""The feeds that call a library: stand-ins return recorded answers, as DataFrames; the edge is the library's own network."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy
import pandas  # type: ignore[import-untyped]
import pytest

from ingest import feeds
from ingest.feed import Asking, PolledVenue, Subscription, Told
from ingest.feeds._cn_library import LibrarySource, LibraryVenue
from ingest.libraries import akshare, efinance
from ingest.quota import Allowances
from ingest.rest import Unanswered
from market.errors import DataValidationError, SubscriptionError
from market.feed_status import FeedState
from market.quote import Quote
from tests.cn_parts import CN
from tests.ingest_parts import FakeClock

LATER = 1_800_000_000_000_000
SKEW = 5_000_000
LIBRARIES: dict[str, Any] = json.loads((CN / "libraries.json").read_text(encoding="utf-8"))
ROWS = {"efinance": LIBRARIES["efinance_realtime"], "akshare": LIBRARIES["akshare_spot_em"]}
STREAM = Subscription("szse:000001", "quote")
NAMES = sorted(ROWS)


def venue(name: str) -> LibraryVenue:
    found = feeds.load(name)
    assert isinstance(found, LibraryVenue)
    assert isinstance(found, PolledVenue)
    return found


def stand_in(name: str, tell: Callable[[], Any]) -> Any:
    """What has the functions of a library that the feed calls."""
    return SimpleNamespace(stock=SimpleNamespace(get_realtime_quotes=tell), stock_zh_a_spot_em=tell, __name__=name)


def asking(**given: Any) -> Asking:
    return Asking(FakeClock(), Allowances(), **given)


def asked(name: str, tell: Callable[[], Any], *streams: Subscription) -> list[bytes]:
    async def ask() -> list[bytes]:
        source = LibrarySource(venue(name), stand_in(name, tell), 30.0)
        (batch,) = source.batches(streams)
        answered = await source.ask(batch)
        await source.close()
        assert answered.address == name
        return list(answered.frames)

    return asyncio.run(ask())


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_the_quotes_that_the_librarys_own_rows_are(name: str) -> None:
    (frame,) = asked(name, lambda: pandas.DataFrame(ROWS[name]), STREAM)
    told = venue(name).parser(None, {}, SKEW).parse(frame, LATER)
    row = ROWS[name][0]
    expected = efinance.parse(row, LATER) if name == "efinance" else akshare.parse(row, LATER)
    (quote,) = told.records
    assert isinstance(quote, Quote)
    assert quote == expected._replace(channel="quote")
    assert (quote.instrument, venue(name).instrument_of(frame)) == ("szse:000001", "szse:000001")
    assert not told.faults


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_were_not_asked_for_are_no_frames(name: str) -> None:
    assert asked(name, lambda: pandas.DataFrame(ROWS[name]), Subscription("sse:600000", "quote")) == []


def test_times_of_a_frame_are_those_of_the_machine_that_called_the_library() -> None:
    read = venue("efinance")
    frames = [read.frames_of(ROWS["efinance"], [STREAM], hours * 3_600)[0] for hours in (8, 0)]
    (shanghai, utc) = (read.row_of(frame).exchange_time for frame in frames)
    assert shanghai is not None
    assert utc is not None
    assert utc - shanghai == 8 * 3_600_000_000
    assert json.loads(frames[0])["utc_offset"] == 28_800


@pytest.mark.parametrize("name", NAMES)
def test_what_pandas_makes_of_figures_is_the_same_frame(name: str) -> None:
    row = dict(ROWS[name][0])
    last = next(key for key in row if key == "最新价")
    of_numpy = row | {last: numpy.float64(row[last]), "成交量": numpy.int64(row["成交量"]), "涨跌额": float("nan")}
    (plain,) = venue(name).frames_of([row | {"涨跌额": None}], [STREAM], 0)
    (told,) = venue(name).frames_of([of_numpy], [STREAM], 0)
    assert json.loads(told) == json.loads(plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_share_without_a_price_is_stale(name: str) -> None:
    suspended = ROWS[name][0] | {"最新价": "-" if name == "efinance" else float("nan")}
    (frame,) = venue(name).frames_of([suspended], [STREAM], 0)
    told = venue(name).parser(None, {}, SKEW).parse(frame, LATER)
    assert [(one.instrument, one.state) for one in told.told if isinstance(one, Told)] == [("szse:000001", FeedState.STALE)]
    assert not told.records


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [OSError("the source is away"), StopIteration(), SystemExit(3), KeyError("diff")])
def test_whatever_a_library_raises_is_that_there_was_no_answer(name: str, error: BaseException) -> None:
    def tell() -> Any:
        raise error

    with pytest.raises(Unanswered, match=f"{name}: {type(error).__name__}"):
        asked(name, tell, STREAM)


@pytest.mark.parametrize("answer", [None, "nothing", {"code": 1}])
def test_an_answer_that_is_no_table_is_none(answer: object) -> None:
    with pytest.raises(Unanswered, match="no table of quotes"):
        asked("akshare", lambda: answer, STREAM)


def test_a_call_that_does_not_end_is_waited_for_and_not_repeated() -> None:
    calls, go_on = list[int](), threading.Event()

    def tell() -> Any:
        calls.append(1)
        go_on.wait(30)
        return ROWS["akshare"]

    async def ask() -> int:
        source = LibrarySource(venue("akshare"), stand_in("akshare", tell), 30.0, patience=0.01)
        for _ in range(2):
            with pytest.raises(Unanswered, match="is waited for"):
                await source.ask([STREAM])
        go_on.set()
        source._patience = 30.0
        frames = (await source.ask([STREAM])).frames
        await source.close()
        return len(frames)

    assert asyncio.run(ask()) == 1
    assert len(calls) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_library_that_is_not_installed_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    with pytest.raises(SubscriptionError, match=rf"{name} needs: pip install 'tapeline\[{name}\]'"):
        venue(name).source(asking())


@pytest.mark.parametrize("name", NAMES)
def test_an_installed_library_is_called_by_the_feeds_source(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, stand_in(name, lambda: pandas.DataFrame(ROWS[name])))
    source = venue(name).configured({"poll_seconds": 60}).source(asking())
    assert source.seconds == 60
    assert list(source.batches([])) == []

    async def ask() -> int:
        answered = await source.ask([STREAM])
        source.distrust()
        await source.close()
        return len(answered.frames)

    assert asyncio.run(ask()) == 1


@pytest.mark.parametrize("given", [{"base_url": "http://127.0.0.1:1"}, {"proxy": "http://127.0.0.1:1"}])
def test_an_address_or_a_proxy_that_it_cannot_use_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(SubscriptionError, match="its own addresses"):
        venue("akshare").source(asking(**given))


@pytest.mark.parametrize("name", NAMES)
def test_streams_are_quotes_of_named_markets(name: str) -> None:
    venue(name).check([STREAM])
    assert venue(name).traded([STREAM]) == frozenset()
    for instrument, channel in (("000001", "quote"), ("hkex:00700", "quote"), ("szse:000001", "trades")):
        with pytest.raises(SubscriptionError, match=name):
            venue(name).check([Subscription(instrument, channel)])
    with pytest.raises(ValueError, match="poll_seconds"):
        venue(name).configured({"poll_seconds": 0.1})
    assert venue(name).market_of("https://push2.eastmoney.com/") is None


@pytest.mark.parametrize("frame", [b"", b"{}", b"[]", b'{"utc_offset": 99999999}', b'{"utc_offset": 0}', b"\xff"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_frame_is_refused(name: str, frame: bytes) -> None:
    with pytest.raises(DataValidationError):
        venue(name).parser(None, {}, SKEW).parse(frame, LATER)
    assert venue(name).instrument_of(frame) is None
