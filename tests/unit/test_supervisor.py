"""How workers are kept running: when one that ended is started again, and what ends them all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from socket import gethostname

import pytest
import structlog
from structlog.testing import capture_logs

from runtime import metrics
from runtime.errors import ConfigurationError
from runtime.health import Health
from runtime.retry import Backoff
from runtime.settings import ObservabilitySettings, Settings
from tapeline.supervisor import CALM_SECONDS, Supervisor, WorkerRefused, arguments, own_observability

DELAYS = Backoff(initial_seconds=1, maximum_seconds=8, factor=2, jitter=0)


@pytest.fixture(autouse=True)
def logging_as_shipped() -> Iterator[None]:
    structlog.reset_defaults()
    with capture_logs():
        yield


class Process:
    """A worker that ends when the test says so."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.starts = 1

    def restart(self) -> None:
        assert self.exit_code is not None, "it runs"
        self.exit_code, self.starts = None, self.starts + 1


class World:
    """Two workers and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.workers = [Process(), Process()]
        self.health = Health(("workers",))
        self.supervisor = Supervisor(self.workers, DELAYS, self.health, lambda: self.now)

    def look(self, at: float) -> list[int]:
        """Look at a time; how often each worker has been started until then."""
        self.now = at
        self.supervisor.look()
        return [worker.starts for worker in self.workers]


def figure(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"tapeline_{name}", labels) or 0.0


def test_worker_that_failed_is_started_again_after_a_delay_and_the_others_are_let_alone() -> None:
    world = World()
    assert world.look(10) == [1, 1]
    world.workers[1].exit_code = -9
    assert world.look(10.2) == [1, 1]
    assert world.look(11.1) == [1, 1]
    assert world.look(11.2) == [1, 2]
    assert world.look(30) == [1, 2]


def test_each_failure_in_a_row_makes_the_delay_longer_up_to_its_limit() -> None:
    world, waited = World(), []
    for _ in range(5):
        world.workers[0].exit_code, ended = 1, world.now
        world.look(ended)
        starts = world.workers[0].starts
        while world.look(world.now + 0.5)[0] == starts:
            pass
        waited.append(world.now - ended)
    assert waited == [1, 2, 4, 8, 8]


def test_worker_that_had_run_for_a_while_is_started_again_quickly() -> None:
    world = World()
    for _ in range(3):
        world.workers[0].exit_code = 1
        world.look(world.now)
        world.look(world.now + 8)
    began = world.now
    world.workers[0].exit_code = 1
    world.look(began + CALM_SECONDS)
    assert world.look(began + CALM_SECONDS + 1) == [5, 1]


def test_worker_that_ended_without_a_failure_is_started_again_as_well() -> None:
    world = World()
    world.workers[0].exit_code = 0
    world.look(0)
    assert world.look(1) == [2, 1]


def test_wrong_configuration_of_one_worker_ends_all_with_its_exit_code() -> None:
    world = World()
    world.workers[1].exit_code = ConfigurationError.exit_code
    with pytest.raises(WorkerRefused, match="worker 1 cannot run with these settings") as refusal:
        world.look(1)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("code", [1, 3, -9, 143])
def test_failure_that_may_pass_ends_nothing(code: int) -> None:
    world = World()
    world.workers[0].exit_code = code
    assert world.look(0) == [1, 1]


def test_readiness_and_figures_tell_which_workers_run() -> None:
    world, restarts = World(), figure("worker_restarts_total", worker="1")
    world.look(0)
    assert world.health.reasons() == {}
    assert figure("workers_running") == 2
    world.workers[1].exit_code = 1
    world.look(5)
    assert world.health.reasons() == {"workers": "not running: 1"}
    assert figure("workers_running") == 1
    world.look(6)
    assert world.health.reasons() == {}
    assert figure("workers_running") == 2
    assert figure("worker_restarts_total", worker="1") == restarts + 1


def settings(port: int = 0, instance_id: str | None = None) -> Settings:
    return Settings.model_validate(
        {
            "processors": {"application": "app", "worker": {"instance_id": instance_id}},
            "observability": {"metrics_port": port},
        }
    )


def overrides(command: list[str]) -> list[str]:
    return [value for option, value in pairwise(command) if option == "--set"]


def test_worker_gets_the_options_of_the_command_line_and_its_number() -> None:
    command = arguments(settings(), ["-c", "my.yaml", "--set", "kafka.bootstrap=host:1"], 2)
    assert command[:3] == ["process", "-c", "my.yaml"]
    assert command[-2:] == ["--worker", "2"]
    assert overrides(command)[0] == "kafka.bootstrap=host:1"


def test_each_worker_has_a_name_in_the_group_of_its_own() -> None:
    assert [overrides(arguments(settings(), [], number)) for number in (0, 1)] == [
        [f"processors.worker.instance_id=app-{gethostname()}-0"],
        [f"processors.worker.instance_id=app-{gethostname()}-1"],
    ]
    assert overrides(arguments(settings(instance_id="host-a"), [], 1)) == ["processors.worker.instance_id=host-a-1"]


def test_what_sets_a_worker_apart_has_the_last_word() -> None:
    command = arguments(settings(9000), ["--set", "observability.metrics_port=9000"], 1)
    assert overrides(command)[0] == "observability.metrics_port=9000"
    assert overrides(command)[-1] == "observability.metrics_port=9001"


def test_metrics_ports_follow_each_other_and_the_supervisor_has_the_last() -> None:
    ports = [word for number in range(3) for word in overrides(arguments(settings(9000), [], number)) if "port" in word]
    assert ports == [f"observability.metrics_port={port}" for port in (9000, 9001, 9002)]
    assert own_observability(ObservabilitySettings(metrics_port=9000), 3).metrics_port == 9003


def test_free_metrics_port_stays_a_free_one() -> None:
    assert not [word for word in overrides(arguments(settings(0), [], 1)) if "port" in word]
    assert own_observability(ObservabilitySettings(metrics_port=0), 3).metrics_port == 0


def test_too_few_metrics_ports_are_refused_by_their_setting() -> None:
    assert own_observability(ObservabilitySettings(metrics_port=65_533), 2).metrics_port == 65_535
    with pytest.raises(ConfigurationError, match=r"observability\.metrics_port: 2 workers and their supervisor need"):
        own_observability(ObservabilitySettings(metrics_port=65_534), 2)
