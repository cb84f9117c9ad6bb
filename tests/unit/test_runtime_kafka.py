"""Client options: accepted by the real clients, and secure where the settings say so."""

import asyncio
import logging
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient
from pydantic import SecretStr

from runtime.errors import ConfigurationError, ServerUnreachable
from runtime.kafka import (
    admin_options,
    aiokafka_options,
    check_broker,
    consumer_options,
    producer_options,
    registry_options,
    ssl_context,
    tail_options,
)
from runtime.settings import KafkaSettings, RegistrySettings

NOBODY = "127.0.0.1:1"
"""An address of this machine at which nobody listens."""

SASL = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-256", "username": "u", "password": "p"}


def kafka(**security: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap": NOBODY, "connect_timeout_seconds": 0.2, "security": security})


@pytest.mark.parametrize("security", [{}, {"protocol": "SSL"}, SASL])
def test_the_client_library_accepts_every_option(security: dict[str, Any]) -> None:
    settings = kafka(**security)
    Producer(producer_options(settings, "test"))
    AdminClient(admin_options(settings, "test"))
    Consumer(consumer_options(settings, "test", group_id="g", without_offset="earliest")).close()
    Consumer(tail_options(settings, "test", without_offset="error")).close()


def fill(producer: Producer, *, record_bytes: int) -> int:
    """Produce until the queue is full; returns the number of records in it."""
    for queued in count():
        try:
            producer.produce("t", bytes(record_bytes))
        except BufferError:
            return queued
    raise AssertionError


def test_the_producer_is_idempotent_and_bounded_by_bytes() -> None:
    options = producer_options(kafka(), "ingest", queue_bytes=1024 * 1024, linger_seconds=0.005, delivery_timeout_seconds=9)
    assert (options["enable.idempotence"], options["acks"], options["compression.type"]) == (True, "all", "lz4")
    assert (options["linger.ms"], options["delivery.timeout.ms"], options["client.id"]) == (5.0, 9000, "tapeline-ingest")
    producer = Producer(options)
    assert 1000 < fill(producer, record_bytes=100) < 1024 * 1024 / 100
    producer.purge()
    producer.flush(1)


def test_consumers_commit_by_hand() -> None:
    for options in (
        consumer_options(kafka(), "sink", group_id="g", without_offset="error"),
        tail_options(kafka(), "gateway", without_offset="latest"),
    ):
        assert options["enable.auto.commit"] is options["enable.auto.offset.store"] is False
    assert options["auto.offset.reset"] == "latest"
    assert options["group.id"] == "tapeline-gateway-ungrouped"


def test_both_clients_get_the_same_credentials() -> None:
    settings = kafka(**SASL)
    native, plain = admin_options(settings, "x"), aiokafka_options(settings, "x")
    assert native["security.protocol"] == plain["security_protocol"] == "SASL_SSL"
    assert native["sasl.mechanism"] == plain["sasl_mechanism"] == "SCRAM-SHA-256"
    assert native["sasl.username"] == plain["sasl_plain_username"] == "u"
    assert native["sasl.password"] == plain["sasl_plain_password"] == "p"
    assert native["client.id"] == plain["client_id"] == "tapeline-x"


def test_the_registry_client_gets_its_credentials_and_leaves_retries_to_its_caller() -> None:
    plain = registry_options(RegistrySettings())
    assert plain == {"url": "http://127.0.0.1:8081", "timeout": 5.0, "max.retries": 0}
    options = registry_options(RegistrySettings(username="u", password=SecretStr("p")))
    assert options["basic.auth.user.info"] == "u:p"
    SchemaRegistryClient(options)


def test_without_security_no_credentials_are_given() -> None:
    assert not [name for name in admin_options(kafka(), "x") if name.startswith(("sasl", "ssl"))]
    assert aiokafka_options(kafka(), "x")["ssl_context"] is None


async def make_aiokafka_consumer(settings: KafkaSettings) -> None:
    await AIOKafkaConsumer(**aiokafka_options(settings, "x")).stop()


def test_aiokafka_accepts_every_option() -> None:
    for security in ({}, {"protocol": "SSL"}, SASL):
        asyncio.run(make_aiokafka_consumer(kafka(**security)))


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    settings = kafka(protocol="SSL", ca_file=str(file))
    with pytest.raises(ConfigurationError, match=r"kafka\.security: the certificate files cannot be used"):
        ssl_context(settings.security)
    with pytest.raises(ConfigurationError, match=r"kafka\.security: "):
        check_broker(settings)


def test_a_missing_broker_is_named_with_the_reason_in_time(caplog: pytest.LogCaptureFixture) -> None:
    before = time.monotonic()
    with pytest.raises(ServerUnreachable, match=rf"Kafka broker at {NOBODY} is not reachable: .*Connection refused"):
        check_broker(kafka())
    assert time.monotonic() - before < 2
    assert caplog.records == []


def test_the_client_library_logs_through_ours() -> None:
    assert admin_options(kafka(), "x")["logger"] is logging.getLogger("librdkafka")
