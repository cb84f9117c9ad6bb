"""What the tail does with values that cannot be read, without a broker."""

from collections.abc import Iterator

import pytest

from gateway.tail import Tail
from market.errors import DataValidationError
from runtime.retry import Backoff
from schemas.records import Record
from schemas.registry import RegistryError
from tests.builders import make_trade

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
