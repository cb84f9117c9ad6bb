"""Servers, topics and seeds of the fault tests.

Without `TAPELINE_FAULT_SEEDS` one seed of the tests marked `short` is run, as a part of all tests; `make faults` sets it to 3
and runs everything. The other tests are deselected, never skipped: asked for, each of them runs or fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeline.embedded import EmbeddedStack
from tests.cluster import Cluster
from tests.faults.proxy import Line, second_listener
from tests.faults.rig import Rig, Worker
from tests.servers import Addresses, throwaway_stack

SEEDS = os.environ.get("TAPELINE_FAULT_SEEDS")

LONGEST = {"test_broker_outages", "test_crashes", "test_influx_crashes", "test_membership", "test_sink_crashes"}
"""Files that take minutes: a process that began one last would go on alone."""

ACCESS_RULES = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
"""Settings of a broker that lets everybody do what no rule is about."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "short: a fault that is tested with one seed whenever all tests are run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, int(SEEDS or 1) + 1))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SEEDS:
        items.sort(key=lambda item: item.path.stem not in LONGEST)
        return
    here = Path(__file__).parent
    left_out = [item for item in items if here in item.path.parents and item.get_closest_marker("short") is None]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class Shared:
    """The topics that tests share, made anew after a test that spoiled them."""

    def __init__(self, stack: EmbeddedStack, folder: Path) -> None:
        self.stack = stack
        self._folder = folder
        self._cluster: Cluster | None = None
        self.has_standing_worker = False
        """A worker of a whole module reads everything, and would write what another's failed to."""

    def cluster(self, folder: Path) -> Cluster:
        """The topics, for a test that keeps its files in `folder`."""
        if self._cluster is None:
            addresses = Addresses(self.stack.addresses, postgres="postgresql://nobody@127.0.0.1:1/none")
            self._cluster = Cluster(addresses, self._folder)
        self._cluster.folder = folder
        return self._cluster

    def spoil(self) -> None:
        """The topics are of no use to others any more."""
        if self._cluster is not None:
            self._cluster.registry.close()
            self._cluster = None


@pytest.fixture(scope="session")
def line() -> Iterator[Line]:
    """A second way to the broker that can be disturbed."""
    with Line() as line:
        yield line


@pytest.fixture(scope="session")
def shared(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Servers that may be killed; who kills one starts it again."""
    with throwaway_stack(["kafka", "registry"], broker=second_listener(line) + ACCESS_RULES) as stack:
        shared = Shared(stack, tmp_path_factory.mktemp("faults"))
        yield shared
        shared.spoil()


@pytest.fixture
def rig(shared: Shared, tmp_path: Path, seed: int) -> Iterator[Rig]:
    """An application of the test's own."""
    assert not shared.has_standing_worker, "the standing worker of this module would do the work of this test's"
    rig = Rig(shared.cluster(tmp_path), shared.stack, tmp_path, seed)
    yield rig
    rig.end()


@pytest.fixture
def spoiling_rig(shared: Shared, rig: Rig) -> Iterator[Rig]:
    """An application for a test that leaves the topics as no other test could use them."""
    yield rig
    shared.spoil()


@pytest.fixture(scope="module")
def steady(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Worker]]:
    """A worker that nobody harms, for tests that only feed it."""
    folder = tmp_path_factory.mktemp("steady")
    rig = Rig(shared.cluster(folder), shared.stack, folder, seed=0)
    worker = rig.ready_worker("steady", processors={"store": "rocksdict"})
    shared.has_standing_worker = True
    yield rig, worker
    shared.has_standing_worker = False
    rig.end()


@pytest.fixture
def feeding(steady: tuple[Rig, Worker], tmp_path: Path, seed: int) -> Rig:
    """A test's own instruments before the worker that nobody harms."""
    owner, worker = steady
    rig = Rig(owner.cluster, owner.stack, tmp_path, seed, application=owner.application)
    rig.workers.append(worker)
    return rig
