"""Ordinary records handed to the client: by each of the ways there are, and with the same outcome as the whole way."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from ingest import handover
from ingest.handover import Way, hand_over_plainly, tally_plainly
from market.errors import DataValidationError
from market.quote import Quote
from market.trade import TimeMark, Trade
from schemas.records import Record
from schemas.tick_encoding import write_ticks
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, START, make_trade
from tests.ingest_parts import NOW, Bench

HandOver = Callable[..., int]
OTHER = "binance:ETH-USDT"
EITHER = pytest.mark.parametrize(
    ("hand_over", "tally"),
    [(hand_over_plainly, tally_plainly)]
    + ([] if handover.hand_over is hand_over_plainly else [(handover.hand_over, handover.tally)]),
    ids=lambda found: getattr(found, "__module__", None),
)


def ignored(*_: Any) -> None:
    return None


def stamped(trade: Trade, header: bytes, at: int) -> bytes:
    if trade.trade_id == "bad":
        raise DataValidationError("too_large", "price")
    return header + f"{trade.trade_id}@{at}".encode()


class Client:
    """Takes what is produced, or raises what it is told."""

    def __init__(self, refusal: Exception | None = None, room: int = 9) -> None:
        self.refusal, self.room = refusal, room
        self.sent: list[tuple[Any, ...]] = []

    def produce(self, *parts: Any) -> None:
        if len(self.sent) >= self.room and self.refusal is not None:
            raise self.refusal
        self.sent.append(parts)


WAYS = {Trade: Way(TRADES, "md.trades", ignored, stamped, b"h", {INSTRUMENT: (b"key", 3)})}


@EITHER
def test_ordinary_records_are_stamped_and_sent_to_their_places(hand_over: HandOver, tally: Any) -> None:
    client, delays = Client(), [1]
    records = [make_trade(number)._replace(received_at=NOW - number) for number in range(4)]
    assert hand_over(WAYS, client.produce, records, 1, 3, NOW, delays) == 3
    expected = [("md.trades", b"h%d@%d" % (number, NOW), b"key", 3, ignored) for number in (1, 2)]
    assert (client.sent, delays) == (expected, [1, 1, 2])


@EITHER
@pytest.mark.parametrize(
    "other",
    [TimeMark(INSTRUMENT, START), make_trade()._replace(instrument=OTHER), make_trade()._replace(trade_id="bad")],
    ids=["class", "instrument", "misfit"],
)
def test_it_stops_before_what_is_not_ordinary(hand_over: HandOver, tally: Any, other: Record) -> None:
    client, delays = Client(), list[int]()
    records = [make_trade(1)._replace(received_at=NOW + 5), other, make_trade(2)]
    assert hand_over(WAYS, client.produce, records, 0, 3, NOW, delays) == 1
    assert (len(client.sent), delays) == (1, [0])


@EITHER
@pytest.mark.parametrize("refusal", [BufferError("full"), KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))])
def test_it_stops_where_the_client_takes_no_more(hand_over: HandOver, tally: Any, refusal: Exception) -> None:
    client = Client(refusal, room=2)
    assert hand_over(WAYS, client.produce, [make_trade(number) for number in range(5)], 0, 5, NOW, []) == 2


@EITHER
def test_faults_of_ours_are_raised(hand_over: HandOver, tally: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        hand_over(WAYS, Client(ZeroDivisionError(), room=0).produce, [make_trade(1)], 0, 1, NOW, [])


@EITHER
def test_deliveries_are_counted_and_failures_told(hand_over: HandOver, tally: Any) -> None:
    delivered, failed = Counter({"other": 1}), []
    on_delivery = tally(delivered, "md.trades", lambda *told: failed.append(told))
    error = KafkaError(KafkaError._MSG_TIMED_OUT)
    for each in (None, error, None):
        on_delivery(each, object())
    assert (delivered, failed) == ({"other": 1, "md.trades": 2}, [(error, "md.trades")])


RECORDS = st.lists(
    st.one_of(
        st.integers(0, 400).map(make_trade),
        st.integers(0, 400).map(lambda number: make_trade(number)._replace(instrument=OTHER)),
        st.just(Quote(INSTRUMENT, "bookTicker", 5, 10, 20, 30, 40, *(None,) * 9, None, NOW)),
        st.just(TimeMark(INSTRUMENT, START)),
        st.just(make_trade()._replace(price=10**40)),
    ),
    max_size=30,
)


@given(RECORDS, st.integers(0, 30), st.integers(1, 12), st.booleans())
def test_a_publisher_sends_the_same_whichever_way(records: list[Record], repeated: int, room: int, is_plain: bool) -> None:
    by_itself, swift = Bench(room), Bench(room, writers=write_ticks)
    way = hand_over_plainly if is_plain else handover.hand_over
    with patch("ingest.publisher.hand_over", way):
        for records_of_turn in (records, [make_trade(number) for number in range(repeated * 10)]):
            for bench in (by_itself, swift):
                publish_as_there_is_room(bench, records_of_turn)
    assert swift.sent() == by_itself.sent()
    assert swift.publisher.counts == by_itself.publisher.counts


def publish_as_there_is_room(bench: Bench, records: Sequence[Record]) -> None:
    done = bench.publisher.publish_all(records)
    while done < len(records):
        bench.publisher.poll()
        done += bench.publisher.publish_all(records[done:])
    bench.publisher.poll()
