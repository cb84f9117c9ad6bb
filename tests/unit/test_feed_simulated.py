"""The simulated venue: deterministic, lively, and as faulty as one asks."""

from collections import Counter
from itertools import islice, pairwise, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Parsed, Subscription
from ingest.feeds.simulated import VENUE
from ingest.parsing import CandleFold
from ingest.playback import Playback
from ingest.recorded import Closed, Ended, Frame, Item, Opened
from market.errors import DataValidationError, SubscriptionError
from market.interval import parse_interval
from market.quote import Quote
from market.seen_trades import SeenTrades, Verdict
from market.trade import GapMark, Trade
from schemas.records import Record
from tests.ingest_parts import NOW, played

ONE = [Subscription("sim:S001-USD", "trade")]
SECOND = 1_000_000


def items(seconds: float = 60, subscriptions: list[Subscription] = ONE, **options: Any) -> list[Item]:  # never changed
    generated = VENUE.generate(subscriptions, options)
    first = next(generated)
    lasting = list(takewhile(lambda item: item.at < first.at + seconds * SECOND, generated))
    return [first, *lasting, Ended(lasting[-1].at, "simulated")]


def trades(records: list[Record]) -> list[Trade]:
    return [record for record in records if isinstance(record, Trade)]


def test_same_seed_gives_the_same_frames() -> None:
    faults: dict[str, Any] = {"gaps": 0.05, "duplicates": 0.05, "late": 0.05, "bad": 0.05, "disconnects": 0.1}
    assert items(seed=3, **faults) == items(seed=3, **faults)
    assert items(seed=3, **faults) != items(seed=4, **faults)


def test_other_instruments_do_not_change_one() -> None:
    alone = trades(played(items(), "simulated"))
    among = trades(played(items(instruments=5), "simulated"))
    assert [trade for trade in among if trade.instrument == "sim:S001-USD"] == alone


def test_rate_is_kept() -> None:
    assert len(trades(played(items(100, rate=20), "simulated"))) == pytest.approx(2000, rel=0.1)


def test_many_instruments_are_made_by_number() -> None:
    records = played(items(20, instruments=300, rate=1), "simulated")
    assert len({trade.instrument for trade in trades(records)}) == 300


def test_prices_move_with_the_volatility() -> None:
    def spread(volatility: float) -> float:
        prices = [trade.price for trade in trades(played(items(600, volatility=volatility), "simulated"))]
        return max(prices) / min(prices) - 1

    assert spread(0.2) < spread(2.0) < spread(20.0)
    assert all(trade.price > 0 for trade in trades(played(items(60, volatility=500.0, price=0.05), "simulated")))


def test_quotes_are_never_crossed() -> None:
    records = played(items(subscriptions=[Subscription("sim:S001-USD", "quote")]), "simulated")
    quotes = [record for record in records if isinstance(record, Quote)]
    assert len(quotes) > 100
    assert all(quote.bid and quote.ask and quote.bid < quote.ask for quote in quotes)


def test_heartbeats_come_at_their_interval_and_carry_nothing() -> None:
    playback = Playback(VENUE)
    played(items(10, heartbeat_seconds=0.5), playback=playback)
    assert playback.session.counts.ignored == {"heartbeat": 20}


def test_without_faults_nothing_is_missing() -> None:
    records = played(items(), "simulated")
    assert [int(trade.trade_id) for trade in trades(records)] == list(range(1, len(trades(records)) + 1))
    assert [record for record in records if isinstance(record, GapMark)] == [
        GapMark("sim:S001-USD", None, trades(records)[0].event_time)
    ]


def test_gaps_leave_ids_out_and_are_marked() -> None:
    records = played(items(gaps=0.1), "simulated")
    ids = [int(trade.trade_id) for trade in trades(records)]
    holes = sum(after > before + 1 for before, after in pairwise(ids))
    marks = [record for record in records if isinstance(record, GapMark) and record.begin is not None]
    assert holes > 5
    assert len(marks) == holes


