"""The table of WebSocket cases and its page."""

from pathlib import Path

from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.websocket_cases import ECHO, Case, F, cases, filled, in_words, page

FILE = Path(__file__).parent.parent.parent / "docs" / "websocket.md"


def test_page_is_that_of_the_table() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run make docs"


def test_every_case_is_there_once() -> None:
    numbers = [case.number for case in cases()]
    assert len(numbers) == len(set(numbers))
    by_group = {group: sum(number.startswith(f"{group}.") for number in numbers) for group in "12345679"}
    assert by_group == {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 12}


def test_frames_are_masked_as_the_standard_says() -> None:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(F(Opcode.TEXT, filled(300)).serialize())
    [frame] = server.events_received()
    assert frame.data == filled(300)  # type: ignore[union-attr]


def test_answer_with_another_text_is_no_echo() -> None:
    case = Case("1", (F(1, b'{"action":"ping","id":"a"}'),), (ECHO,))
    assert in_words([(1, b'{"type":"pong","id":"a"}')], case) == (ECHO,)
    assert in_words([(1, b'{"type":"pong","id":"b"}')], case) != (ECHO,)
