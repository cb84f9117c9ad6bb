"""What the tail does with values that cannot be read, without a broker."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from gateway.metrics import UNDECODABLE
from gateway.tail import Tail
from market.errors import DataValidationError
from runtime.retry import Backoff
from schemas.records import Record
from schemas.registry import RegistryError
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_candle, make_quote

AT_ONCE = Backoff(initial_seconds=1e-6, maximum_seconds=1e-6)


def make_tail(answers: Iterator[Record | Exception]) -> Tail:
    def decode(value: bytes | None) -> Record:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Tail({}, "nowhere", {"md.trades": 10}, decode, AT_ONCE)


def test_value_is_decoded_again_until_the_registry_answers() -> None:
    down, trade = RegistryError("down"), make_trade()
    tail, told = make_tail(iter([down, down, trade])), list[str | None]()
    tail._tell = told.append
    assert tail._patiently_decode(b"value") == trade
    tail._report()
    assert told == ["the schema registry is not reachable", None]


def test_stopping_does_not_wait_for_the_registry() -> None:
    tail = make_tail(iter([RegistryError("down")]))
    tail._stop.set()
    with pytest.raises(RegistryError):
        tail._patiently_decode(b"value")


def test_what_is_no_record_is_not_tried_again() -> None:
    tail = make_tail(iter([DataValidationError("undecodable", "nonsense")]))
    with pytest.raises(DataValidationError):
        tail._patiently_decode(b"value")


class Polled(NamedTuple):
    """A message as the client library gives it, read by calls."""

    offset_: int
    key_: bytes | None

    def topic(self) -> str:
        return "md.trades"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes:
        return b"value"

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, START // 1000

    def error(self) -> None:
        return None


class OneBatch:
    """A consumer that has these messages."""

    def __init__(self, messages: list[Polled]) -> None:
        self._messages = messages

    def poll(self, _timeout: float) -> Polled:
        return self._messages[0]

    def consume(self, _count: int, _timeout: float) -> list[Polled]:
        return self._messages[1:]


@pytest.mark.parametrize(
    ("record", "key", "reason"),
    [
        (make_trade()._replace(price=0), INSTRUMENT, "not_positive"),
        (make_trade()._replace(instrument="no instrument"), "no instrument", "bad_instrument"),
        (make_trade(at=START + 6_000_000, received_at=START), INSTRUMENT, "future_time"),
        (make_trade(at=START + 6_000_000), INSTRUMENT, "future_time"),
        (make_trade(), "binance:ETH-USDT", "wrong_key"),
        (make_quote(bid=1), INSTRUMENT, "unexpected_record"),
        (make_candle(), INSTRUMENT, "unexpected_record"),
    ],
)
def test_what_a_topic_does_not_carry_is_passed_over_and_counted(record: Record, key: str, reason: str) -> None:
    tail = make_tail(iter([record, make_trade(2)]))
    counter = UNDECODABLE.labels("md.trades", reason)
    before = counter._value.get()
    consumer: Any = OneBatch([Polled(7, key.encode()), Polled(8, INSTRUMENT.encode())])
    assert [arrival.record for arrival in tail._read(consumer)] == [make_trade(2)]
    assert counter._value.get() == before + 1
