"""Two lines of one venue merged: nothing is told twice, nothing goes back, and nothing is lost that either line told."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Subscription
from ingest.session import Session
from market.arbitration import Arbiter, Statement
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Quote
from market.trade import GapMark, Trade
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW, parser, trade_frame

STREAM = Subscription(INSTRUMENT, "trade")
# For each number on the tape: whether line A and line B carry it; and which line goes on next.
CARRIED = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
TURNS = st.lists(st.booleans(), max_size=100)


def quote(number: int, *, sequence: int | None = None, exchange_time: int | None = None) -> Quote:
    figures = (number + 1, 1, number + 2, 1, *(None,) * 9)
    return Quote(INSTRUMENT, "bookTicker", sequence, *figures, exchange_time, NOW + number)


def interleaved(carried: list[tuple[bool, bool]], turns: list[bool]) -> list[tuple[str, int]]:
    """Numbers of the tape as they arrive by lines that each keep their order."""
    lines = {name: [n for n, has in enumerate(carried) if has[place]] for place, name in enumerate("ab")}
    arrived = []
    for turn in turns:
        name = "a" if turn else "b"
        if lines[name]:
            arrived.append((name, lines[name].pop(0)))
    return arrived + [(name, number) for name in "ab" for number in lines[name]]


@given(CARRIED, TURNS)
def test_every_trade_that_either_line_tells_is_told_once(carried: list[tuple[bool, bool]], turns: list[bool]) -> None:
    session, told = Session("binance", ("reply",), once=True), []
    for name in "ab":
        session.add_line(name, parser())
        session.restored(name, NOW)
    arrived = interleaved(carried, turns)
    for name, number in arrived:
        told += session.received(name, trade_frame(number + 1_000), NOW)
    trades = [record for record in told if isinstance(record, Trade)]
    first = next((number for _, number in arrived), 0)
    wanted = {number for _, number in arrived}
    found = [int(trade.trade_id) - 1_000 for trade in trades]
    assert len(found) == len(set(found))
    assert {number for number in wanted if number >= first} <= set(found) <= wanted
    open_ = {(gap.begin, gap.end) for gap in told if isinstance(gap, GapMark) and gap.begin is not None and not gap.healed}
    healed = {(gap.begin, gap.end) for gap in told if isinstance(gap, GapMark) and gap.healed}
    between = set(range(first, max(wanted, default=0)))
    if between <= wanted:
        assert open_ <= healed, "a hole of one line that the other fills is healed"


@given(CARRIED, TURNS, st.booleans())
def test_numbered_or_stamped_quotes_never_go_back_nor_come_twice(
    carried: list[tuple[bool, bool]], turns: list[bool], is_numbered: bool
) -> None:
    arbiter, told = Arbiter(), []
    for name, number in interleaved(carried, turns):
        stated = quote(number, sequence=number) if is_numbered else quote(number, exchange_time=NOW + number)
        if arbiter.is_news(name, stated):
            told.append(number)
    assert told == sorted(set(told))
    latest = max((number for number, has in enumerate(carried) if any(has)), default=None)
    assert told[-1:] == ([] if latest is None else [latest])


def test_quotes_of_one_instant_that_differ_are_all_told() -> None:
    arbiter = Arbiter()
    assert arbiter.is_news("a", quote(1, exchange_time=NOW))
    assert arbiter.is_news("a", quote(2, exchange_time=NOW))
    assert not arbiter.is_news("b", quote(1, exchange_time=NOW))
    assert not arbiter.is_news("b", quote(2, exchange_time=NOW))


def test_what_has_no_order_is_told_by_one_line_until_it_is_lost() -> None:
    arbiter = Arbiter()
    assert arbiter.is_news("a", quote(1))
    assert not arbiter.is_news("b", quote(2))
    arbiter.lost("a")
    assert arbiter.is_news("b", quote(2))
    assert not arbiter.is_news("a", quote(3))


def test_statements_of_one_message_are_told_apart_by_what_they_state() -> None:
    arbiter = Arbiter()
    funding = Funding(INSTRUMENT, "tickers", 1, None, None, None, None, NOW, NOW)
    stated: list[Statement] = [
        quote(1, exchange_time=NOW)._replace(channel="tickers"),
        funding,
        OpenInterest(INSTRUMENT, "tickers", 1, None, NOW, NOW),
    ]
    assert [arbiter.is_news("a", one) for one in stated] == [True] * 3
    assert [arbiter.is_news("b", one) for one in stated] == [False] * 3
    assert arbiter.is_news("b", funding._replace(exchange_time=NOW + 1))
    assert not arbiter.is_news("a", funding)


def test_a_stream_is_down_only_when_both_lines_are() -> None:
    session = Session("binance", ("reply",), once=True)
    for name in "ab":
        session.add_line(name, parser())
        session.connecting(name, [STREAM], NOW, "")
        session.restored(name, NOW)
        session.received(name, trade_frame(1), NOW)
    assert session.lost("a", NOW, "cut") == []
    (down,) = session.lost("b", NOW, "cut as well")
    assert (down.state.value, down.reason) == ("DOWN", "cut as well")  # type: ignore[union-attr]  # it is a status
