"""How a stack tells what it does: `Progress` says nothing, `ConsoleProgress` shows bars, or lines without a terminal."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console
from rich.status import Status


class Progress:
    """What happens while a stack starts and stops. Silent; methods may be called from several threads."""

    def note(self, message: str) -> None:
        """Something worth a line."""

    def download_planned(self, files: int, size: int) -> None:
        """`files` of together `size` bytes are going to be fetched."""

    def download_began(self, filename: str, size: int) -> None:
        """One of them begins."""

    def download_advanced(self, filename: str, count: int) -> None:
        """`count` more bytes of it are here; fewer than none when a try failed and it begins anew."""

    def download_ended(self, filename: str) -> None:
        """It is whole and checked."""

    def server_starting(self, server: str) -> None:
        """A server is being started."""

    def server_ready(self, server: str, port: int) -> None:
        """It answers."""

    def server_stopping(self, server: str) -> None:
        """It was asked to end."""


class ConsoleProgress(Progress):
    """Bars and a spinner on a console, for the time of a `with` block; only lines where it is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._files: dict[str, bars.TaskID] = {}
        self._all: bars.TaskID | None = None
        self._spinner = console.status("")
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._hide(self._bars)
        self._hide(self._spinner)

    def note(self, message: str) -> None:
        """Print the line above what moves."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def download_planned(self, files: int, size: int) -> None:
        """Show the bar over all files."""
        self.note(f"downloading {files} files, {size / 1e6:.0f} MB, this one time")
        self._all = self._bars.add_task("all files", total=size)
        self._show(self._bars)

    def download_began(self, filename: str, size: int) -> None:
        """Show a bar for the file."""
        self._files[filename] = self._bars.add_task(filename, total=size)

    def download_advanced(self, filename: str, count: int) -> None:
        """Move the file's bar and the one over all."""
        self._bars.advance(self._files[filename], count)
        if self._all is not None:
            self._bars.advance(self._all, count)

    def download_ended(self, filename: str) -> None:
        """Take the file's bar away; with the last one the bar over all goes, too."""
        self._bars.remove_task(self._files.pop(filename))
        if self._bars.finished:
            self._hide(self._bars)

    def server_starting(self, server: str) -> None:
        """Add it to the line that spins."""
        with self._lock:
            self._began[server] = time.monotonic()
            self._spin()

    def server_ready(self, server: str, port: int) -> None:
        """Print where it listens and how long it took."""
        with self._lock:
            seconds = time.monotonic() - self._began.pop(server)
            self._console.print(f"[green]✓[/] {server:<9} 127.0.0.1:{port}  {seconds:.1f} s", highlight=False)
            self._spin()

    def server_stopping(self, server: str) -> None:
        """Print it."""
        self.note(f"stopping {server}")

    def _spin(self) -> None:
        if self._began:
            self._spinner.update("starting " + ", ".join(sorted(self._began)))
            self._show(self._spinner)
        else:
            self._hide(self._spinner)

    def _show(self, moving: bars.Progress | Status) -> None:
        if self._console.is_terminal:
            moving.start()

    def _hide(self, moving: bars.Progress | Status) -> None:
        if self._console.is_terminal:
            moving.stop()
