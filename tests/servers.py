"""The one place where tests get real servers from.

Each server comes from, in this order: an environment variable with its address (`TAPELINE_TEST_KAFKA`,
`TAPELINE_TEST_REGISTRY`, `TAPELINE_TEST_POSTGRES`), a container where a Docker engine answers, the embedded stack. Without any
of these the tests fail and say why; nothing is skipped. Tests may empty what they are given.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tapeline.embedded import Addresses, EmbeddedError, EmbeddedStack, kafka

__all__ = ["Addresses", "servers", "throwaway_stack"]

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


@contextmanager
def throwaway_stack(names: Iterable[str] | None = None, *, broker: str = "") -> Iterator[EmbeddedStack]:
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
