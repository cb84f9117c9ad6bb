"""Trades that venues tell by REST: history, what was missed, the latest of a silent stream; each once, as streams tell them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import feeds
from ingest.backfill import Backfill, BackfillFailed, TellingVenue, VenueHistory
from ingest.bookmarks import Bookmarks
from ingest.feed import ListeningVenue
from ingest.fetching import Fetcher
from ingest.healing import Healing
from ingest.refilling import Refilling
from ingest.rest_venue import AskedVenue, HealingVenue, HistoricalVenue, PollableVenue, RetellingVenue
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.feed_status import FeedState
from market.trade import GapMark, Trade
from schemas.records import Record
from tests.ingest_parts import NOW, Bench, FakeClock
from tests.rest_venues import CHANNELS, Happened, TapeServer, frame, greeting, stream, venue_of

SKEW = 5_000_000
BEGIN = NOW // 1000  # milliseconds
MINUTE = 60_000
NUMBERED = ("coinbase", "deribit", "okx")
WITHOUT_HOLES = (*NUMBERED, "kraken_futures")
NEWEST_FIRST = ("bitget", "bitget_futures", "gateio", "gateio_futures", "kraken_futures")
TIMED = ("bitfinex", "bitstamp", "bybit", "coinbase_advanced", "kraken", *NEWEST_FIRST)
POLLED = (*NUMBERED, "bitfinex", "bybit", "coinbase_advanced", "gateio")
WITH_HISTORY = ("bitfinex", "deribit", "kraken", "okx", *NEWEST_FIRST)


def tape(number: int, every: int = 250, *, step: int = 1) -> list[Happened]:
    """Trades at regular times; `step` 3 is a venue whose ids are shared by all its instruments."""
    return [
        Happened(1_000 + step * each, BEGIN + every * (each // 2), f"{100 + each % 7}.5", "0.25", ("buy", "sell")[each % 2])
        for each in range(number)
    ]


def numbers(trades: list[Trade], happened: list[Happened]) -> list[int]:
    """The tape's numbers of trades: out of their ids, or by time and side where these are of the trades' own figures."""
    places = {(one.time * 1000, one.side): one.id for one in happened}

    def number(trade: Trade) -> int:
        prefix, _, digits = trade.trade_id.rpartition("-")
        if digits.isdecimal():
            return int(digits) // (7 if prefix == "ETH" else 1)
        return places[trade.event_time, str(trade.side)]

    return sorted(map(number, trades))


def content(record: Record) -> Record:
    """A trade but for when it was received and published, how it came and its place in the connection."""
    assert isinstance(record, Trade)
    return record._replace(received_at=0, published_at=None, origin=None, sequence=0)


# history


def history(venue: str, server: TapeServer, begin: int, end: int) -> list[Trade]:
    """Trades between two times (milliseconds) as a backfill publishes them."""
    speaker, bench = feeds.load(venue_of(venue)), Bench()
    assert isinstance(speaker, TellingVenue)
    with TemporaryDirectory() as folder:
        marks = Bookmarks(Path(folder) / "marks.json")
        clock = FakeClock(NOW + 10**12)
        told: Callable[..., None] = lambda *_: None  # noqa: E731
        past = VenueHistory(speaker, server, clock, SKEW)  # type: ignore[arg-type]  # it does what is used
        work = Backfill(past, clock, bench.publisher, marks, told=told)
        asyncio.run(work.run([(stream(venue), begin * 1000, end * 1000)]))
        assert marks.place((stream(venue), begin * 1000, end * 1000)) is None
    return [record for record in bench.sent() if isinstance(record, Trade)]


@pytest.mark.parametrize("venue", WITH_HISTORY)
@given(
    begin=st.integers(0, 400_000), length=st.integers(1, 700_000), step=st.sampled_from([1, 3]), every=st.sampled_from([1, 500])
)
@settings(max_examples=25)
def test_every_trade_of_a_range_comes_once(venue: str, begin: int, length: int, step: int, every: int) -> None:
    happened = tape(2_600, every, step=1 if venue in WITHOUT_HOLES else step)
    first = Happened(1_000 - step, BEGIN - MINUTE, "1", "1", "buy")  # OKX looks the first one up by the one before it
    server = TapeServer(venue, [first, *happened])
    trades = history(venue, server, BEGIN + begin, BEGIN + begin + length)
    wanted = [one for one in happened if BEGIN + begin <= one.time < BEGIN + begin + length]
    assert numbers(trades, happened) == [one.id for one in wanted]
    assert {trade.origin for trade in trades} <= {"backfill"}
    assert len(server.asked) < 40, "pages are full"


@pytest.mark.parametrize("venue", ["bybit", "kraken_futures", "okx"])
def test_history_that_the_venue_does_not_keep_is_refused_and_not_done(venue: str) -> None:
    server = TapeServer(venue, tape(2_000))
    with pytest.raises(BackfillFailed, match=r"trades before this time any more|do not reach back so far"):
        history(venue, server, BEGIN - MINUTE, BEGIN + MINUTE)


def test_latest_trades_of_bybit_are_its_history_as_far_as_they_reach() -> None:
    happened = tape(200)
    begin = happened[-40].time
    trades = history("bybit", TapeServer("bybit", happened), begin, happened[-1].time + 1)
    assert [trade.trade_id for trade in trades] == [str(one.id) for one in happened if one.time >= begin]


# the same records as the stream's


@pytest.mark.parametrize("venue", POLLED)
def test_latest_trades_are_what_the_stream_tells(venue: str) -> None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, PollableVenue)
    happened = tape(40)
    request = speaker.poll_request(stream(venue))
    assert request is not None
    assert 0 < request.weight <= speaker.quota(request.market).weight
    assert speaker.market_of(request.url) == request.market
    answer = asyncio.run(TapeServer(venue, happened).get(request))
    parsed = speaker.answered(request.url, answer, NOW * 2, {}, SKEW)
    assert parsed is not None
    assert parsed.name == CHANNELS[venue]
    market = {"bybit": "spot"}.get(venue)
    reader = speaker.parser(market, {}, SKEW)
    streamed: list[Record] = []
    for data in (*greeting(venue), *(frame(venue, one) for one in happened)):
        streamed += reader.parse(data, NOW * 2).records
    assert list(map(content, parsed.records)) == list(map(content, streamed))
    assert [record.sequence for record in parsed.records] == [record.sequence for record in streamed]  # type: ignore[union-attr]  # trades


def test_trades_of_kraken_are_not_polled() -> None:
    kraken = feeds.load("kraken")
    assert isinstance(kraken, PollableVenue)
    assert kraken.poll_request(stream("kraken")) is None


@pytest.mark.parametrize("venue", WITH_HISTORY)
def test_trades_of_the_past_are_what_the_stream_told(venue: str) -> None:
    speaker = feeds.load(venue_of(venue))
    assert isinstance(speaker, TellingVenue)
    twins = [Happened(1_000 + each, BEGIN + each // 4, "100.5", "0.25", "buy") for each in range(9)]  # alike in all but the id
    before = Happened(999, BEGIN - MINUTE, "1", "1", "buy")
    trades = history(venue, TapeServer(venue, [before, *twins]), BEGIN, BEGIN + MINUTE)
    reader = speaker.parser({"bybit": "spot"}.get(venue), {}, SKEW)
    streamed: list[Record] = []
    for data in (*greeting(venue), *(frame(venue, one) for one in twins)):
        streamed += reader.parse(data, NOW * 2).records
    assert sorted(map(content, trades)) == sorted(map(content, streamed))
    assert len({trade.trade_id for trade in trades}) == len(twins)


# what was missed


class Watched:
    """A session whose stream misses some of what happens, and what heals it."""

    def __init__(self, venue: str, happened: list[Happened]) -> None:
        speaker = feeds.load(venue_of(venue))
        assert isinstance(speaker, AskedVenue)
        assert isinstance(speaker, ListeningVenue)
        traded = stream(venue)
        self.venue, self.happened = venue, happened
        self.clock = FakeClock(happened[-1].time * 1000 + 5_000_000)
        self.server = TapeServer(venue, happened)
        self.session = Session(venue, speaker.heartbeats, once=True)
        self.session.add_line("line", speaker.parser({"bybit": "spot"}.get(venue), {}, SKEW))
        self.records: list[Record] = []
        fetcher = Fetcher(
            speaker,
            self.server,  # type: ignore[arg-type]  # it does what is used
            self.session,
            self.clock,
            listings={speaker.route(traded, None).market: {speaker.symbol_of(traded.instrument): traded.instrument}},
            max_clock_skew=SKEW,
            recorder=None,
        )
        self._helpers: list[Healing | Refilling] = []
        if isinstance(speaker, HealingVenue):
            self._helpers.append(Healing(self.session, self.clock, speaker, fetcher, put=self.records.extend))
        if isinstance(speaker, HistoricalVenue | RetellingVenue):
            self._helpers.append(Refilling(self.session, self.clock, speaker, fetcher, put=self.records.extend))

    def connect(self) -> None:
        self.records += self.session.restored("line", self.clock.time)
        for told in greeting(self.venue):
            self.records += self.session.received("line", told, self.clock.time)

    def lose(self) -> None:
        self.records += self.session.lost("line", self.clock.time, "cut")

    def tell(self, first: int, last: int) -> None:
        for one in self.happened[first:last]:
            self.records += self.session.received("line", frame(self.venue, one), self.clock.time)

    def miss(self, first: int, last: int, until: int) -> None:
        """Lose the line before a trade, and have it back with a later one."""
        self.connect()
        self.tell(0, first)
        self.lose()
        self.connect()
        self.tell(last, until)

    def heal(self, rounds: int = 400) -> None:
        async def run() -> None:
            tasks = [asyncio.create_task(helper.run()) for helper in self._helpers]
            for _ in range(rounds):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

        asyncio.run(run())

    def trades(self) -> list[Trade]:
        return [record for record in self.records if isinstance(record, Trade)]

    def gaps(self) -> list[GapMark]:
        return [record for record in self.records if isinstance(record, GapMark) and record.begin is not None]


@pytest.mark.parametrize("venue", [*NUMBERED, *TIMED])
@pytest.mark.parametrize(("missed", "step"), [(1, 1), (2, 1), (25, 1), (25, 3)])
def test_what_was_missed_comes_once_and_its_gap_is_told_healed_behind_it(venue: str, missed: int, step: int) -> None:
    happened = tape(60, step=1 if venue in WITHOUT_HOLES else step)
    watched = Watched(venue, happened)
    watched.miss(21, 21 + missed, 55)  # the first that is missed is of the instant of the last one before it
    watched.heal()
    assert numbers(watched.trades(), happened) == [one.id for one in happened[:55]]
    assert [trade.origin for trade in watched.trades()].count("backfill") == missed
    gaps = watched.gaps()
    assert gaps
    assert {gap for gap in gaps if gap.healed} == {gap._replace(healed=True) for gap in gaps}
    healed = next(place for place, record in enumerate(watched.records) if isinstance(record, GapMark) and record.healed)
    late = [place for place, record in enumerate(watched.records) if isinstance(record, Trade) and record.origin == "backfill"]
    assert max(late) == healed + (1 if venue in NUMBERED else -1), "numbers show with the last trade that nothing is missing"


@pytest.mark.parametrize("venue", NEWEST_FIRST)
@pytest.mark.parametrize("every", [1, 500])
def test_gap_of_more_than_an_answer_holds_is_healed_once_all_of_it_is_told(venue: str, every: int) -> None:
    happened = tape(2_600, every, step=1 if venue in WITHOUT_HOLES else 3)
    watched = Watched(venue, happened)
    watched.miss(21, 2_501, 2_600)
    watched.heal()
    assert numbers(watched.trades(), happened) == [one.id for one in happened]
    assert [gap.healed for gap in watched.gaps()] == [False, True]
    assert len(watched.server.asked) > 2


@pytest.mark.parametrize("venue", ["bitget", "kraken_futures"])
@pytest.mark.parametrize("last", [210, 290])
def test_trades_told_after_connecting_again_are_known_though_they_were_told_by_rest(venue: str, last: int) -> None:
    watched = Watched(venue, tape(400))
    watched.miss(20, last, 300)
    watched.heal()
    watched.lose()
    watched.connect()
    watched.tell(250, 310)  # both tell the latest ones first
    watched.heal()
    assert numbers(watched.trades(), watched.happened) == [one.id for one in watched.happened[:310]]
    assert [gap.healed for gap in watched.gaps()] == [False, True]


@pytest.mark.parametrize("venue", ["bitget", "gateio_futures", "kraken_futures"])
def test_gap_with_more_in_an_instant_than_an_answer_holds_stays_marked(venue: str) -> None:
    crowd = [Happened(2_000 + each, BEGIN + 10, f"{100 + each}.5", "0.25", "buy") for each in range(1_100)]
    happened = [Happened(1_999, BEGIN, "1", "1", "buy"), *crowd, Happened(3_100, BEGIN + 20, "1", "1", "buy")]
    watched = Watched(venue, happened)
    watched.miss(1, 1_101, 1_102)
    watched.heal()
    assert [gap.healed for gap in watched.gaps()] == [False]


def test_hole_of_kraken_futures_on_an_open_line_is_told_again_by_the_ids() -> None:
    happened = tape(60)
    watched = Watched("kraken_futures", happened)
    watched.connect()
    watched.tell(0, 20)
    watched.tell(30, 40)
    watched.tell(50, 60)
    watched.heal()
    assert numbers(watched.trades(), happened) == [one.id for one in happened]
    assert [gap.healed for gap in watched.gaps()] == [False, False, True, True]
    watched.tell(0, 60)
    assert len(watched.trades()) == 60


def test_trades_of_bitstamp_told_again_lie_between_those_of_the_stream() -> None:
    happened = [one._replace(time=one.time + 730) for one in tape(60, step=3)]
    watched = Watched("bitstamp", happened)
    watched.miss(21, 41, 60)
    watched.heal()
    told = [trade for trade in watched.trades() if trade.origin == "backfill"]
    assert numbers(told, happened) == [one.id for one in happened[21:41]]
    assert [trade.trade_id for trade in sorted(watched.trades(), key=lambda trade: (trade.event_time, trade.sequence))] == [
        str(one.id) for one in happened
    ]
    exact = {str(one.id): one.time * 1000 for one in happened}
    assert all(0 <= exact[trade.trade_id] - trade.event_time < 1_000_000 for trade in told)


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [(30, ["minute"]), (50, ["hour"]), (3_000, ["hour"]), (80_000, ["day"]), (86_390, [])],
)
def test_bitstamp_is_asked_for_no_more_than_its_gap_needs(seconds: int, asked: list[str]) -> None:
    watched = Watched("bitstamp", tape(60, step=3))
    watched.miss(20, 40, 50)
    watched.clock.time = (watched.happened[19].time + seconds * 1_000) * 1_000
    watched.heal(20)
    assert [url.rpartition("=")[2] for url in watched.server.asked] == asked
    assert [gap.healed for gap in watched.gaps()] == ([False, True] if asked else [False])


@pytest.mark.parametrize("venue", TIMED)
def test_gap_that_the_venue_tells_under_other_ids_stays_marked(venue: str) -> None:
    happened = tape(60, step=1 if venue in WITHOUT_HOLES else 3)
    watched = Watched(venue, happened)
    watched.server.tape = [one._replace(id=one.id + 1_000_000, price="7") for one in happened]
    watched.miss(20, 40, 50)
    watched.heal()
    assert len(watched.trades()) == 30
    assert [gap.healed for gap in watched.gaps()] == [False]
    assert len(watched.server.asked) == (6 if venue == "bitstamp" else 1), "it is known by the first page, if that has any"


@pytest.mark.parametrize("venue", TIMED)
def test_gap_whose_end_the_venue_does_not_tell_stays_marked(venue: str) -> None:
    happened = tape(60, step=1 if venue in WITHOUT_HOLES else 3)
    watched = Watched(venue, happened)
    watched.server.tape = happened[:30]
    watched.miss(20, 40, 50)
    watched.heal()
    assert [trade.origin for trade in watched.trades()].count("backfill") == 10
    assert [gap.healed for gap in watched.gaps()] == [False]
    assert len(watched.server.asked) == (12 if venue == "kraken" else 6), "Kraken shows by an empty page that there are no more"


def test_answer_that_cannot_be_read_is_a_dead_letter_and_the_gap_stays_marked() -> None:
    watched = Watched("gateio", tape(60, step=3))
    watched.miss(20, 40, 50)
    watched.server._serve = lambda *_: {"label": "INVALID_PARAM_VALUE"}
    watched.heal()
    letters = [record for record in watched.records if isinstance(record, DeadLetter)]
    assert {json.loads(letter.value or b"")["label"] for letter in letters} == {"INVALID_PARAM_VALUE"}
    assert [gap.healed for gap in watched.gaps()] == [False]


def test_gap_is_healed_once_its_stream_is_live_again() -> None:
    watched = Watched("gateio", tape(60, step=3))
    watched.miss(20, 40, 50)
    watched.lose()
    watched.heal()
    assert watched.server.asked == []
    watched.connect()
    watched.tell(50, 60)
    watched.heal()
    assert len(watched.trades()) == 60
    assert [gap.healed for gap in watched.gaps()] == [False, False, True, True], "the second gap was empty"


# the latest of a silent stream


@pytest.mark.parametrize("venue", POLLED)
def test_polling_tells_each_trade_once_and_the_stream_goes_on_behind_it(venue: str) -> None:
    happened = tape(2_000, 10, step=1 if venue in NUMBERED else 3)
    speaker = feeds.load(venue)
    assert isinstance(speaker, PollableVenue)
    watched = Watched(venue, happened)
    watched.session.add_line("rest", speaker.parser({"bybit": "spot"}.get(venue), {}, SKEW), "rest")
    watched.connect()
    watched.tell(0, 1_000)
    request = speaker.poll_request(stream(venue))
    assert request is not None
    for until in (1_010, 1_010, 1_045, 1_100):
        watched.server.tape = happened[:until]
        answer = asyncio.run(watched.server.get(request))
        parsed = speaker.answered(request.url, answer, watched.clock.time, {}, SKEW)
        assert parsed is not None
        watched.records += watched.session.polled("rest", stream(venue), parsed, watched.clock.time)
    watched.tell(1_100, 1_120)
    assert numbers(watched.trades(), happened) == [one.id for one in happened[:1_120]]
    assert [trade.origin for trade in watched.trades()].count("poll") == 100
    assert watched.gaps() == []
    assert watched.session.counts.ignored[f"{CHANNELS[venue]}, told before"] > 0
    assert FeedState.GAP not in {getattr(record, "state", None) for record in watched.records}
