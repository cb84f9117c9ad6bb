"""Log lines: one form for our events and those of the libraries, secrets masked."""

import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime import logs


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Output(io.StringIO):
    """A stream that is a terminal or is not."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def output() -> Output:
    output = Output()
    logs.configure("ingest", "INFO", "json", output)
    return output


def test_what_tells_a_process_from_others_stands_in_the_lines_of_every_thread_and_library() -> None:
    output = Output()
    logs.configure("processors", "INFO", "json", output, {"worker": 3})
    thread = threading.Thread(target=logs.get_logger("ours").info, args=("from a thread",))
    thread.start()
    thread.join()
    logging.getLogger("library").warning("from a library")
    assert [(line["event"], line["service"], line["worker"]) for line in output.lines()] == [
        ("from a thread", "processors", 3),
        ("from a library", "processors", 3),
    ]


def test_an_event_is_one_line_with_the_common_fields(output: Output) -> None:
    logs.get_logger("ingest.feeds").info("connected", feed="binance", symbols=("a", "b"))
    (line,) = output.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "event": "connected",
        "feed": "binance",
        "level": "info",
        "logger": "ingest.feeds",
        "service": "ingest",
        "symbols": ["a", "b"],
    }


def test_a_library_logs_in_the_same_form(output: Output) -> None:
    logs.get_logger("ours").warning("event")
    logging.getLogger("aiokafka.consumer").warning("partition %s of %d", "x", 3)
    ours, theirs = output.lines()
    assert set(ours) == set(theirs)
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("partition x of 3", "aiokafka.consumer", "warning")


def test_a_library_with_handlers_of_its_own_is_heard_once(output: Output) -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(logging.StreamHandler(output))
    logger.propagate = False
    logs.configure("gateway", "INFO", "json", output)
    logger.error("broken")
    assert [line["event"] for line in output.lines()] == ["broken"]


def test_secrets_are_masked_wherever_they_stand(output: Output) -> None:
    log = logs.get_logger("x")
    log.info("using postgresql://u:hunter2@h/d", password="hunter2", options={"sasl.password": "hunter2"})
    logging.getLogger("psycopg").warning("failed: %s", "password=hunter2 host=h")
    try:
        raise ValueError("http://u:hunter2@h")
    except ValueError:
        log.exception("failed")
    assert len(output.lines()) == 3
    assert "hunter2" not in output.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    output = Output()
    logs.configure("x", "WARNING", "json", output)
    for logger in (logs.get_logger("a"), logging.getLogger("b")):
        logger.info("quiet")
        logger.warning("loud")
    assert [line["event"] for line in output.lines()] == ["loud", "loud"]


def test_an_exception_is_part_of_its_line(output: Output) -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        logs.get_logger("x").exception("failed")
        logging.getLogger("y").exception("failed")
    for line in output.lines():
        assert "KeyError: 'gone'" in line["exception"]
        assert line["level"] == "error"


def test_a_value_json_does_not_know_is_shown_as_it_prints(output: Output) -> None:
    logs.get_logger("x").info("event", value=Exception("e"), key={1: 2})
    (line,) = output.lines()
    assert (line["value"], line["key"]) == ("Exception('e')", {"1": 2})


def test_context_is_added_to_every_line(output: Output) -> None:
    with structlog.contextvars.bound_contextvars(feed="binance"):
        logs.get_logger("x").info("event")
    assert output.lines()[0]["feed"] == "binance"


def test_a_warning_is_logged(output: Output) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in output.lines()[0]["event"]


def test_a_second_call_replaces_the_first(output: Output) -> None:
    other = Output()
    logs.configure("other", "INFO", "json", other)
    logs.get_logger("x").info("event")
    assert output.getvalue() == ""
    assert [line["service"] for line in other.lines()] == ["other"]


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    terminal, pipe = Output(terminal=True), Output()
    for stream in (terminal, pipe):
        logs.configure("x", "INFO", "auto", stream)
        try:
            hidden = "hunter2"
            raise ValueError("no")
        except ValueError:
            logs.get_logger("x").exception("failed")
    assert pipe.lines()[0]["event"] == "failed"
    assert "ValueError: no" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert hidden not in terminal.getvalue().replace('hidden = "hunter2"', "")


def test_library_that_says_the_same_many_times_is_heard_once_with_what_was_left_out(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = logging.getLogger("aiokafka.conn")
    for number in range(70):
        library.warning("Unable connect to node with id %s", number)
    library.warning("Another thing")
    logging.getLogger("ours").warning("Unable")
    logging.getLogger("ours").warning("Unable")
    monkeypatch.setattr(logs, "_REPEATED_AFTER_SECONDS", 0)
    library.warning("Unable connect to node with id %s", 70)
    assert [line["event"] for line in output.lines()] == [
        "Unable connect to node with id 0",
        "Another thing",
        "Unable",
        "Unable",
        "Unable connect to node with id 70 (69 lines like this left out)",
    ]


class Known(Exception):
    """Says all there is to say in one line."""

    exit_code = 1


def test_error_that_says_all_in_one_line_is_logged_without_a_traceback(output: Output) -> None:
    logs.tell_in_one_line(ZeroDivisionError)
    for error in (Known("why"), ZeroDivisionError("why"), ValueError("why")):
        try:
            raise error
        except Exception:
            logging.getLogger("library").exception("crashed")
    assert ["exception" in line for line in output.lines()] == [False, False, True]
