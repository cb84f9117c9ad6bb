"""The whole of the settings: one section for each server and stage."""

from pydantic import Field

from runtime.settings.base import Section
from runtime.settings.servers import (
    InfluxSettings,
    KafkaSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TopicSettings,
)
from runtime.settings.stages import (
    GatewaySettings,
    IngestSettings,
    ObservabilitySettings,
    ProcessorSettings,
    SinkSettings,
)

__all__ = ["Settings"]


class Settings(Section):
    """Everything that can be configured; `Settings()` holds the built-in defaults."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    influxdb: InfluxSettings = Field(default_factory=InfluxSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    topics: TopicSettings = Field(default_factory=TopicSettings)
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    processors: ProcessorSettings = Field(default_factory=ProcessorSettings)
    sinks: SinkSettings = Field(default_factory=SinkSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    observability: ObservabilitySettings = Field(default_factory=ObservabilitySettings)
