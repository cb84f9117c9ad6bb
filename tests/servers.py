"""The one place where tests get real servers from.

Each server comes from, in this order: an environment variable with its address (`TAPELINE_TEST_KAFKA`,
`TAPELINE_TEST_REGISTRY`, `TAPELINE_TEST_POSTGRES`, `TAPELINE_TEST_INFLUXDB`), a container where a Docker engine answers, the
embedded stack. Without any of these the tests fail and say why; nothing is skipped. Tests may empty what they are given.

The embedded InfluxDB is built from source once, which takes minutes: the build is begun beside the first tests, at the lowest
priority, and files with tests that want InfluxDB come last. Where tests run in several processes (`make test`) each has servers
of its own, but one build is waited for by all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tapeline.embedded import Addresses, EmbeddedError, EmbeddedStack, influxdb, kafka
from tapeline.embedded._folders import cache_folder

__all__ = ["Addresses", "servers", "throwaway_stack"]

_BUILD_TIMEOUT = 1800  # seconds

INFLUXDB = "TAPELINE_TEST_INFLUXDB"
VARIABLES = {
    "kafka": "TAPELINE_TEST_KAFKA",
    "registry": "TAPELINE_TEST_REGISTRY",
    "postgres": "TAPELINE_TEST_POSTGRES",
}


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """Kafka, the schema registry and PostgreSQL, shared by all tests of the session."""
    given = {server: address for server, variable in VARIABLES.items() if (address := os.environ.get(variable))}
    wanted = [server for server in VARIABLES if server not in given]
    with ExitStack() as stack:
        try:
            found = stack.enter_context(_started(wanted)) if wanted else {}
        except EmbeddedError as error:
            pytest.fail(f"no {', '.join(wanted)} for the tests: {error}", pytrace=False)
        yield Addresses(**found, **given)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with tests that want InfluxDB last; the first of them may have to wait for its build."""
    wanting = list(filter(_wants_influxdb, items))
    files = {item.path for item in wanting}
    items.sort(key=lambda item: item.path in files)
    for item in wanting:
        item.add_marker(pytest.mark.timeout(_BUILD_TIMEOUT))


@pytest.fixture(scope="session", autouse=True)
def influxdb_build(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes] | None]:
    """The build of InfluxDB, begun where a test will want it and it is not there; None where there is nothing to build."""
    if not any(map(_wants_influxdb, request.session.items)) or not influxdb.lacks(cache_folder()):
        yield None
        return
    command = ["nice", "-n", "19", sys.executable, "-m", "tapeline.embedded._influxd_build"]
    build = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield build
    if request.session.exitstatus == pytest.ExitCode.INTERRUPTED:
        build.terminate()
    build.wait()  # another process of these tests may wait for it


@pytest.fixture(scope="session")
def influxdb_program(influxdb_build: subprocess.Popen[bytes] | None) -> None:
    """For tests that start an InfluxDB of their own: its build has ended. If it failed the start tells why."""
    if influxdb_build is not None:
        influxdb_build.wait()


@pytest.fixture(scope="session")
def influxdb_server(influxdb_program: None) -> Iterator[str]:
    """Address of InfluxDB, with organisation and token, shared by all tests of the session."""
    if given := os.environ.get(INFLUXDB):
        yield given
        return
    try:
        with _started(["influxdb"]) as found:
            yield found["influxdb"]
    except EmbeddedError as error:
        pytest.fail(f"no influxdb for the tests: {error}", pytrace=False)


def _wants_influxdb(item: pytest.Item) -> bool:
    return "influxdb_program" in getattr(item, "fixturenames", ())


@contextmanager
def throwaway_stack(names: Iterable[str] = tuple(VARIABLES), *, broker: str = "") -> Iterator[EmbeddedStack]:
    """An embedded stack of one's own, for tests that kill, freeze or break servers; all of it is gone afterwards.

    `broker` are settings of Kafka's that win over those of the stack.
    """
    folder = Path(tempfile.mkdtemp(prefix="tapeline-test-"))  # pytest's own folders are closed to PostgreSQL's user
    (folder / kafka.ADDED_SETTINGS).write_text(broker, encoding="utf-8")
    try:
        with EmbeddedStack(folder, names, durable=False) as stack:
            yield stack
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(names: list[str]) -> Iterator[dict[str, str]]:
    from tests import containers  # slow to import, and only wanted where a server is

    if containers.engine_answers():
        with ExitStack() as stack:
            yield {name: containers.START[name](stack) for name in names}
    else:
        with throwaway_stack(names) as embedded:
            yield {name: embedded.addresses[name] for name in names}
