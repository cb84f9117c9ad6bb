"""How a service ends: by itself, by a signal, by a fault, or by force."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from runtime.errors import ConfigurationError, Problem, ServerUnreachable
from runtime.lifecycle import OWNED_VARIABLE, run, run_blocking


@pytest.fixture(autouse=True)
def logging_as_shipped() -> None:
    structlog.reset_defaults()


class Leaving:
    """Stands in for the end of the process: notes the exit code and lets the main function go on."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.called = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self.called.set()


async def left(leaving: Leaving) -> None:
    assert await asyncio.to_thread(leaving.called.wait, 5)


def test_a_service_that_returns_ends_with_0() -> None:
    async def main(_stop: asyncio.Event) -> None:
        await asyncio.sleep(0)

    assert run(main) == 0
    assert run_blocking(lambda stop: None) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_service_to_stop(number: signal.Signals) -> None:
    async def main(stop: asyncio.Event) -> None:
        signal.raise_signal(number)
        await asyncio.wait_for(stop.wait(), 5)

    def blocking(stop: threading.Event) -> None:
        signal.raise_signal(number)
        assert stop.wait(5)

    with capture_logs() as lines:
        assert run(main) == 0
        assert run_blocking(blocking) == 0
    assert [(line["event"], line["signal"]) for line in lines] == [("stopping", number.name)] * 2


def test_a_second_signal_leaves_at_once() -> None:
    leaving = Leaving()

    async def main(stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 5)
        signal.raise_signal(signal.SIGINT)
        await left(leaving)

    with capture_logs() as lines:
        run(main, leave=leaving)
    assert leaving.codes == [128 + signal.SIGINT]
    assert lines[-1]["event"] == "second signal, leaving"


def test_a_service_that_does_not_finish_in_time_is_left() -> None:
    leaving = Leaving()

    async def main(_stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        await left(leaving)

    with capture_logs() as lines:
        run(main, drain_seconds=0.01, leave=leaving)
    assert leaving.codes == [1]
    assert lines[-1]["event"] == "not finished in time, leaving"


def test_a_stuck_event_loop_does_not_prevent_leaving() -> None:
    leaving = Leaving()

    async def main(_stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        assert leaving.called.wait(5)  # blocks the loop

    run(main, drain_seconds=0.01, leave=leaving)
    assert leaving.codes == [1]


def test_a_service_that_finishes_in_time_is_not_left() -> None:
    leaving = Leaving()

    async def main(stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        await stop.wait()

    assert run(main, drain_seconds=5, leave=leaving) == 0
    assert leaving.codes == []


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    during: list[object] = []
    threads = threading.active_count()
    run_blocking(lambda stop: during.append(signal.getsignal(signal.SIGTERM)))
    assert during != [before[0]]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert threading.active_count() == threads


def failing(error: BaseException) -> Callable[[threading.Event], None]:
    def main(_stop: threading.Event) -> None:
        raise error

    return main


FAULT = ServerUnreachable("Kafka broker", "h:1", "refused")


def test_a_fault_is_one_line_without_a_traceback() -> None:
    with capture_logs() as lines:
        assert run_blocking(failing(FAULT)) == ServerUnreachable.exit_code
    assert lines == [{"event": str(FAULT), "log_level": "error"}]


def test_faults_inside_a_task_group_are_found() -> None:
    async def fail() -> None:
        raise FAULT

    async def main(_stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(asyncio.sleep(60))

    with capture_logs() as lines:
        assert run(main) == ServerUnreachable.exit_code
    assert [line["event"] for line in lines] == [str(FAULT)]


def test_several_faults_are_all_told() -> None:
    other = ConfigurationError(Problem("a", "is wrong"))
    with capture_logs() as lines:
        assert run_blocking(failing(ExceptionGroup("both", [other, FAULT]))) == ConfigurationError.exit_code
    assert [line["event"] for line in lines] == ["a: is wrong", str(FAULT)]


def test_an_error_of_another_tree_that_carries_an_exit_code_is_one_line_as_well() -> None:
    class StoreRefused(Exception):
        exit_code = 7

    with capture_logs() as lines:
        assert run_blocking(failing(StoreRefused("no space"))) == 7
    assert lines == [{"event": "no space", "log_level": "error"}]


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), ExceptionGroup("both", [FAULT, ZeroDivisionError("x")])])
def test_an_unforeseen_error_is_logged_with_its_traceback(error: Exception) -> None:
    with capture_logs() as lines:
        assert run_blocking(failing(error)) == 1
    assert [(line["event"], line["exc_info"]) for line in lines] == [("failed", True)]


def test_a_service_may_bring_its_own_event_loop() -> None:
    loops: list[object] = []

    class Loop(asyncio.SelectorEventLoop):
        pass

    async def main(_stop: asyncio.Event) -> None:
        loops.append(type(asyncio.get_running_loop()))

    assert run(main, loop_factory=Loop) == 0
    assert loops == [Loop]


def test_owned_service_stops_when_its_owner_is_gone() -> None:
    program = (
        "import sys; from runtime import lifecycle;"
        "sys.exit(lifecycle.run_blocking(lambda stop: sys.exit(0 if stop.wait(20) else 7)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, OWNED_VARIABLE: "1"},
    )
    process.communicate(timeout=30)  # closes its standard input, as the kernel does for a parent that was killed
    assert process.returncode == 0