def test_duplicates_are_the_same_trade_again() -> None:
    seen = SeenTrades()
    verdicts = Counter(seen.add(trade.trade_id) for trade in trades(played(items(duplicates=0.2), "simulated")))
    assert verdicts[Verdict.DUPLICATE] > 20
    assert verdicts[Verdict.TOO_OLD] == 0


def test_late_trades_correct_candles_and_heal_their_gaps() -> None:
    generated = items(180, late=0.1, late_seconds=3.0)
    records = played(generated, "simulated")
    late = [trade for trade in trades(records) if trade.received_at - trade.event_time > 2 * SECOND]
    healed = [record for record in records if isinstance(record, GapMark) and record.healed]
    assert late
    assert healed
    candles = CandleFold([parse_interval("1m")])
    for record in records:
        candles.take(record)
    assert sum(candle.trade_count for candle in candles.candles()) == len(trades(records))


def test_bad_frames_are_refused_and_cost_no_trade() -> None:
    playback = Playback(VENUE)
    records = played(items(300, bad=0.2), playback=playback)
    reasons = set(playback.session.counts.rejected)
    assert {"malformed_json", "not_positive", "missing_field", "wrong_type", "bad_instrument", "future_time"} <= reasons
    ids = [int(trade.trade_id) for trade in trades(records)]
    assert ids == list(range(1, len(ids) + 1))


def test_line_is_lost_and_comes_back() -> None:
    generated = items(120, disconnects=0.1)
    closed = [item.at for item in generated if isinstance(item, Closed)]
    opened = [item.at for item in generated if isinstance(item, Opened)][1:]
    assert len(closed) > 2
    for down, up in zip(closed, opened, strict=False):
        assert SECOND <= up - down <= 5 * SECOND
        assert not [item for item in generated if isinstance(item, Frame) and down <= item.at < up]
    gaps = [record for record in played(generated, "simulated") if isinstance(record, GapMark) and record.begin is not None]
    assert len(gaps) >= len(closed) - 1


@given(st.integers(0, 2**32), st.sampled_from(["gaps", "duplicates", "late", "bad", "disconnects"]))
def test_any_seed_and_fault_is_parsed_or_refused(seed: int, fault: str) -> None:
    parser = VENUE.parser(None, {}, 5 * SECOND)
    for item in islice(VENUE.generate(ONE, {"seed": seed, fault: 0.5}), 200):
        if isinstance(item, Frame):
            try:
                assert isinstance(parser.parse(item.data, item.at), Parsed)
            except DataValidationError as error:
                assert error.reason
            assert parser.channel_of(item.data) in ("trade", "quote", "unknown")


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_or_parsed(frame: bytes) -> None:
    parser = VENUE.parser(None, {}, 5 * SECOND)
    with pytest.raises(DataValidationError):
        parser.parse(frame, NOW)
    assert parser.channel_of(frame) == "unknown"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sed": 1}, "sed"),
        ({"rate": 0}, "rate"),
        ({"gaps": 1.5}, "gaps"),
        ({"seed": "many"}, "seed"),
        ({"instruments": -1}, "instruments"),
    ],
)
def test_wrong_option_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VENUE.generate(ONE, options)


def test_options_may_be_text_as_the_environment_gives_them() -> None:
    assert items(10, seed="3", rate="2.5") == items(10, seed=3, rate=2.5)


@pytest.mark.parametrize(
    ("subscription", "message"),
    [
        (Subscription("binance:BTC-USDT", "trade"), "no instrument of sim"),
        (Subscription("sim:s1", "trade"), "not an instrument id"),
        (Subscription("sim:S1", "bookTicker"), "there are trade, quote"),
    ],
)
def test_what_is_not_simulated_cannot_be_subscribed(subscription: Subscription, message: str) -> None:
    with pytest.raises(SubscriptionError, match=message):
        VENUE.generate([subscription], {})
