"""The test servers as containers, for machines with a Docker engine; the same versions as in the embedded stack."""

from __future__ import annotations

import gc
import warnings
from contextlib import ExitStack

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

KAFKA_IMAGE = "apache/kafka:4.1.1"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.0.9"
POSTGRES_IMAGE = "postgres:18"
INFLUXDB_IMAGE = "influxdb:2.7.12"


def engine_answers() -> bool:
    """Whether there is a Docker engine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # without an engine the client forgets to close its socket
        try:
            return bool(DockerClient().client.ping())
        except Exception:  # noqa: BLE001  # the library has no common base for what can go wrong on the way to an engine
            return False
        finally:
            gc.collect()


def _kafka(stack: ExitStack) -> str:
    """The broker must know from the start at which address its clients see it."""
    host, port = DockerClient().host(), 29092
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    broker = DockerContainer(KAFKA_IMAGE).with_envs(**settings).with_bind_ports(9092, port)
    stack.enter_context(broker.waiting_for(LogMessageWaitStrategy("Kafka Server started")))
    return f"{host}:{port}"


def _registry(stack: ExitStack) -> str:
    registry = DockerContainer(REGISTRY_IMAGE).with_exposed_ports(8080)
    stack.enter_context(registry.waiting_for(HttpWaitStrategy(8080, "/health/ready").for_status_code(200)))
    return f"http://{registry.get_container_host_ip()}:{registry.get_exposed_port(8080)}/apis/ccompat/v7"


def _postgres(stack: ExitStack) -> str:
    database = PostgresContainer(POSTGRES_IMAGE, username="tapeline", dbname="tapeline", driver=None)
    stack.enter_context(database.with_command(["postgres", "-c", "fsync=off"]))
    return database.get_connection_url()


def _influxdb(stack: ExitStack) -> str:
    setup = {
        "USERNAME": "tapeline",
        "PASSWORD": "throw-away",
        "ORG": "tapeline",
        "BUCKET": "default",
        "ADMIN_TOKEN": "throw-away",
    }
    settings = {f"DOCKER_INFLUXDB_INIT_{name}": value for name, value in setup.items()}
    server = DockerContainer(INFLUXDB_IMAGE).with_envs(DOCKER_INFLUXDB_INIT_MODE="setup", **settings).with_exposed_ports(8086)
    stack.enter_context(server.waiting_for(HttpWaitStrategy(8086, "/health").for_status_code(200)))
    return f"http://tapeline:throw-away@{server.get_container_host_ip()}:{server.get_exposed_port(8086)}"


START = {"kafka": _kafka, "registry": _registry, "postgres": _postgres, "influxdb": _influxdb}
