"""Settings of the servers all stages meet at: Kafka, the schema registry, PostgreSQL, and the shape of the topics."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, SecretStr, field_validator, model_validator

from runtime.settings.base import Count, HttpUrl, Maybe, Name, Seconds, Section, Text

__all__ = [
    "InfluxSettings",
    "KafkaSettings",
    "PostgresSettings",
    "RedisSettings",
    "RegistrySettings",
    "SecuritySettings",
    "TopicSettings",
]

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")


def _broker_list(given: str) -> str:
    addresses = [address.strip() for address in given.split(",")]
    for address in addresses:
        if not _HOST_AND_PORT.fullmatch(address):
            raise ValueError(f"{address!r} is not of the form host:port")
    return ",".join(addresses)


class SecuritySettings(Section):
    """How to reach the brokers safely."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Transport: SSL encrypts, SASL authenticates."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """SASL mechanism."""
    username: Maybe[Text] = None
    """SASL user."""
    password: Maybe[SecretStr] = None
    """SASL password."""
    ca_file: Maybe[FilePath] = None
    """PEM file of the authorities that sign the brokers' certificates; without it, those of the system."""
    certificate_file: Maybe[FilePath] = None
    """PEM file of the client's own certificate, for mutual TLS."""
    key_file: Maybe[FilePath] = None
    """PEM file of the key of the client's certificate."""
    key_password: Maybe[SecretStr] = None
    """Password of the key file."""
    allow_sasl_without_tls: bool = False
    """Accept SASL_PLAINTEXT, which sends the password where others on the network may read it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse credentials that would be sent in the clear, missing, or silently not used."""
        sasl, tls = self.protocol.startswith("SASL"), self.protocol.endswith("SSL")
        if sasl and not (self.username and self.password):
            raise ValueError(f"protocol {self.protocol} needs username and password")
        if not sasl and (self.username or self.password):
            raise ValueError(f"username and password are given, but protocol {self.protocol} does not use them")
        if sasl and not tls and not self.allow_sasl_without_tls:
            raise ValueError(
                "protocol SASL_PLAINTEXT sends the password unencrypted; "
                "choose SASL_SSL, or accept it with allow_sasl_without_tls: true"
            )
        if not tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError(f"certificate files are given, but protocol {self.protocol} does not use them")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file are needed together")
        return self


class KafkaSettings(Section):
    """The Kafka cluster."""

    bootstrap: Annotated[Text, AfterValidator(_broker_list)] = "127.0.0.1:9092"
    """Brokers to ask first, host:port, separated by commas."""
    client_id_prefix: Name = "tapeline"
    """Beginning of the client ids that brokers show in their logs and quotas."""
    connect_timeout_seconds: Seconds = 5.0
    """How long a start waits for a broker before it gives up."""
    security: SecuritySettings = Field(default_factory=SecuritySettings)


class RegistrySettings(Section):
    """The schema registry (Confluent-compatible)."""

    url: HttpUrl = "http://127.0.0.1:8081"
    """Address of its API, with the path where there is one."""
    username: Maybe[Text] = None
    """User for basic authentication."""
    password: Maybe[SecretStr] = None
    """Password for basic authentication."""
    timeout_seconds: Seconds = 5.0
    """How long one request may take."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password are needed together")
        return self


class PostgresSettings(Section):
    """The PostgreSQL database."""

    dsn: SecretStr = SecretStr("postgresql://tapeline@127.0.0.1:5432/tapeline")
    """Connection string, as a URL or as key=value words."""
    connect_timeout_seconds: Seconds = 5.0
    """How long a start waits for the database before it gives up."""
    quote_seconds: Annotated[float, Field(ge=0.000001)] = 1.0
    """Of the quotes that a channel of an instrument gives in a period of this length, by receive time, the last one is kept.

    So it is with funding and open interest.
    """
    valuation_seconds: Annotated[float, Field(ge=0.000001)] = 10.0
    """Of a portfolio's valuations, and of the lines of each position, the last one in a period of this length is kept."""
    keep_days: dict[Name, Count] = Field(default_factory=dict)
    """For how many days rows are kept, by table: `tapeline sink prune` drops the months that lie further back. Others stay."""

    @property
    def quote_period(self) -> int:
        """The period of quotes in microseconds, the unit of all times in records."""
        return round(self.quote_seconds * 1e6)

    @property
    def valuation_period(self) -> int:
        """The period of valuations in microseconds."""
        return round(self.valuation_seconds * 1e6)


Retention = Annotated[int, Field(ge=0)]


class InfluxSettings(Section):
    """The InfluxDB server, version 2."""

    url: HttpUrl = "http://127.0.0.1:8086"
    """Address of its API."""
    org: Text = "tapeline"
    """Organisation that owns the buckets."""
    token: Maybe[SecretStr] = None
    """Token that may read and write the buckets; `tapeline sink init` needs one that may make them."""
    timeout_seconds: Seconds = 10.0
    """How long one request may take."""
    compress: bool = True
    """Send batches compressed (gzip); off saves processor time where no network lies between."""
    ticks_bucket: Text = "tapeline_ticks"
    """Bucket of trades, quotes, funding, open interest, price changes and valuations."""
    ticks_retention_seconds: Retention = 0
    """How long it keeps points; 0 for ever. Older records are not stored."""
    history_bucket: Text = "tapeline_history"
    """Bucket of candles, klines, quality and states of streams."""
    history_retention_seconds: Retention = 0
    """How long it keeps points; 0 for ever. Older records are not stored."""
    offsets_bucket: Text = "tapeline_offsets"
    """Bucket of the sinks' offsets, kept for ever."""
    max_series: Count = 50_000
    """Series (combinations of tags) that may be in the buckets; records that would begin more go to the dead letters."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({self.ticks_bucket, self.history_bucket, self.offsets_bucket}) < 3:
            raise ValueError("ticks_bucket, history_bucket and offsets_bucket must be three different buckets")
        for name in ("ticks_retention_seconds", "history_retention_seconds"):
            if 0 < getattr(self, name) < 3600:
                raise ValueError(f"{name} must be 0 or at least 3600: InfluxDB keeps points for an hour or longer")
        return self


class RedisSettings(Section):
    """The Redis server, an optional cache of latest values."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Address with the number of the database; rediss:// encrypts, user and password stand before the host."""
    prefix: Name = "tapeline"
    """Beginning of all keys."""
    ttl_seconds: Seconds = 86_400.0
    """How long a value lives after the broker took its record."""
    timeout_seconds: Seconds = 5.0
    """How long one request may take."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url


class TopicSettings(Section):
    """What `tapeline topics apply` gives to the topics it creates."""

    partitions: Count = 4
    """Partitions of every topic keyed by instrument; the same for all, because they are read together."""
    replication_factor: Count = 1
    """Copies of each partition; 3 in production."""
    min_insync_replicas: Count = 1
    """Copies that must have a record before it counts as written; 2 in production."""

    @model_validator(mode="after")
    def _writable(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError(
                f"min_insync_replicas {self.min_insync_replicas} is above "
                f"replication_factor {self.replication_factor}: nothing could be written"
            )
        return self
