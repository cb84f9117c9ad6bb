"""What could keep the stack from working on this machine, looked at one by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import psutil

from tapeline.embedded import _detached, _ports, _server, _state
from tapeline.embedded._artifacts import locked, missing, verify
from tapeline.embedded._claim import running
from tapeline.embedded._errors import EmbeddedError
from tapeline.embedded._folders import DATA_SPACE, DataFolder, cache_folder, free_space, prove_writable

PYTHON = ((3, 11), (3, 15))
"""The first version that will do, and the first that will not."""
MEMORY = 1536 * 1024 * 1024
"""Free bytes below which the servers and everything that works with them may be too much."""


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do unless it is well."""

    verdict: Verdict
    subject: str
    found: str
    advice: str = ""


def examine(folder: DataFolder) -> Iterator[Finding]:
    """Look at everything, what the rest rests on first."""
    cache = cache_folder()
    yield _python()
    for server in _server.names():
        yield _server_found(server, cache, folder)
    yield _attempt("cache", lambda: prove_writable(cache))
    yield _downloads(cache)
    yield _attempt("data folder", lambda: prove_writable(folder.path))
    yield _space("space for data", folder.path, DATA_SPACE)
    yield _memory()
    yield from _servers(folder)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    first, beyond = (".".join(map(str, version)) for version in PYTHON)
    fits = PYTHON[0] <= sys.version_info[:2] < PYTHON[1]
    return Finding(
        Verdict.OK if fits else Verdict.FAIL, "Python", version, "" if fits else f"use {first} or newer, below {beyond}"
    )


def _server_found(server: str, cache: Path, folder: DataFolder) -> Finding:
    module = _server.load(server)
    if reason := module.lacks(cache):
        return Finding(Verdict.WARN, server, "is left out", reason)
    return _attempt(server, partial(module.check, folder.home(server)))


def _attempt(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(Verdict.OK, subject, check())
    except EmbeddedError as error:
        return Finding(Verdict.FAIL, subject, str(error))


def _downloads(cache: Path) -> Finding:
    artifacts = locked()
    absent = missing(artifacts, cache)
    try:
        verify([artifact for artifact in artifacts if artifact not in absent], cache)
    except EmbeddedError as error:
        return Finding(Verdict.FAIL, "downloads", str(error))
    if absent:
        size = sum(artifact.size for artifact in absent)
        found = f"{len(absent)} of {len(artifacts)} files are not in {cache}"
        if free_space(cache) < 2 * size:
            return Finding(Verdict.FAIL, "downloads", found, f"free {2 * size // 2**20} MiB there for them")
        return Finding(Verdict.WARN, "downloads", found, f"`tapeline up` fetches them: {size / 1e6:.0f} MB")
    return Finding(Verdict.OK, "downloads", f"{len(artifacts)} files with the right sums in {cache}")


def _space(subject: str, path: Path, needed: int) -> Finding:
    free = free_space(path)
    found = f"{free // 2**20} MiB free for {path}"
    if free < needed:
        return Finding(Verdict.FAIL, subject, found, f"{needed // 2**20} MiB are needed: free some, or choose another folder")
    return Finding(Verdict.OK, subject, found)


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    found = f"{available // 2**20} MiB available, {os.cpu_count()} cores"
    if available < MEMORY:
        return Finding(Verdict.WARN, "memory", found, f"less than {MEMORY // 2**20} MiB: end something else first")
    return Finding(Verdict.OK, "memory", found)


def _servers(folder: DataFolder) -> Iterator[Finding]:
    try:
        state = _state.load(folder.state)
    except EmbeddedError as error:
        yield Finding(Verdict.FAIL, "state", str(error))
        return
    if not running(state):
        yield _free_ports(state)
    for status in _detached.status(folder):
        subject = f"{status.server} running"
        match status.condition:
            case "ready":
                yield Finding(Verdict.OK, subject, f"answers on port {state.ports[status.server]}")
            case "not ready":
                yield Finding(Verdict.FAIL, subject, status.detail, f"see {folder.log(status.server)}")
            case "ended":
                yield Finding(
                    Verdict.WARN, subject, "ended unasked", f"see {folder.log(status.server)}; `tapeline up` restarts it"
                )
            case "stopped":
                yield Finding(Verdict.OK, subject, "no; `tapeline up` starts it")


def _free_ports(state: _state.State) -> Finding:
    taken = {name: port for name, port in state.ports.items() if not _ports.is_free(port)}
    if taken:
        found = ", ".join(
            f"{port} ({name}) is taken by {_ports.holder(port) or 'another program'}" for name, port in taken.items()
        )
        return Finding(Verdict.WARN, "ports", found, "the next start chooses others")
    return _attempt("ports", lambda: f"free on {_ports.HOST}, for example {_ports.new_port()}")
