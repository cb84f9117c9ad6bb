"""How a service runs and ends: one stop signal, a bounded time to finish, an exit code.

The service's main function gets an event and returns when it is set and its work is put away. SIGTERM or SIGINT sets
it; a second one, or a main function still busy after the time to drain, ends the process at once. Unlike the signal
handling of an event loop, this also holds when the loop no longer turns.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from runtime.logs import get_logger

__all__ = ["DRAIN_SECONDS", "OWNED_VARIABLE", "run", "run_blocking"]

DRAIN_SECONDS = 14.0
"""Time to finish after a stop signal, so that the process is gone within 15 s."""

OWNED_VARIABLE = "TAPELINE_OWNED"
"""Set by a parent that holds our standard input: when that closes the parent is gone, killed perhaps, and we must stop too."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = get_logger(__name__)


def run(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    *,
    drain_seconds: float = DRAIN_SECONDS,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    leave: Callable[[int], object] = os._exit,
) -> int:
    """Run an async service on the main thread and return its exit code.

    `loop_factory` is for another event loop, such as uvloop's; `leave` ends the process when it must not wait longer.
    """

    def start() -> None:
        stop = asyncio.Event()
        runner = asyncio.Runner(loop_factory=loop_factory)
        loop = runner.get_loop()

        def request() -> None:
            with suppress(RuntimeError):  # the loop is closed: the service has ended by itself
                loop.call_soon_threadsafe(stop.set)

        # The runner closes inside, because the cancelled tasks and threads it waits for can hang as well.
        with _stopping(request, drain_seconds, leave), runner:
            runner.run(main(stop))

    return _exit_code_of(start)


def run_blocking(
    main: Callable[[threading.Event], None],
    *,
    drain_seconds: float = DRAIN_SECONDS,
    leave: Callable[[int], object] = os._exit,
) -> int:
    """Run a service without an event loop on the main thread and return its exit code."""

    def start() -> None:
        stop = threading.Event()
        with _stopping(stop.set, drain_seconds, leave):
            main(stop)

    return _exit_code_of(start)


@contextmanager
def _stopping(request: Callable[[], None], drain_seconds: float, leave: Callable[[int], object]) -> Iterator[None]:
    """Turn signals into one request to stop, and into leaving when it is not followed in time.

    The handlers only write to a socket: taking a lock in a handler can deadlock with the code it interrupts. A thread
    of its own reads it, so that it acts even when the main thread is stuck.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def note(number: int, _frame: object) -> None:
        with suppress(OSError):
            writer.send(bytes([number]))

    watcher = threading.Thread(target=_watch, args=(reader, request, drain_seconds, leave), name="stop", daemon=True)
    watcher.start()
    if os.environ.get(OWNED_VARIABLE):
        threading.Thread(target=_stop_with_owner, args=(note,), name="owner", daemon=True).start()
    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        watcher.join()
        reader.close()


def _stop_with_owner(note: Callable[[int, object], None]) -> None:
    while os.read(0, 1024):  # the raw descriptor: a lock on the buffered one would hang the interpreter's exit
        pass
    note(signal.SIGTERM, None)


def _watch(reader: socket.socket, request: Callable[[], None], drain_seconds: float, leave: Callable[[int], object]) -> None:
    first = reader.recv(1)
    if not first:
        return
    log.info("stopping", signal=signal.Signals(first[0]).name, drain_seconds=drain_seconds)
    request()
    reader.settimeout(drain_seconds)
    try:
        second = reader.recv(1)
    except TimeoutError:
        log.error("not finished in time, leaving", drain_seconds=drain_seconds)
        leave(1)
        return
    if second:
        log.error("second signal, leaving", signal=signal.Signals(second[0]).name)
        leave(128 + second[0])


def _exit_code_of(start: Callable[[], None]) -> int:
    """Run and return the exit code.

    An error that carries an `exit_code` (as every RuntimeFault) is one line for the operator, any other is logged with its
    traceback.
    """
    try:
        start()
    except Exception as error:
        faults = _leaves(error)
        codes = [getattr(fault, "exit_code", None) for fault in faults]
        if None in codes:
            log.exception("failed", error=f"{type(error).__name__}: {error}")
            return 1
        for fault in faults:
            log.error(str(fault))
        return next(int(code) for code in codes if code is not None)
    return 0


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors inside groups, as task groups wrap even a single one."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
