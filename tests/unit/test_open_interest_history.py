"""Open interest of the past, asked for page by page: every point of a range once and in order, as the venue told it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest import feeds
from ingest.backfill import BackfillFailed, TellingVenue, check_history
from ingest.feed import Subscription
from ingest.rest import Refused
from ingest.rest_venue import ArchivingVenue, Request
from market.decimals import AMOUNT_SCALE, ONE
from market.errors import SubscriptionError
from market.interval import parse_interval
from market.open_interest import OpenInterest
from tests.backfilling import SKEW, backfilled
from tests.ingest_parts import ALL_DATA, NOW, FakeClock

HELD, WORTH = 111_856_664_000_000_000, 7_051_831_069 * 10**AMOUNT_SCALE
NO_DATA = "the recorded answers are not at hand (TAPELINE_DATA)"

Answer = Callable[[list[int], dict[str, str]], Any]


def binance(points: list[int], query: dict[str, str]) -> Any:
    """As documented ("Open Interest Statistics"): oldest first, both ends are part of it."""
    found = [at for at in points if int(query["startTime"]) <= at <= int(query["endTime"])][: int(query["limit"])]
    row = {"symbol": "BTCUSDT", "sumOpenInterest": "111856.664", "sumOpenInterestValue": "7051831069"}
    return [row | {"timestamp": at} for at in found]


def bybit(points: list[int], query: dict[str, str]) -> Any:
    """As documented ("Get Open Interest"): newest first, both ends are part of it."""
    found = [at for at in reversed(points) if int(query["startTime"]) <= at <= int(query["endTime"])][: int(query["limit"])]
    rows = [{"openInterest": "111856.66400000", "timestamp": str(at)} for at in found]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows, "nextPageCursor": ""}, "time": 1}


def okx(points: list[int], query: dict[str, str]) -> Any:
    """As documented ("Get contract open interest history"): newest first, neither end is part of it."""
    found = [at for at in reversed(points) if int(query["begin"]) < at < int(query["end"])][: int(query["limit"])]
    return {"code": "0", "msg": "", "data": [[str(at), "111856.664", "1118.56664", "7051831069"] for at in found]}


class Rest:
    """A venue with a point a period, of which it tells those up to now."""

    def __init__(self, answer: Answer, period: int, clock: FakeClock) -> None:
        self.asked: list[dict[str, str]] = []
        self._answer = answer
        self._period = period
        self._clock = clock

    async def get(self, request: Request) -> bytes:
        query = dict(parse_qsl(urlsplit(request.url).query))
        self.asked.append(query)
        last = self._clock.now() - self._clock.now() % self._period
        points = [(last - back * self._period) // 1000 for back in range(1_200, -1, -1)]
        return json.dumps(self._answer(points, query)).encode()


VENUES = [
    ("binance", "openInterestHist_5m", "5m", "period", 500, binance, WORTH),
    ("binance", "openInterestHist_1d", "1d", "period", 500, binance, WORTH),
    ("bybit", "open-interest.15min", "15m", "intervalTime", 200, bybit, None),
    ("okx", "open-interest-history.5m", "5m", "period", 100, okx, WORTH),
    ("okx", "open-interest-history.1Dutc", "1d", "period", 100, okx, WORTH),
]


def run(venue: str, channel: str, rest: Any, begin: int, end: int, marks: Path, clock: FakeClock) -> list[OpenInterest]:
    """What a backfill of a perpetual publishes."""
    return backfilled(Subscription(f"{venue}:BTC-USDT-PERP", channel), OpenInterest, rest, begin, end, marks, clock)


@pytest.mark.parametrize(("venue", "channel", "period", "word", "most", "answer", "worth"), VENUES)
def test_every_point_of_a_range_comes_once_and_in_order_and_the_command_goes_on(
    venue: str, channel: str, period: str, word: str, most: int, answer: Answer, worth: int | None, tmp_path: Path
) -> None:
    clock, micros = FakeClock(NOW), parse_interval(period).micros
    rest = Rest(answer, micros, clock)
    begin = NOW - (2 * most + 7) * micros
    first = run(venue, channel, rest, begin, NOW, tmp_path / "marks.json", clock)
    grid = range(begin + -begin % micros, NOW, micros)
    assert [one.exchange_time for one in first] == list(grid)
    assert {(one.instrument, one.channel, one.open_interest, one.notional) for one in first} == {
        (f"{venue}:BTC-USDT-PERP", channel, HELD, worth)
    }
    assert len(rest.asked) == 3
    assert {query[word] for query in rest.asked} == {channel.rpartition("_" if venue == "binance" else ".")[2]}
    assert run(venue, channel, rest, begin, NOW, tmp_path / "marks.json", clock) == [], "it is done"
    clock.time += 3 * micros
    later = run(venue, channel, rest, begin, clock.time, tmp_path / "marks.json", clock)
    times = [one.exchange_time or 0 for one in (*first, *later)]
    assert sorted(set(times)) == list(range(begin + -begin % micros, clock.time, micros))


@pytest.mark.parametrize(("venue", "channel"), [(each[0], each[1]) for each in VENUES])
def test_what_is_told_of_the_past_alone_cannot_be_listened_to(venue: str, channel: str) -> None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, ArchivingVenue)
    assert channel in speaker.archives
    with pytest.raises(SubscriptionError, match="is no channel of"):
        speaker.check([Subscription(f"{venue}:BTC-USDT-PERP", channel)])


@pytest.mark.parametrize(
    ("venue", "instrument", "channel", "message"),
    [
        ("binance", "binance:BTC-USDT", "openInterestHist_5m", "the history of openInterestHist_5m"),
        ("binance", "binance:BTCUSDT", "openInterestHist_5m", "is no instrument of binance"),
        ("binance", "binance:BTC-USDT-PERP", "openInterestHist_7m", "is no channel of binance"),
        ("bybit", "bybit:BTC-USDT", "open-interest.5min", "the history of open-interest.5min"),
        ("okx", "okx:BTC-USDT", "open-interest-history.5m", "the history of open-interest-history.5m"),
    ],
)
def test_what_has_no_history_is_refused_by_name(venue: str, instrument: str, channel: str, message: str) -> None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, TellingVenue)
    with pytest.raises(SubscriptionError, match=message):
        check_history(speaker, [(Subscription(instrument, channel), NOW - 10**9, NOW)])


class Refusing:
    """A venue that keeps a month."""

    asked = 0

    async def get(self, request: Request) -> bytes:
        self.asked += 1
        raise Refused(f"{request.url}: HTTP status 400: parameter 'startTime' is invalid.")


def test_page_that_the_venue_refuses_ends_the_command_at_once(tmp_path: Path) -> None:
    rest = Refusing()
    with pytest.raises(BackfillFailed, match="'startTime' is invalid"):
        run("binance", "openInterestHist_5m", rest, NOW - 10**13, NOW, tmp_path / "marks.json", FakeClock(NOW))
    assert rest.asked == 1


RECORDED = [
    (
        "binance",
        "https://fapi.binance.com/futures/data/openInterestHist?symbol=BTCUSDT&period=1h",
        ALL_DATA / "binance-rest" / "futures_data_openInterestHist_1h_BTCUSDT.json",
        "openInterestHist_1h",
        [(111_856_664_000_000_000, "7051831069.12087200"), (111_688_140_000_000_000, "7039340891.31501400")],
    ),
    (
        "bybit",
        "https://api.bybit.com/v5/market/open-interest?category=linear&symbol=BTCUSDT&intervalTime=1h",
        ALL_DATA / "bybit-rest" / "v5_market_open_interest_1h_BTCUSDT.json",
        "open-interest.1h",
        [(65_041_568_000_000_000, None), (64_992_054_000_000_000, None)],
    ),
]


@pytest.mark.parametrize(("venue", "url", "path", "channel", "points"), RECORDED, ids=["binance", "bybit"])
def test_recorded_answer_is_told_oldest_first(
    venue: str, url: str, path: Path, channel: str, points: list[tuple[int, str | None]]
) -> None:
    if not path.exists():
        pytest.skip(NO_DATA)
    speaker = feeds.load(venue)
    assert isinstance(speaker, TellingVenue)
    parsed = speaker.answered(url, path.read_bytes(), 1_786_820_700_000_000, {}, SKEW)
    assert parsed is not None
    assert parsed.name == channel
    told = [record for record in parsed.records if isinstance(record, OpenInterest)]
    assert [one.exchange_time for one in told] == [1_786_816_800_000_000, 1_786_820_400_000_000]
    worth = [None if text is None else round(float(text) * ONE) for _, text in points]
    assert [one.open_interest for one in told] == [held for held, _ in points]
    assert [one.notional and round(one.notional / 10 ** (AMOUNT_SCALE - 12)) for one in told] == pytest.approx(worth)
