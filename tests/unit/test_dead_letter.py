"""How much of what was refused a dead letter keeps."""

from hypothesis import given
from hypothesis import strategies as st

from market.dead_letter import LARGEST_ORIGINAL, LONGEST_ERROR, DeadLetter, fit
from schemas.topics import DEAD_LETTERS
from tests.builders import START

LETTER = DeadLetter("md.trades", 1, 2, "sinks", "undecodable", "why", None, b"key", b"value", False, START)

originals = st.none() | st.binary(max_size=30)


def test_letter_that_fits_is_kept_as_it_is() -> None:
    assert fit(LETTER) == LETTER
    assert fit(LETTER._replace(truncated=True)).truncated


@given(originals, originals, st.integers(2, 40))
def test_original_is_cut_to_its_beginning_and_the_letter_says_so(key: bytes | None, value: bytes | None, most: int) -> None:
    letter = fit(LETTER._replace(key=key, value=value), most)
    assert len(letter.key or b"") + len(letter.value or b"") <= most
    for kept, original in ((letter.key, key), (letter.value, value)):
        assert (kept is None) == (original is None)
        assert (original or b"").startswith(kept or b"")
    assert letter.truncated == ((letter.key, letter.value) != (key, value))
    assert fit(letter, most) == letter


def test_huge_key_leaves_room_for_the_value() -> None:
    letter = fit(LETTER._replace(key=b"k" * 5_000_000, value=b"v" * 5_000_000))
    assert (letter.key, letter.value) == (b"k" * (LARGEST_ORIGINAL // 2), b"v" * (LARGEST_ORIGINAL // 2))


def test_error_is_bounded_and_can_be_encoded() -> None:
    letter = fit(LETTER._replace(error="\ud800" + "e" * 2 * LONGEST_ERROR))
    assert letter.error == "?" + "e" * (LONGEST_ERROR - 1)


def test_topic_takes_the_largest_letter() -> None:
    assert DEAD_LETTERS.max_message_bytes > LARGEST_ORIGINAL + 4 * LONGEST_ERROR + 10_000
