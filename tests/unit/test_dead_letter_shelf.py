import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from market.dead_letter import DeadLetter, LetterReplay
from schemas.records import Record
from tapeline.dead_letters import shown
from tapeline.dead_letters.shelf import Choice, Shelf, by_reason
from tests.builders import START, make_trade

LETTER = DeadLetter("md.trades", 1, 17, "sinks", "undecodable", "why", None, b"key", b"value", False, START)
NOTE = LetterReplay("md.trades", 1, 17, 0, "a", 100, None, None, START)


def shelf_of(*records: Record | None) -> Shelf:
    shelf = Shelf()
    for number, record in enumerate(records):
        shelf.take(number, record)
    return shelf


def test_letters_are_numbered_by_their_offsets_and_chosen_by_what_they_say() -> None:
    frame = LETTER._replace(source="binance:trade", source_partition=None, source_offset=None, reason="malformed_json")
    shelf = shelf_of(LETTER, make_trade(), None, frame)
    assert [letter.number for letter in shelf.chosen(Choice())] == [0, 3]
    assert [letter.place_text for letter in shelf.chosen(Choice())] == ["md.trades[1]@17", "binance:trade"]
    assert [letter.number for letter in shelf.chosen(Choice(reason="malformed_json"))] == [3]
    assert [letter.number for letter in shelf.chosen(Choice(source="md.trades"))] == [0]
    assert shelf.chosen(Choice(source="md.trades", numbers=frozenset({3}))) == []
    assert (shelf.strange, shelf.end) == (2, 4)
    assert by_reason(shelf.letters.values()) == [("binance:trade", "malformed_json", 1), ("md.trades", "undecodable", 1)]


def test_letter_counts_as_replayed_when_a_run_has_noted_where_it_lies() -> None:
    def replayed_at(*notes: LetterReplay, number: int = 0) -> int | None:
        shelf = shelf_of(LETTER, LETTER._replace(stage="processors"), LETTER._replace(source_offset=18), *notes)
        return shelf.replayed_at(shelf.letters[number])

    assert replayed_at(NOTE) is None
    assert replayed_at(NOTE, NOTE._replace(error="too large")) is None
    again = NOTE._replace(run="b")
    notes = NOTE, NOTE._replace(offset=101), again, again._replace(offset=120)
    assert replayed_at(*notes) == 120
    assert replayed_at(*notes, number=1) == 120  # another letter of the same original
    assert replayed_at(*notes, number=2) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["begun", "sent", "failed"])), max_size=12))
def test_run_has_begun_until_it_notes_an_end(notes: list[tuple[str, str]]) -> None:
    forms = {"begun": NOTE, "sent": NOTE._replace(offset=5), "failed": NOTE._replace(error="no")}
    shelf = shelf_of(LETTER, *(forms[kind]._replace(run=run) for run, kind in notes))
    ended = {run for run, kind in notes if kind != "begun"}
    letter = shelf.letters[0]
    assert [note.run for note in shelf.begun(letter)] == [run for run, kind in notes if run not in ended]
    assert (shelf.replayed_at(letter) is None) == all(kind != "sent" for _, kind in notes)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["letter", "begun", "sent", "failed"])), max_size=20),
    st.integers(0, 20),
)
def test_letters_left_by_a_purge_keep_what_is_noted_of_them(history: list[tuple[int, str]], cut: int) -> None:
    forms: dict[str, DeadLetter | LetterReplay] = {
        "letter": LETTER,
        "begun": NOTE,
        "sent": NOTE,
        "failed": NOTE._replace(error="no"),
    }
    records: list[Record | None] = []
    for number, (place, kind) in enumerate(history):
        form = forms[kind]._replace(source_offset=place)
        records.append(form._replace(offset=number) if isinstance(form, LetterReplay) and kind == "sent" else form)
    cut = min(cut, len(records))
    before, after = shelf_of(*records), Shelf()
    lost = before.notes_lost(cut)
    for number, record in (*list(enumerate(records))[cut:], *enumerate(lost, start=len(records))):
        after.take(number, record)
    for letter in after.letters.values():
        assert after.replayed_at(letter) == before.replayed_at(letter)
        assert set(after.begun(letter)) == set(before.begun(letter))
        assert set(after.notes_on(letter)) == set(before.notes_on(letter))
    assert {(note.source, note.source_partition, note.source_offset) for note in lost} <= {
        letter.place for letter in after.letters.values()
    }
    assert after.notes_lost(cut) == []


def test_reading_on_gives_what_reading_at_once_does() -> None:
    records: list[Record | None] = [LETTER, NOTE, None, LETTER._replace(reason="other"), NOTE._replace(offset=3)]
    shelf = shelf_of(*records[:2])
    for number, record in enumerate(records[2:], start=shelf.end):
        shelf.take(number, record)
    assert shelf == shelf_of(*records)


def test_bytes_are_shown_as_text_or_in_hexadecimal_and_cut() -> None:
    assert shown.bytes_text(None) == "none"
    assert shown.bytes_text(b"binance:BTC-USDT") == "16 bytes: binance:BTC-USDT"
    assert shown.bytes_text(b"\x00\x7f\xff") == "3 bytes: 00 7f ff"
    assert shown.bytes_text(b"x" * 10_000) == f"10000 bytes: {'x' * 600}…"


@pytest.mark.parametrize("text", ["price: '[/b]' is no number", "[red]1", ":smile:", "\\[b]", "[link=x]y[/link]"])
def test_table_shows_texts_as_they_are(text: str) -> None:
    letter = LETTER._replace(source=text, stage=text, reason=text, error=text)
    shelf = shelf_of(letter, NOTE._replace(source=text, offset=5))
    console = Console(width=300)
    with console.capture() as capture:
        console.print(shown.table_of(shelf, shelf.chosen(Choice())))
    assert capture.get().count(text) == 4


def test_whole_letter_tells_what_became_of_it() -> None:
    notes = [NOTE, NOTE._replace(offset=101)]
    text = "\n".join(shown.whole(7, LETTER._replace(field="price"), notes, lambda _value: make_trade()))
    for part in (
        "md.trades, partition 1, offset 17",
        "undecodable, field price",
        "5 bytes: value",
        "Trade(",
        "lies at offset 101",
    ):
        assert part in text
