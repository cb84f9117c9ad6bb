"""Health: ready when every check passed, live while the service's loop turns."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest

from runtime import metrics
from runtime.errors import AddressUnavailable
from runtime.health import Health, HealthServer, keep_beating


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(["kafka", "postgres"], beat_within_seconds=5, clock=clock)


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    with HealthServer(health) as server:
        yield server


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.host}:{server.port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_service_is_ready_when_every_check_passed(health: Health) -> None:
    assert health.reasons() == {"kafka": "starting", "postgres": "starting"}
    health.ready("kafka")
    health.ready("postgres")
    assert health.reasons() == {}


def test_a_check_that_fails_later_makes_it_not_ready_again(health: Health) -> None:
    health.ready("kafka")
    health.ready("postgres")
    health.not_ready("kafka", "broker lost")
    assert health.reasons() == {"kafka": "broker lost"}


def test_a_check_nobody_declared_is_an_error(health: Health) -> None:
    with pytest.raises(KeyError, match="'kafak' is not one of the checks: kafka, postgres"):
        health.ready("kafak")


def test_a_service_is_live_while_it_beats(health: Health, clock: Clock) -> None:
    clock.now += 4.9
    assert health.is_live()
    clock.now += 0.1
    assert not health.is_live()
    health.beat()
    assert health.is_live()


def test_the_beat_of_an_event_loop_goes_on_until_cancelled(health: Health, clock: Clock) -> None:
    async def scenario() -> None:
        beating = asyncio.create_task(keep_beating(health, every_seconds=0))
        for _ in range(3):
            clock.now += 10
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert health.silence_seconds() == 0
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating

    asyncio.run(scenario())


def test_readiness_is_answered_with_its_reasons(server: HealthServer, health: Health) -> None:
    health.ready("kafka")
    status, body = get(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reasons": {"postgres": "starting"}})
    health.ready("postgres")
    status, body = get(server, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "reasons": {}})


def test_life_is_answered_by_the_last_beat(server: HealthServer, clock: Clock) -> None:
    assert get(server, "/healthz")[0] == 200
    clock.now += 6
    status, body = get(server, "/healthz?verbose")
    assert (status, json.loads(body)) == (503, {"live": False, "seconds_since_beat": 6.0})


def test_metrics_are_served(server: HealthServer) -> None:
    metrics.RECORDS_IN.labels("md.trades").inc()
    status, body = get(server, "/metrics")
    assert status == 200
    assert 'tapeline_records_in_total{topic="md.trades"}' in body


def test_another_path_is_answered_with_those_there_are(server: HealthServer) -> None:
    status, body = get(server, "/nothing")
    assert status == 404
    assert "/metrics, /healthz and /readyz" in json.loads(body)["error"]


def test_a_busy_port_is_named(server: HealthServer, health: Health) -> None:
    with pytest.raises(AddressUnavailable, match=f"the metrics server cannot listen on 127.0.0.1:{server.port}: Address"):
        HealthServer(health, port=server.port)


def test_a_closed_server_no_longer_listens(health: Health) -> None:
    with HealthServer(health) as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=1)


def test_a_client_that_sends_nothing_does_not_hold_up_others(server: HealthServer) -> None:
    with socket.create_connection((server.host, server.port), timeout=1):
        assert get(server, "/healthz")[0] == 200
