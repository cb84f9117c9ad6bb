"""Keeps the workers of `tapeline process --workers N` running: N processes, each with a number, started again when they end.

A worker's number leads to its data folder, its name in the consumer group and its metrics port, so that one started again takes
up what it left. The supervisor itself touches no record: killed, it takes its workers with it and loses nothing else.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Gauge

from runtime import metrics
from runtime.errors import AddressUnavailable, ConfigurationError, Problem
from runtime.health import Health, serving
from runtime.kafka import check_broker
from runtime.logs import get_logger
from runtime.retry import Backoff
from runtime.settings import ObservabilitySettings, Settings
from tapeline.children import STOP_SECONDS, Child, stop_all

log = get_logger(__name__)

DRAIN_SECONDS = STOP_SECONDS + 1
"""Time for the supervisor to finish; its workers are killed before it is over."""

CALM_SECONDS = 60.0
"""A worker that lived so long is started again as quickly as after its first failure."""

LOOK_SECONDS = 0.2
HIGHEST_PORT = 65_535

FINAL = frozenset({ConfigurationError.exit_code, AddressUnavailable.exit_code})
"""Exit codes of what another attempt does not mend."""

RUNNING = Gauge("tapeline_workers_running", "Workers of this supervisor that run now.", registry=metrics.REGISTRY)
RESTARTS = Counter("tapeline_worker_restarts", "Workers started again after they ended.", ["worker"], registry=metrics.REGISTRY)


class WorkerRefused(Exception):
    """A worker ended for a reason that another attempt does not mend; it has told it itself."""

    def __init__(self, worker: int, exit_code: int) -> None:
        super().__init__(f"worker {worker} cannot run with these settings (exit code {exit_code}, its own message is above)")
        self.exit_code = exit_code


class Process(Protocol):
    """What the supervisor asks of a worker's process."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""

    def restart(self) -> None:
        """Start it again after it ended."""


@dataclass(slots=True)
class Worker:
    """A worker's process, when it was started, and when it will be started again if it has ended."""

    number: int
    process: Process
    started: float
    failures: int = 0
    due: float | None = None


class Supervisor:
    """Starts workers again that ended, later after each failure in a row."""

    def __init__(
        self, processes: Iterable[Process], backoff: Backoff, health: Health, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._backoff = backoff
        self._health = health
        self._workers = [Worker(number, process, clock()) for number, process in enumerate(processes)]

    def look(self) -> None:
        """Look once after every worker. Raises WorkerRefused."""
        now = self._clock()
        for worker in self._workers:
            code = worker.process.exit_code
            if code is None:
                continue
            if worker.due is None:
                self._note_end(worker, code, now)
            elif now >= worker.due:
                self._restart(worker, now)
        self._show([worker.number for worker in self._workers if worker.due is not None])

    def _note_end(self, worker: Worker, code: int, now: float) -> None:
        if code in FINAL:
            raise WorkerRefused(worker.number, code)
        if now - worker.started >= CALM_SECONDS:
            worker.failures = 0
        delay = self._backoff.delay(worker.failures)
        worker.failures += 1
        worker.due = now + delay
        log.error("worker ended, starting it again", worker=worker.number, exit_code=code, delay_seconds=round(delay, 1))

    def _restart(self, worker: Worker, now: float) -> None:
        worker.process.restart()
        worker.started, worker.due = now, None
        RESTARTS.labels(worker.number).inc()

    def _show(self, ended: Sequence[int]) -> None:
        RUNNING.set(len(self._workers) - len(ended))
        if ended:
            self._health.not_ready("workers", f"not running: {', '.join(map(str, ended))}")
        else:
            self._health.ready("workers")
        self._health.beat()


def run(settings: Settings, config: Sequence[str], workers: int, stop: threading.Event) -> None:
    """Run `workers` workers until `stop` is set; `config` are the options of the command line that lead to `settings`.

    Raises ServerUnreachable when there is no broker at the start, WorkerRefused.
    """
    observability = own_observability(settings.observability, workers)
    check_broker(settings.kafka)
    health, children = Health(("workers",)), list[Child]()
    with serving(health, observability):
        try:
            for number in range(workers):
                children.append(Child(arguments(settings, config, number)))
            supervisor = Supervisor(children, Backoff(), health)
            log.info("supervising", workers=workers)
            while not stop.wait(LOOK_SECONDS):
                supervisor.look()
        finally:
            stop_all(children)


def arguments(settings: Settings, config: Sequence[str], number: int) -> list[str]:
    """The command line of worker `number`: the supervisor's own, and what only this worker has."""
    name = settings.processors.worker.instance_id or f"{settings.processors.application}-{socket.gethostname()}"
    own = {"processors.worker.instance_id": f"{name}-{number}"}
    if port := settings.observability.metrics_port:
        own["observability.metrics_port"] = str(port + number)
    overrides = [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
    return ["process", *config, *overrides, "--worker", str(number)]


def own_observability(observability: ObservabilitySettings, workers: int) -> ObservabilitySettings:
    """The supervisor's own: the port behind those of its workers. Raises ConfigurationError when there is none."""
    if not (port := observability.metrics_port):
        return observability
    if port + workers > HIGHEST_PORT:
        text = f"{workers} workers and their supervisor need a port each, from this one on"
        raise ConfigurationError(Problem("observability.metrics_port", text, str(port), hint=f"they end at {HIGHEST_PORT}"))
    return observability.model_copy(update={"metrics_port": port + workers})
