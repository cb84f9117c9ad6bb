"""Records gathered by compiled code and by plain Python: the same batches of them."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.built import compiled_module
from processors.outbox import open_outbox, plain
from processors.outputs import Message
from processors.transport.layout import LARGEST, Section, section_of
from processors.transport.packing import Output, chunks_of, counts_of, messages_of, pack

MODULE = compiled_module("processors.outbox.compiled")

MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["t", "u"]),
        st.integers(0, 2),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=70) | st.binary(min_size=8000, max_size=9000),
    ),
    max_size=150,
)
ROUNDS = st.lists(MESSAGES, min_size=1, max_size=3)


def section(messages: Sequence[Message]) -> Section:
    return Section(messages[0][:2], len(messages), section_of(messages))


def packed(outputs: list[Output], largest: int = LARGEST) -> dict[Any, list[bytes]]:
    """The batches that come of these outputs."""
    chunks = chunks_of(outputs, largest)
    assert {place: [[*chunk] for chunk in one] for place, one in chunks.items()} == {
        place: [[*chunk] for chunk in one] for place, one in chunks_of(outputs, largest, compiled=False).items()
    }
    return {place: [pack(chunk, (1, 0), 0, 0) for chunk in one] for place, one in chunks.items()}


@pytest.fixture(scope="module", autouse=True)
def _compiled_one_is_there() -> None:
    assert MODULE is not None, "the compiled module was not built: nothing would be compared"
    assert type(open_outbox()) is MODULE.Outbox
    assert type(open_outbox(compiled=False)) is plain.Outbox


@given(ROUNDS, st.integers(1, 20_000))
def test_both_outboxes_make_the_same_batches(rounds: list[list[Message]], largest: int) -> None:
    assert MODULE is not None
    compiled, simple = MODULE.Outbox(largest), plain.Outbox()
    for messages in rounds:
        for message in messages:
            compiled.append(message)
            simple.append(message)
        found, expected = compiled.take(), simple.take()
        assert expected == messages
        assert packed(found, largest) == packed(expected, largest)
        assert counts_of(found) == counts_of(expected)
        by_place = defaultdict(list)
        for message in messages_of(found):
            by_place[message[:2]].append(message)
        assert [*itertools.chain(*by_place.values())] == sorted(messages, key=lambda each: [*by_place].index(each[:2]))


@given(MESSAGES.filter(bool))
def test_section_is_read_back_as_what_was_laid_out(messages: list[Message]) -> None:
    same = [message._replace(topic="t", partition=1) for message in messages]
    found = section(same)
    assert ([*found], len(found), found[:1], found[-1]) == (same, len(same), same[:1], same[-1])


@pytest.mark.parametrize("compiled", [True, False])
def test_section_is_a_chunk_by_itself_between_those_of_its_place(compiled: bool) -> None:
    one, two, three, other = (Message("t", 0, b"k", value) for value in (b"1", b"2", b"3", b"4"))
    elsewhere = Message("t", 1, None, b"5")
    laid_out = section([two, three])
    chunks = chunks_of([one, laid_out, elsewhere, other], compiled=compiled)
    assert chunks == {("t", 0): [[one], laid_out, [other]], ("t", 1): [[elsewhere]]}


def test_outbox_that_nothing_was_added_to_gives_nothing() -> None:
    box = open_outbox()
    assert box.take() == []
    box.append(Message("t", 0, b"k", b"v"))
    assert [len(one) for one in box.take()] == [1]
    assert box.take() == []


@pytest.mark.parametrize("message", [("t", 0, "text", b"v"), ("t", 0, b"k", 5), ("t", "0", b"k", b"v"), (b"t", 0, b"k", b"v")])
def test_what_is_no_record_is_refused(message: Any) -> None:
    box = open_outbox()
    with pytest.raises(TypeError):
        box.append(message)
    assert box.take() == []
