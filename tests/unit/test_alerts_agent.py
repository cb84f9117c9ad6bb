"""The agent of alerts over plain dictionaries: each limit and each end of a day told once, whatever happens between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from market.interval import DAY
from market.limits import Limit, LimitKind
from market.portfolio_alert import Alert
from market.valuation_record import Valuation
from processors.agents import alerts
from processors.computation import Effects
from processors.transport.packing import messages_of
from runtime.settings import ProcessorSettings
from schemas.topics import ALERTS, DAY_ENDS, VALUATIONS
from tapeline.topic_docs.examples import example
from tests.builders import START
from tests.folding import Runner, told
from tests.valuing import AMOUNT

LIMITS = (Limit(LimitKind.GROSS_EXPOSURE, 6 * AMOUNT, 3 * AMOUNT), Limit(LimitKind.DAY_DRAWDOWN, 5 * AMOUNT, 0))


def valuation(number: int, gross: int = 0, profit: int | None = 0, day: int = 1, portfolio: str = "ours") -> Valuation:
    record = example(Valuation)
    assert isinstance(record, Valuation)
    return record._replace(
        portfolio_id=portfolio,
        gross_exposure=gross * AMOUNT,
        realised_pnl=0,
        income=0,
        unrealised_pnl=None if profit is None else profit * AMOUNT,
        equity=None if profit is None else profit * AMOUNT,
        left_out=() if profit is not None else ("dark",),
        limits=LIMITS,
        sequence=START + number,
        day_end_at=START + day * DAY,
    )


def runner() -> Runner:
    return Runner(alerts.build(ProcessorSettings()))


def outputs(*effects: Effects) -> list[tuple[str, bytes | None, bytes | None]]:
    return [(message.topic, message.key, message.value) for one in effects for message in messages_of(one.outputs)]


def test_breach_says_limit_value_threshold_and_the_prices_time() -> None:
    found = valuation(1, gross=7)
    (alert,) = told(runner().batch([found], VALUATIONS.name))
    assert alert == Alert(
        *("ours", LimitKind.GROSS_EXPOSURE, True, 7 * AMOUNT, 6 * AMOUNT, 3 * AMOUNT, "USDT", found.position_version),
        *(found.oldest_price_at, found.as_of, found.valued_at, VALUATIONS.name, 3, 0),
    )


def test_last_valuation_of_a_day_is_told_when_the_first_of_a_later_one_comes() -> None:
    fold = runner()
    first = [valuation(1, profit=9), valuation(2, profit=1), valuation(2, profit=8)]
    assert [type(one) for one in told(fold.batch(first, VALUATIONS.name))] == [Alert]
    fold.open()
    effects = fold.batch([valuation(3, profit=-1, day=2), valuation(4, profit=-9, day=2)], VALUATIONS.name)
    assert [message.topic for message in messages_of(effects.outputs)] == [DAY_ENDS.name, *[ALERTS.name] * 2]
    end, cleared, breached = told(effects)
    assert end == first[1]
    assert next(messages_of(effects.outputs)).key == f"ours|{START + DAY}".encode()
    assert (cleared.is_breached, cleared.value, breached.value) == (False, 0, 8 * AMOUNT)


def test_valuation_older_than_the_last_changes_nothing() -> None:
    fold = runner()
    fold.batch([valuation(5, gross=7)], VALUATIONS.name)
    assert told(fold.batch([valuation(4, gross=0), valuation(5, gross=0, day=2)], VALUATIONS.name)) == []
    assert [one.is_breached for one in told(fold.batch([valuation(6, gross=0)], VALUATIONS.name))] == [False]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(-9, 9), st.integers(0, 1), st.booleans()), max_size=15),
    st.lists(st.integers(0, 15), max_size=3),
)
def test_what_is_told_is_the_same_however_often_it_is_read(
    found: list[tuple[int, int | None, int, bool]], crashes: list[int]
) -> None:
    day, records = 1, []
    for number, (gross, profit, days, is_ours) in enumerate(found):
        day += days
        records.append(valuation(number, gross, profit, day, "ours" if is_ours else "theirs"))
    whole, crashing = runner(), runner()
    expected = outputs(whole.batch(records, VALUATIONS.name))
    effects, done = [], 0
    for end in sorted({*crashes, len(records)}):
        effects.append(crashing.batch(records[done:end], VALUATIONS.name))
        done = min(end, len(records))
        crashing.open()
    assert sorted(outputs(*effects), key=str) == sorted(expected, key=str)
    assert crashing.tables == whole.tables


def test_profit_beyond_what_a_drawdown_can_be_of_is_not_known() -> None:
    fold = runner()
    most = (10**50 - 1) // AMOUNT
    fold.batch([valuation(1, profit=1), valuation(2, profit=most)], VALUATIONS.name)
    assert told(fold.batch([valuation(3, profit=-most)], VALUATIONS.name)) == []
    (breached,) = told(fold.batch([valuation(4, profit=-9)], VALUATIONS.name))
    assert breached.value == 10 * AMOUNT
