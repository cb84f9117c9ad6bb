"""What a data folder remembers between commands: its ports, and which processes were started.

A process is recorded with more than its id, so that a later command never takes a stranger that got the same id for a server.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tapeline.embedded._errors import EmbeddedError, FolderUnusable


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process: its id, when it was created in seconds since the epoch, and for a server the folder it works in."""

    pid: int
    created: float
    home: str = ""


class State(msgspec.Struct):
    """Ports by name, running servers by name, and the process that owns them (None: they outlive the command)."""

    ports: dict[str, int] = {}
    processes: dict[str, ProcessRecord] = {}
    owner: ProcessRecord | None = None


def load(path: Path) -> State:
    """The recorded state, empty when there is none.

    Raises:
        EmbeddedError: the file is not ours or damaged.

    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise EmbeddedError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise EmbeddedError(f"{path} is damaged ({error}); end the servers it names and delete it") from error


def save(path: Path, state: State) -> None:
    """Replace the recorded state as a whole: a reader sees the old one or the new one.

    Raises:
        FolderUnusable: it cannot be written.

    """
    draft = path.with_suffix(".new")
    try:
        draft.write_bytes(msgspec.json.encode(state))
        draft.chmod(0o600)
        os.replace(draft, path)
    except OSError as error:
        raise FolderUnusable(f"cannot write {path}: {error.strerror}") from error
