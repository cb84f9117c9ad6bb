"""Options for the Kafka clients, from settings: the one place that knows how security is spelt by each of them.

librdkafka (the `confluent_kafka` package) takes dotted options, aiokafka takes keyword arguments. The results hold
passwords: never log them. `confluent_kafka` is imported only where a client is made, as settings are read more often.
"""

import logging
import ssl
import time
from typing import Any, Literal

from runtime.errors import ConfigurationError, Problem, ServerUnreachable
from runtime.settings.servers import KafkaSettings, RegistrySettings, SecuritySettings

__all__ = [
    "admin_options",
    "aiokafka_options",
    "check_broker",
    "consumer_options",
    "producer_options",
    "registry_options",
    "ssl_context",
    "tail_options",
]

_LOGGER = logging.getLogger("librdkafka")
_SILENT = logging.getLogger("librdkafka.check")
_SILENT.setLevel(logging.CRITICAL + 1)

Options = dict[str, Any]


def producer_options(
    kafka: KafkaSettings,
    client: str,
    *,
    queue_bytes: int = 64 * 1024 * 1024,
    linger_seconds: float = 0.005,
    delivery_timeout_seconds: float = 120.0,
) -> Options:
    """Return options of an idempotent librdkafka producer with a bounded queue.

    The queue is full (`produce` raises BufferError) at `queue_bytes`, whatever the number of records.
    """
    return _librdkafka(kafka, client) | {
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": linger_seconds * 1000,
        "socket.nagle.disable": True,  # what lingers has lingered already
        "queue.buffering.max.kbytes": max(1, queue_bytes // 1024),
        "queue.buffering.max.messages": 0,  # no limit of its own: bytes are what memory is made of
        "delivery.timeout.ms": round(delivery_timeout_seconds * 1000),
        # Only for a record without an explicit partition: where Java and aiokafka would put it.
        "partitioner": "murmur2_random",
    }


def consumer_options(
    kafka: KafkaSettings,
    client: str,
    *,
    group_id: str,
    without_offset: Literal["earliest", "latest", "error"],
    session_timeout_seconds: float = 30.0,
) -> Options:
    """Return options of a librdkafka consumer that commits by hand and reads ahead far enough to catch up fast.

    `without_offset` decides where there is no valid offset. Note that this is also so when records expired before they
    were read: only `error` makes such a loss visible.
    """
    return _librdkafka(kafka, client) | {
        "group.id": group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": without_offset,
        "session.timeout.ms": round(session_timeout_seconds * 1000),
        "queued.min.messages": 200_000,
        "queued.max.messages.kbytes": 65_536,
        "fetch.queue.backoff.ms": 5,
    }


def tail_options(kafka: KafkaSettings, client: str, *, without_offset: Literal["earliest", "latest", "error"]) -> Options:
    """Return options of a librdkafka consumer that is assigned its partitions and belongs to no group.

    The client library asks for a group name all the same; it is never used, as nothing subscribes or commits.
    """
    group_id = f"{kafka.client_id_prefix}-{client}-ungrouped"
    return consumer_options(kafka, client, group_id=group_id, without_offset=without_offset)


def admin_options(kafka: KafkaSettings, client: str) -> Options:
    """Return options of a librdkafka admin client."""
    return _librdkafka(kafka, client)


def registry_options(registry: RegistrySettings) -> Options:
    """Return options of confluent-kafka's schema registry client, which must not retry by itself: callers decide."""
    options: Options = {"url": registry.url, "timeout": registry.timeout_seconds, "max.retries": 0}
    if registry.username and registry.password:
        options["basic.auth.user.info"] = f"{registry.username}:{registry.password.get_secret_value()}"
    return options


def aiokafka_options(kafka: KafkaSettings, client: str) -> Options:
    """Return the keyword arguments with which any aiokafka client reaches the brokers."""
    security = kafka.security
    options: Options = {
        "bootstrap_servers": kafka.bootstrap,
        "client_id": f"{kafka.client_id_prefix}-{client}",
        "security_protocol": security.protocol,
        "ssl_context": ssl_context(security),
    }
    if security.protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value() if security.password else None,
        }
    return options


def ssl_context(security: SecuritySettings) -> ssl.SSLContext | None:
    """Return the TLS context, None when the protocol has none.

    Raises ConfigurationError when a certificate or key cannot be used.
    """
    if not security.protocol.endswith("SSL"):
        return None
    key_password = security.key_password.get_secret_value() if security.key_password else None
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.certificate_file:
            context.load_cert_chain(security.certificate_file, security.key_file, key_password)
    except (ssl.SSLError, OSError) as error:
        text = f"the certificate files cannot be used: {error.strerror or error}"
        raise ConfigurationError(Problem("kafka.security", text)) from error
    return context


def check_broker(kafka: KafkaSettings, client: str = "check") -> None:
    """Wait until a broker answers; blocks for at most `kafka.connect_timeout_seconds`.

    Raises ServerUnreachable with the reason the client library gives, at once when waiting cannot help.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    # The client library's own codes begin with an underscore; they are public all the same.
    hopeless = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001
    errors: list[KafkaError] = []
    try:
        admin = AdminClient(admin_options(kafka, client) | {"logger": _SILENT, "error_cb": errors.append})
    except KafkaException as error:
        raise ConfigurationError(Problem("kafka.security", error.args[0].str())) from error
    deadline = time.monotonic() + kafka.connect_timeout_seconds
    while True:
        remaining = deadline - time.monotonic()
        try:
            admin.list_topics(timeout=max(0.05, min(1.0, remaining)))
        except KafkaException as error:
            admin.poll(0)  # delivers the errors of the connections, which say more than the failed request
            if remaining > 0 and not any(seen.code() in hopeless for seen in errors):
                continue
            causes = [seen for seen in errors if seen.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001
            silent = f"{error.args[0].str()} (no answer; does it expect another kafka.security.protocol?)"
            raise ServerUnreachable("Kafka broker", kafka.bootstrap, causes[-1].str() if causes else silent) from None
        return


def _librdkafka(kafka: KafkaSettings, client: str) -> Options:
    security = kafka.security
    secrets = {
        "sasl.password": security.password,
        "ssl.key.password": security.key_password,
    }
    files = {
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.certificate_file,
        "ssl.key.location": security.key_file,
    }
    options: Options = {
        "bootstrap.servers": kafka.bootstrap,
        "client.id": f"{kafka.client_id_prefix}-{client}",
        "security.protocol": security.protocol,
        # A broker that comes back is found within seconds; a lost one is not tried (and logged) twenty times a second.
        "reconnect.backoff.ms": 1000,
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
        "logger": _LOGGER,  # else the library writes to standard error past our log format
    }
    if security.protocol.startswith("SASL"):
        options |= {"sasl.mechanism": security.mechanism, "sasl.username": security.username}
    options |= {name: str(path) for name, path in files.items() if path}
    return options | {name: secret.get_secret_value() for name, secret in secrets.items() if secret}
