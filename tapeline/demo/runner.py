"""Starts the stack and every service, shows what happens, and ends all of it in order."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from rich.console import Console
from rich.live import Live

from runtime.settings import load
from sinks.stores import postgres
from tapeline import embedded
from tapeline.children import stop_all
from tapeline.commands.topics import apply_topics
from tapeline.demo.figures import Figures, read_figures
from tapeline.demo.listener import Listener
from tapeline.demo.services import DemoFailed, Service, free_port
from tapeline.demo.view import Moment, draw, status_line, summary

START_SECONDS = 60.0
DRAIN_SECONDS = 10.0
MINUTE_WITHIN = 20
"""Seconds from the start of the recording to its first full minute, so that a candle closes soon."""

RECORDED_SYMBOL = "binance:BTC-USDT"
SIMULATED_SYMBOL = "sim:S001-USD"

SIMULATED_FEED = {"feeds": {"sim": {"feed": "simulated", "symbols": [SIMULATED_SYMBOL]}}}

_REDRAWS_PER_SECOND = 4
_READINGS_FOR_RATES = 3 * _REDRAWS_PER_SECOND
_SECONDS_BETWEEN_LINES = 5.0
_QUIET_READINGS = 6
_PREFERRED_PORT = 8080


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`seconds` None runs until Ctrl-C; `keep` is a data folder that outlives the demo; `simulate` uses the simulated feed."""

    seconds: float | None = None
    keep: Path | None = None
    simulate: bool = False


def run(options: DemoOptions, console: Console) -> None:
    """Run the demo to its end. Raises DemoFailed, EmbeddedError and what the commands raise that it consists of."""
    with (
        _folder(options.keep) as folder,
        embedded.ConsoleProgress(console) as progress,
        embedded.EmbeddedStack(folder, ("registry", "postgres"), progress=progress) as stack,
    ):
        demo = Demo(options, console, folder, stack.addresses)
        try:
            demo.start()
            asyncio.run(demo.watch())
        finally:
            demo.end()
        demo.sum_up()


