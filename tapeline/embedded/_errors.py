"""What keeps the embedded stack from working; every message names the thing at fault and what to do.

RuntimeFault
└── EmbeddedError
    ├── PackagesMissing     the `embedded` extra is not installed, or its programs do not run on this platform
    ├── DownloadFailed      an artifact could not be fetched
    ├── ChecksumMismatch    a file is not the one the lock names
    ├── FolderUnusable      the data or cache folder cannot be written, entered, or has no space left
    ├── PortBusy            a port asked for by number is taken
    ├── StackBusy           another process owns the servers of this data folder, or they run already
    └── ServerFailed        a server ended or did not answer; carries the last lines of its log
"""

from __future__ import annotations

from pathlib import Path

from runtime.errors import RuntimeFault


class EmbeddedError(RuntimeFault):
    """Base of every error of the embedded stack."""


class PackagesMissing(EmbeddedError):
    """The packages the servers come from are not there or do not run here."""


class DownloadFailed(EmbeddedError):
    """An artifact could not be fetched."""


class ChecksumMismatch(EmbeddedError):
    """`path` has the SHA-256 sum `found` instead of `expected`."""

    def __init__(self, path: Path, *, expected: str, found: str, advice: str) -> None:
        super().__init__(f"{path} is not the file it should be: its SHA-256 is {found}, expected {expected}. {advice}")
        self.path = path
        self.expected = expected
        self.found = found


class FolderUnusable(EmbeddedError):
    """A folder cannot be written or entered, or its file system is full."""


class PortBusy(EmbeddedError):
    """Another program listens on a port asked for by number."""

    exit_code = 4

    def __init__(self, name: str, port: int, holder: str | None) -> None:
        by = f" by {holder}" if holder else ""
        super().__init__(f"port {port}, asked for as {name}, is already in use{by}; free it or choose another")
        self.port = port


class StackBusy(EmbeddedError):
    """Another process owns this data folder or is starting or stopping its servers."""


class ServerFailed(EmbeddedError):
    """A server ended or did not answer in time; `log` is its log file."""

    exit_code = 3

    def __init__(self, server: str, reason: str, log: Path, last_lines: str) -> None:
        shown = f"\nLast lines of {log}:\n{last_lines}" if last_lines else f"\n{log} is empty."
        super().__init__(f"{server} {reason}{shown}")
        self.server = server
        self.reason = reason
        self.log = log
