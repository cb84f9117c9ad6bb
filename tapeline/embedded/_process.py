"""Child processes: started so that none is ever unrecorded, found again for certain, stopped in bounded time.

A child begins as a shell that waits for a word on its standard input and then becomes the server, keeping its id. The caller
records the process before it says the word; a caller that dies in between closes the pipe, and the shell ends.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from tapeline.embedded._errors import EmbeddedError
from tapeline.embedded._state import ProcessRecord

SAME_START = 2.0
"""Seconds by which two readings of one process's start time may differ."""

STOP_GRACE = 10.0
"""Seconds a server has to end by itself before it is killed."""

_KILL_GRACE = 5.0

_WAIT_THEN_BECOME = 'read -r word && exec "$@" </dev/null'


@dataclass(frozen=True, slots=True)
class User:
    """Another user to run as; only root can."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: arguments, whole environment, and the user when it must not be the caller's."""

    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    user: User | None = None


def start_waiting(command: Command, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a child in its own session that becomes `command` when `release` is called; its output goes to `log`.

    Raises:
        EmbeddedError: the system does not start it.

    """
    with _named(command), log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  # our own command
            ["/bin/sh", "-c", _WAIT_THEN_BECOME, "tapeline", *map(str, command.argv)],
            stdin=subprocess.PIPE,
            **_surroundings(command, cwd, output),
        )


def release(child: subprocess.Popen[bytes]) -> None:
    """Let a waiting child become its command."""
    if child.stdin:
        with contextlib.suppress(BrokenPipeError), child.stdin:  # it died already: the health check will say so
            child.stdin.write(b"go\n")


def run(command: Command, cwd: Path, log: Path, *, given: str = "", timeout: float = 120) -> int:
    """Run `command` to its end with `given` on its input, output appended to `log`; returns its exit code.

    Raises:
        EmbeddedError: the system does not start it, or it took longer than `timeout` seconds.

    """
    with _named(command), log.open("ab") as output:
        return subprocess.run(  # noqa: S603  # our own command
            [*map(str, command.argv)],
            input=given.encode(),
            **_surroundings(command, cwd, output),
            timeout=timeout,
            check=False,
        ).returncode


def ask(command: Command, *, timeout: float = 60) -> str:
    """Run a program that ends at once and return what it says on both its outputs.

    Raises:
        EmbeddedError: it does not start, does not end, or ends with an error, which is in the text.

    """
    with _named(command):
        done = subprocess.run(  # noqa: S603  # our own command
            [*map(str, command.argv)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(command.env),
            timeout=timeout,
            check=False,
        )
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise EmbeddedError(f"{command.argv[0]} ended with code {done.returncode}: {said}")
    return said


def record(pid: int, home: Path | None = None) -> ProcessRecord:
    """What identifies the living process `pid` from now on; a server works in the folder `home`, which no other does."""
    return ProcessRecord(pid, psutil.Process(pid).create_time(), str(home.resolve()) if home else "")


def find(recorded: ProcessRecord) -> psutil.Process | None:
    """The recorded process while it lives; None when it ended, also when another process has its id now."""
    try:
        process = psutil.Process(recorded.pid)
        return process if _lives(process) and _is(process, recorded) else None
    except psutil.NoSuchProcess:
        return None


def stop(process: psutil.Process, request: signal.Signals, *, grace: float = STOP_GRACE) -> None:
    """Ask a server to end; kill it and what it started when it has not after `grace` seconds.

    Raises:
        EmbeddedError: it is still there after it was killed.

    """
    with contextlib.suppress(psutil.NoSuchProcess):
        family = tree(process)
        process.send_signal(request)
        for member in family:  # a stopped process would keep the request waiting
            _signal(member, signal.SIGCONT)
        left = _wait(family, grace)
        for member in left:
            _signal(member, signal.SIGKILL)
        if _wait(left, _KILL_GRACE):
            raise EmbeddedError(f"process {process.pid} does not end even when killed")


def kill(process: psutil.Process) -> None:
    """Kill a server without warning, then wait for what it started to follow it."""
    family = tree(process)
    _signal(process, signal.SIGKILL)
    left = _wait(family, _KILL_GRACE)
    for member in left:
        _signal(member, signal.SIGKILL)
    _wait(left, _KILL_GRACE)


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a server and to what it started, which may end by itself meanwhile.

    Raises:
        psutil.NoSuchProcess: the server itself has ended.

    """
    descendants = process.children(recursive=True)
    process.send_signal(number)
    for member in descendants:
        _signal(member, number)


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def memory(process: psutil.Process) -> int:
    """Bytes that only this process and its descendants hold."""

    def own(members: list[psutil.Process]) -> Iterator[int]:
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                yield member.memory_full_info().uss

    return sum(own(tree(process)))


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(line.rstrip() for line in lines[-count:])


@contextlib.contextmanager
def _named(command: Command) -> Iterator[None]:
    program = f"{command.argv[0]} as user {command.user.uid}" if command.user else f"{command.argv[0]}"
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(f"{program} did not end within {error.timeout:.0f} s") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"cannot start {program}: {error}") from error


def _surroundings(command: Command, cwd: Path, output: BinaryIO) -> dict[str, Any]:
    """What every child is given, as `subprocess` names it: folder, output, environment, user, a session of its own."""
    user = command.user
    return {
        "stdout": output,
        "stderr": subprocess.STDOUT,
        "cwd": cwd,
        "env": dict(command.env),
        "start_new_session": True,
        "user": user.uid if user else None,
        "group": user.gid if user else None,
        "extra_groups": [] if user else None,
    }


def _is(process: psutil.Process, recorded: ProcessRecord) -> bool:
    if abs(process.create_time() - recorded.created) < SAME_START:
        return True
    # Start times are counted from the time of boot, which moves when the clock is set: a folder does not.
    with contextlib.suppress(psutil.AccessDenied):
        return recorded.home != "" and Path(process.cwd()).is_relative_to(recorded.home)
    return False


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that ended and waits for its parent to notice does not (in a container nobody may)."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _wait(processes: list[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until all have ended; returns those that live after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (left := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
