"""Quotes and trades to latest prices: whatever the batches, the commits and the crashes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.latest_price import Statements, statement_of
from market.price import PriceRecord
from market.quote import Quote
from market.trade import GapMark, TimeMark, Trade
from processors.agents import prices
from processors.computation import Effects
from processors.outputs import Message
from processors.states.form import encode, head, reflected_offset
from processors.states.prices import STATEMENTS_2, decode_statements, encode_statements
from processors.transport.packing import messages_of
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import PRICES, QUOTES, TRADES
from tests.builders import INSTRUMENT, START, make_trade
from tests.folding import CODEC, Runner, batch_of, raw_of, told
from tests.gateway_parts import make_quote
from tests.price_parts import newest, quotes, some_trades, statements

OTHER = "binance:ETH-USDT"


def runner() -> Runner:
    return Runner(prices.build(ProcessorSettings()))


def check_versions(effects: Iterable[Effects]) -> None:
    """Fail where two messages of one version differ."""
    found: dict[tuple[str, tuple[int | None, int | None]], bytes | None] = {}
    for message, record in ((message, told_in(message)) for one in effects for message in messages_of(one.outputs)):
        version = record.instrument, (record.quotes_offset, record.trades_offset)
        assert found.setdefault(version, message.value) == message.value


def told_in(message: Message) -> PriceRecord:
    record = CODEC.decode(message.value)
    assert isinstance(record, PriceRecord)
    return record


def test_one_record_for_each_instrument_that_changed_since_the_last_commit() -> None:
    runs = runner()
    runs.take_in([make_trade(1, price=3), make_trade(1, instrument=OTHER), make_trade(2, at=START + 1, price=4)])
    runs.take_in([make_quote(bid=2 * ONE)], QUOTES.name)
    effects = runs.commit()
    assert [(record.instrument, record.quotes_offset, record.trades_offset) for record in told(effects)] == [
        (INSTRUMENT, 0, 2),
        (OTHER, None, 1),
    ]
    assert {message.topic for message in messages_of(effects.outputs)} == {PRICES.name}
    assert {message.key for message in messages_of(effects.outputs)} == {INSTRUMENT.encode(), OTHER.encode()}
    assert effects.trades == 3
    assert told(runs.commit()) == []


def test_each_topic_of_an_instrument_has_a_value_that_begins_with_its_offset() -> None:
    runs = runner()
    runs.batch([make_quote(bid=2 * ONE), make_quote(at=START + 1, bid=ONE)], QUOTES.name)
    runs.batch([make_trade(1)])
    stored = {key: reflected_offset(value) for key, value in runs.tables["prices"].items()}
    assert stored == {f"md.quotes|{INSTRUMENT}": 1, f"md.trades|{INSTRUMENT}": 0}


def test_old_trades_and_marks_tell_nothing_and_store_nothing() -> None:
    runs = runner()
    runs.batch([make_trade(2)])
    before = dict(runs.tables["prices"])
    marks: list[Record] = [TimeMark(INSTRUMENT, START + 5), GapMark(INSTRUMENT, START, START + 5)]
    effects = runs.batch([*marks, make_trade(1), make_trade(2)])
    assert (effects.outputs, runs.tables["prices"]) == ([], before)


def test_offsets_taken_in_are_known_by_topic() -> None:
    runs = runner()
    runs.batch([make_trade(1), make_trade(2)])
    runs.batch([make_quote(bid=ONE)], QUOTES.name)
    runs.open()
    assert (runs.fold.known(TRADES.name), runs.fold.known(QUOTES.name)) == (-1, -1)
    runs.batch([make_trade(3)])
    assert (runs.fold.known(TRADES.name), runs.fold.known(QUOTES.name)) == (1, 0)


def test_quote_that_cannot_be_is_refused_and_its_neighbour_taken_in() -> None:
    runs = runner()
    bad = raw_of(make_quote(bid=ONE)._replace(ask=-ONE), 0, topic=QUOTES.name)
    good = raw_of(make_quote(bid=ONE), 1, topic=QUOTES.name)
    runs.fold.fold(batch_of([bad, good], topic=QUOTES.name))
    effects = runs.commit()
    assert [(refusal.topic, refusal.raw.offset, refusal.field) for refusal in effects.refusals] == [(QUOTES.name, 0, "ask")]
    assert [record.quotes_offset for record in told(effects)] == [1]


@given(statements(8))
def test_stored_statements_come_back_as_they_were(found: list[Any]) -> None:
    state = Statements()
    for statement in found:
        state.take(statement._replace(topic=QUOTES.name, partition=4))
    assert decode_statements(encode_statements(state), INSTRUMENT, (QUOTES.name, 4)) == state


def test_nothing_stored_is_nothing_said() -> None:
    assert decode_statements(None, INSTRUMENT, (QUOTES.name, 4)) == Statements()


def test_what_a_quote_says_is_stored_to_its_last_field() -> None:
    figures: dict[str, Any] = {name: number for number, name in enumerate(Quote._fields[3:16], start=1)}
    prices: dict[str, Any] = {"mark_price": 20, "index_price": 21}
    full = make_quote(channel="ticker", sequence=5, exchange_time=START - 5, published_at=START + 5, **figures, **prices)
    assert None not in full
    state = Statements()
    state.take(statement_of(full, (QUOTES.name, 0, 9)))
    assert decode_statements(encode_statements(state), INSTRUMENT, (QUOTES.name, 0)).by_channel["ticker"].quote == full


def test_values_from_before_mark_prices_are_read() -> None:
    quote = make_quote(channel="ticker", sequence=5, bid=3 * ONE, exchange_time=START - 5)
    fields = {name: value for name, value in quote._asdict().items() if name not in ("mark_price", "index_price")}
    stored = head(9) + encode(STATEMENTS_2, {"said": [fields | {"offset": 9, "tells_book": True}]})
    found = decode_statements(stored, INSTRUMENT, (QUOTES.name, 0))
    assert (found.applied_offset, found.by_channel) == (9, {"ticker": statement_of(quote, (QUOTES.name, 0, 9))})
    runs = runner()
    runs.tables["prices"][f"md.quotes|{INSTRUMENT}"] = stored
    runs.offsets[QUOTES.name] = 10
    (record,) = told(runs.batch([make_quote(channel="markPrice", at=START + 1, mark_price=4 * ONE)], QUOTES.name))
    assert record.bid is not None
    assert record.mark_price is not None
    assert (record.bid.price, record.mark_price.price, record.mark_price.source.offset) == (3 * ONE, 4 * ONE, 10)


class Step(NamedTuple):
    """Read so many records of a topic; then perhaps commit; then perhaps crash, with only these keys stored of the commit."""

    topic: str
    most: int
    commits: bool
    stored: frozenset[str] | None


KEYS = [f"{topic}|{instrument}" for topic in (QUOTES.name, TRADES.name) for instrument in (INSTRUMENT, OTHER)]
STEPS = st.builds(
    Step,
    st.sampled_from([QUOTES.name, TRADES.name]),
    st.integers(1, 5),
    st.booleans(),
    st.none() | st.frozensets(st.sampled_from(KEYS)),
)


def worked_through(logs: Mapping[str, Sequence[Record]], steps: Iterable[Step]) -> list[Effects]:
    """What is published while the topics are read in these steps, and after them to their ends."""
    runs, effects, acknowledged = runner(), list[Effects](), Counter[str]()
    rest = [Step(topic, len(log), True, None) for topic, log in logs.items()]
    for step in (*steps, *rest):
        before, begin = dict(runs.tables["prices"]), runs.offsets[step.topic]
        runs.take_in(logs[step.topic][begin : begin + step.most], step.topic)
        if step.commits:
            effects.append(runs.commit())
        if step.stored is not None:
            lost = runs.tables["prices"].keys() - step.stored
            runs.tables["prices"] = {key: value for key, value in runs.tables["prices"].items() if key not in lost}
            runs.tables["prices"] |= {key: value for key, value in before.items() if key in lost}
            runs.offsets = Counter(acknowledged)
            runs.open()
        elif step.commits:
            acknowledged = Counter(runs.offsets)
    return effects


def one_after_the_other(logs: Mapping[str, Sequence[Record]]) -> dict[str, PriceRecord]:
    """The last records when one topic is read after the other, each in one batch."""
    return newest(told(*worked_through(logs, ())))


@given(
    st.lists(quotes(instruments=(INSTRUMENT, OTHER)), max_size=12),
    st.lists(some_trades(instruments=(INSTRUMENT, OTHER)), max_size=12),
    st.lists(STEPS, max_size=12),
)
def test_interleaving_batches_and_crashes_change_neither_a_version_nor_the_outcome(
    said: list[Quote], done: list[Trade], steps: list[Step]
) -> None:
    logs: dict[str, Sequence[Record]] = {QUOTES.name: said, TRADES.name: done}
    effects = worked_through(logs, steps)
    check_versions(effects)
    assert newest(told(*effects)) == one_after_the_other(logs)
