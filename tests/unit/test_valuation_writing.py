"""Totals as messages: compiled code and the plain way write the same bytes, which say what the totals say."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from market.beginnings import Beginning
from market.decimals import ONE
from market.fx import FxQuote
from market.limits import Limit, LimitKind
from market.portfolio import Balance, Portfolio
from market.position import Position, Settlement
from market.price import PricePoint, PriceRecord
from market.valuation_record import Stamp, valuation_of
from processors.outputs import Message
from processors.valuing.rates import RateSources
from processors.valuing.sheets import Sheets, compiled_totals
from processors.valuing.valuer import Valuer
from processors.valuing.writing import Read, Writer
from schemas.codec import encode_body
from schemas.partitioning import partition_of
from tests.builders import START
from tests.folding import CODEC
from tests.price_parts import SOURCE, make_price
from tests.valuing import AMOUNT, make_portfolio, make_position

DAY = 86_400_000_000
PARTITIONS = 4
STAMP, READ = Stamp(3, 10**15, START), Read((5, 0, 2**40), {0: 7, 2: 2**33})
CURRENCIES = ("USD", "USDT", "JPY", "EUR", "GBP")
PAIRS = {"x:USDT-USD": ("USDT", "USD"), "x:USD-JPY": ("USD", "JPY"), "x:GBP-USD": ("GBP", "USD"), "x:USDT-JPY": ("USDT", "JPY")}
STATED = [FxQuote("EUR", "USD", Fraction(107, 99), START, "config")]
INSTRUMENTS = ("x:A-USD", "x:B-USDT", *PAIRS)

any_price = st.integers(1, 10**13) | st.integers(1, 10**19) | st.integers(1, 10**38 - 1)
any_amount = st.integers(-(10**27), 10**27) | st.integers(-(10**49), 10**49)
begun = st.sampled_from((START - 2 * DAY, START - 1, START))


class Told(NamedTuple):
    """Prices of an instrument: now, and as the day began."""

    instrument: str
    price: int
    before: int | None
    age: int


tellings = st.builds(
    Told, st.sampled_from(INSTRUMENTS), any_price, st.none() | any_price, st.sampled_from((0, 1, 59_000_000, 61_000_000))
)


@st.composite
def positions(draw: st.DrawFn, number: int) -> Position:
    quantity = draw(st.integers(-9, 9).map(lambda whole: whole * ONE) | st.integers(-(10**25), 10**25))
    return make_position(
        f"p{number}",
        quantity,
        draw(any_amount) if quantity else 0,
        instrument=draw(st.sampled_from(INSTRUMENTS)),
        currency=draw(st.sampled_from(CURRENCIES)),
        multiplier=draw(st.sampled_from((ONE, 100 * ONE, ONE // 7))),
        settlement=draw(st.sampled_from(Settlement)),
        opened_at=draw(begun),
        realised_pnl=draw(st.sampled_from((0, AMOUNT))),
        before=draw(st.none() | st.builds(Beginning, begun, st.sampled_from((0, ONE, -3)), any_amount)),
    )


balances = st.builds(Balance, *[st.just(0) | any_amount] * 7)
limits = st.builds(Limit, st.sampled_from(LimitKind), st.integers(0, 10**49), st.integers(0, 10**49))


@st.composite
def portfolios(draw: st.DrawFn, portfolio_id: str) -> Portfolio:
    held = [draw(positions(number)) for number in range(draw(st.integers(0, 6)))]
    portfolio = make_portfolio(*held, balances=draw(st.dictionaries(st.sampled_from(CURRENCIES), balances, max_size=3)))
    policy = portfolio.policy._replace(limits=tuple(draw(st.lists(limits, max_size=2))), day_ends=draw(st.integers(0, DAY - 1)))
    policy = policy._replace(day_zone=draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])))
    return portfolio._replace(
        portfolio_id=portfolio_id,
        base_currency=draw(st.sampled_from(CURRENCIES)),
        policy=policy,
        updated_at=START + draw(st.sampled_from((-1, 0, 5))),
    )


def record(told: Told, version: int) -> PriceRecord:
    source = SOURCE._replace(exchange_time=None, received_at=START - told.age)
    point = PricePoint(told.price, None, source)
    return make_price()._replace(
        instrument=told.instrument,
        bid=point,
        ask=PricePoint(told.price + 1, None, source),
        last=point,
        mark_price=None,
        previous_close=None,
        open_24h=told.before,
        source_24h=source,
        received_at=START - told.age,
        quotes_offset=version,
        trades_offset=None,
    )


def valuer_of(found: list[Portfolio], prices: Mapping[str, Told], *, compiled: bool) -> Valuer:
    valuer = Valuer(RateSources(PAIRS, STATED, 60_000_000), lambda _: None, compiled=compiled)
    for version, told in enumerate(prices.values()):
        valuer.put_price(record(told, version))
    for portfolio in found:
        valuer.put_portfolio(portfolio)
    valuer.revalue(START)
    return valuer


def expected(portfolio: Portfolio, valuer: Valuer) -> bytes:
    """By the writer that schemas know."""
    partition = partition_of(portfolio.portfolio_id, PARTITIONS)
    as_of = max(valuer.latest, portfolio.updated_at)
    totals = valuer.totals(portfolio.portfolio_id)
    valuation = valuation_of(portfolio, totals, valuer.rates, READ.board, STAMP)
    return encode_body(
        valuation._replace(
            replies_offset=READ.replies.get(partition), as_of=as_of, day_end_at=portfolio.policy.day_end_after(as_of)
        )
    )


@settings(max_examples=400, deadline=None)
@given(st.tuples(*map(portfolios, ("ours", "theirs", "yours"))), st.lists(tellings, max_size=8), st.lists(tellings, max_size=3))
def test_compiled_and_plain_write_the_same(found: tuple[Portfolio, ...], told: list[Told], later: list[Told]) -> None:
    prices = {one.instrument: one for one in told}
    valuers = [valuer_of(list(found), prices, compiled=compiled) for compiled in (True, False)]
    writers = [Writer(valuer, CODEC, PARTITIONS, compiled=valuer.is_compiled) for valuer in valuers]
    names = [portfolio.portfolio_id for portfolio in found]
    for version, moved in enumerate([(), later], 10):
        for valuer in valuers:
            for one in moved:
                valuer.put_price(record(one, version))
            valuer.revalue(START)
        compiled, plain = (writer.write(names, STAMP, READ) for writer in writers)
        assert compiled == plain
        for portfolio, (_, message) in zip(found, plain, strict=True):
            if message is not None:
                assert message.value is not None
                assert message.value[5:] == expected(portfolio, valuers[1])


def test_whole_portfolio_is_written_by_the_compiled_code_itself() -> None:
    arithmetic = compiled_totals()
    if arithmetic is None:
        return
    held = [
        make_position("a", 3 * ONE, 5 * AMOUNT, instrument="x:A-USD", opened_at=START - 2 * DAY),
        make_position("b", -2 * ONE, -7 * AMOUNT, instrument="x:B-USDT", currency="USDT", opened_at=START - 2 * DAY),
    ]
    portfolio = make_portfolio(*held, balances={"USDT": Balance(cash=9 * AMOUNT)})
    prices = {name: Told(name, 10 * ONE + 1, 9 * ONE, 0) for name in INSTRUMENTS}
    valuer = valuer_of([portfolio], prices, compiled=True)
    weighed = valuer.weighed()
    assert weighed is not None
    sheets = Sheets(arithmetic, lambda _: 1)
    (one,) = sheets.write([valuer.held("ours")], weighed, valuer.rates, lambda _: b"", b"", valuer.latest)
    assert one is not None
    assert isinstance(one[1], Message)
    assert (one[1].partition, one[1].key) == (1, b"ours")
