"""Typed settings of every stage: built-in defaults, then a YAML file, then the environment, then the command line.

`load` gives one frozen `Settings` or raises ConfigurationError listing every problem with its key and place.
A new setting is one field with a docstring in `servers.py` or `stages.py`; loading, environment name, error messages
and the listing of `describe` follow from it.
"""

from runtime.settings.loader import CONFIG_VARIABLE, load
from runtime.settings.reference import Row, describe
from runtime.settings.root import Settings
from runtime.settings.servers import (
    InfluxSettings,
    KafkaSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    SecuritySettings,
    TopicSettings,
)
from runtime.settings.sources import Given
from runtime.settings.stages import (
    BookSettings,
    FeedSettings,
    GatewaySettings,
    IngestSettings,
    ObservabilitySettings,
    PriceChangeSettings,
    ProcessorSettings,
    PublisherSettings,
    ReconnectSettings,
    SignificanceSettings,
    SinkSettings,
    ThrottleSettings,
    WorkerSettings,
)
from runtime.settings.valuation import StatedRateSettings, ValuationSettings

__all__ = [
    "CONFIG_VARIABLE",
    "BookSettings",
    "FeedSettings",
    "GatewaySettings",
    "Given",
    "InfluxSettings",
    "IngestSettings",
    "KafkaSettings",
    "ObservabilitySettings",
    "PostgresSettings",
    "PriceChangeSettings",
    "ProcessorSettings",
    "PublisherSettings",
    "ReconnectSettings",
    "RedisSettings",
    "RegistrySettings",
    "Row",
    "SecuritySettings",
    "Settings",
    "SignificanceSettings",
    "SinkSettings",
    "StatedRateSettings",
    "ThrottleSettings",
    "TopicSettings",
    "ValuationSettings",
    "WorkerSettings",
    "describe",
    "load",
]