class Demo:
    """The services on a running stack."""

    def __init__(self, options: DemoOptions, console: Console, folder: Path, servers: Mapping[str, str]) -> None:
        self._options = options
        self._console = console
        self._folder = folder
        self._servers = servers
        self._logs = folder / "logs"
        self._gateway_port = _gateway_port()
        self._path = folder / "demo.yaml"
        self._goes_on = self._path.exists()
        self._write_config()
        self._services: list[Service] = []
        self._source: Service | None = None
        self._notices: tuple[str, ...] = ()
        self._final = Figures()
        symbol = SIMULATED_SYMBOL if options.simulate else RECORDED_SYMBOL
        self._listener = Listener(f"ws://127.0.0.1:{self._gateway_port}", symbol, lambda: time.time_ns() // 1000)

    def start(self) -> None:
        """Create topics and tables, then start the services and wait until each can work."""
        settings = load(self._path)
        with self._console.status("creating topics, schemas and tables"):
            apply_topics(settings)
            postgres.migrate(settings)
        for name, arguments in {"process": ["process"], "sink": ["sink", "postgres"], "gateway": ["gateway"]}.items():
            self._services.append(Service(name, arguments, self._path, self._logs))
        with self._console.status("starting the processors, the sink and the gateway"):
            self._wait_until_ready()
        self._source = Service("ingest", self._source_command(), self._path, self._logs)

    async def watch(self) -> None:
        """Show what happens until the time is over or Ctrl-C."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        listening = asyncio.create_task(self._listener.run())
        try:
            await self._show(stop, listening)
        finally:
            await asyncio.to_thread(self._stop_source)
            await self._drain()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    def end(self) -> None:
        """Stop what runs; the stack is stopped by its own block."""
        self._stop_source()
        stop_all(self._services)

    def sum_up(self) -> None:
        """Print what the demo did."""
        self._console.print(summary(self._final, self._listener))
        if self._options.keep:
            self._console.print(f"Data and logs are kept in {self._folder}.", highlight=False)

    # showing

    async def _show(self, stop: asyncio.Event, listening: asyncio.Task[None]) -> None:
        began, readings = time.monotonic(), deque[tuple[float, Figures]](maxlen=_READINGS_FOR_RATES)
        on_terminal = self._console.is_terminal
        live = Live(console=self._console, auto_refresh=False, transient=True) if on_terminal else None
        next_line = 0.0
        with live or nullcontext():
            while not stop.is_set() and not self._is_over(time.monotonic() - began):
                if listening.done():
                    listening.result()
                self._revive()
                figures, now = await asyncio.to_thread(self._figures), time.monotonic()
                readings.append((now, figures))
                moment = Moment(now - began, figures, _rates(readings), self._notices)
                if live:
                    live.update(draw(moment, self._listener, self._addresses()), refresh=True)
                elif moment.seconds >= next_line:
                    next_line += _SECONDS_BETWEEN_LINES
                    self._console.print(status_line(moment, self._listener), highlight=False, soft_wrap=True)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1 / _REDRAWS_PER_SECOND)

    def _is_over(self, seconds: float) -> bool:
        return self._options.seconds is not None and seconds >= self._options.seconds

    def _addresses(self) -> dict[str, str]:
        gateway = f"http://127.0.0.1:{self._gateway_port}"
        return {
            "REST, OpenAPI page": f"{gateway}/docs",
            "WebSocket": f"ws://127.0.0.1:{self._gateway_port}/api/ws/market",
            **{name: _without_password(address) for name, address in self._servers.items()},
            "logs": str(self._logs),
        }

    def _figures(self) -> Figures:
        services = [*self._services, *([self._source] if self._source else [])]
        return read_figures(service.metrics_text() for service in services)

    # services

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while slow := [service.name for service in self._services if not service.is_ready()]:
            if time.monotonic() > deadline:
                raise DemoFailed(f"not ready after {START_SECONDS:.0f} s: {', '.join(slow)}; see the logs in {self._logs}")
            time.sleep(0.1)

    def _revive(self) -> None:
        """Start a service again that failed; the recording begins anew when it is over. Raises DemoFailed."""
        for service in [*self._services, *([self._source] if self._source else [])]:
            if service.has_failed():
                service.count_failure()
                self._notices = (*self._notices[-2:], f"{service.name} failed and was started again, see {service.log}")
            if service.has_ended():
                self._goes_on = True
                service.restart(self._source_command() if service is self._source else None)

    def _stop_source(self) -> None:
        if self._source:
            stop_all([self._source])

    async def _drain(self) -> None:
        """Let what was published arrive everywhere, so that the summary is of whole figures."""
        deadline, quiet = time.monotonic() + DRAIN_SECONDS, 0
        while time.monotonic() < deadline and quiet < _QUIET_READINGS:
            figures = await asyncio.to_thread(self._figures)
            quiet = quiet + 1 if figures.counters() == self._final.counters() else 0
            self._final = figures
            await asyncio.sleep(1 / _REDRAWS_PER_SECOND)

    def _source_command(self) -> list[str]:
        if self._options.simulate:
            return ["ingest"]
        command = ["replay", *map(str, sample_files()), "--times", "now"]
        # Set back in time a second run would overlap with the first, whose later trades have the last word.
        return command if self._goes_on else [*command, "--minute-within", str(MINUTE_WITHIN)]

    def _write_config(self) -> None:
        settings = {
            "kafka": {"bootstrap": self._servers["kafka"]},
            "registry": {"url": self._servers["registry"]},
            "postgres": {"dsn": self._servers["postgres"]},
            "ingest": SIMULATED_FEED if self._options.simulate else {},
            "processors": {"store": "memory", "state_dir": str(self._folder / "state")},
            "gateway": {"port": self._gateway_port},
            "observability": {"log_format": "json"},
        }
        self._logs.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # it holds the database's password
        self._path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def sample_files() -> Sequence[Path]:
    """The recording shipped with the package, in order."""
    samples = Path(str(files("tapeline") / "samples"))
    return sorted(samples.glob("*.gz"))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to keep, else a fresh one that is gone afterwards."""
    if keep is not None:
        yield keep.expanduser().absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="tapeline-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _gateway_port() -> int:
    """The port that people expect, if it is free."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", _PREFERRED_PORT))
        except OSError:
            return free_port()
    return _PREFERRED_PORT


def _rates(readings: Sequence[tuple[float, Figures]]) -> dict[str, float]:
    """Records a second by topic, from the oldest of the readings to the newest."""
    (began, before), (ended, after) = readings[0], readings[-1]
    if began == ended:
        return {}
    counts, earlier = (figures.by("tapeline_records_out_total", "topic") for figures in (after, before))
    return {topic: max(0.0, count - earlier.get(topic, 0)) / (ended - began) for topic, count in counts.items()}


def _without_password(address: str) -> str:
    return re.sub(r"(://[^:/@]+):[^@]+@", r"\1:***@", address)
