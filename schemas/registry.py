"""The schema registry: confluent-kafka's client, with errors that name the address.

Producers never register: `register` is for whoever applies the topics, everyone else looks ids up once at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from market.errors import MarketDataError
from schemas.codec import Codec, SchemaIds
from schemas.records import Record, schema_name, schema_text
from schemas.topics import Topic

COMPATIBILITY = "BACKWARD_TRANSITIVE"

_NOT_FOUND = 404


class RegistryError(MarketDataError):
    """The schema registry cannot be reached, or refuses; its text is written for the operator."""

    exit_code = 1


class RegistryUnreachable(RegistryError):
    """The schema registry does not answer."""

    exit_code = 3


class SchemaNotRegistered(RegistryError):
    """A topic's schema is not in the registry."""


class IncompatibleSchema(RegistryError):
    """A changed schema cannot read what was written with an earlier one."""


def subject_of(topic: Topic, record_type: type[Record]) -> str:
    """Subject by topic and record name, since a topic may carry several record types."""
    return f"{topic.name}-{schema_name(record_type)}"


class Registry:
    """One registry, reached with the options of confluent-kafka's client (`url` at least).

    Every call raises RegistryUnreachable when it does not answer.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._url = options["url"]
        self._client = SchemaRegistryClient(dict(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the registry."""
        self._client.close()

    def register(self, topic: Topic) -> None:
        """Register a topic's schemas; a change must keep every earlier version readable, else IncompatibleSchema."""
        for record_type in topic.records:
            subject = subject_of(topic, record_type)
            try:
                self._client.set_compatibility(subject_name=subject, level=COMPATIBILITY)
                self._client.register_schema(subject, Schema(schema_text(record_type), "AVRO"))
            except SchemaRegistryError as error:
                if error.http_status_code == 409:
                    raise IncompatibleSchema(f"{subject}: the changed schema is not {COMPATIBILITY}: {error}") from error
                raise self._failed(error) from error
            except Exception as error:
                raise self._failed(error) from error

    def ids(self, topics: Iterable[Topic]) -> SchemaIds:
        """Ids of all schemas of the topics. Raises SchemaNotRegistered naming the first that is missing."""
        return {(topic.name, kind): self._id(topic, kind) for topic in topics for kind in topic.records}

    def schema_text(self, schema_id: int) -> str | None:
        """The schema of an id, None when the registry has none."""
        try:
            return str(self._client.get_schema(schema_id).schema_str)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._failed(error) from error
        except Exception as error:
            raise self._failed(error) from error

    def codec(self, topics: Iterable[Topic]) -> Codec:
        """A codec that knows the topics' schemas and asks for others as they come."""
        return Codec(self.ids(topics), self.schema_text)

    def _id(self, topic: Topic, record_type: type[Record]) -> int:
        subject = subject_of(topic, record_type)
        try:
            found = self._client.lookup_schema(subject, Schema(schema_text(record_type), "AVRO"))
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                raise SchemaNotRegistered(
                    f"{subject} is not registered at {self._url} as this version has it: run `tapeline topics apply`"
                ) from error
            raise self._failed(error) from error
        except Exception as error:
            raise self._failed(error) from error
        if found.schema_id is None:
            raise RegistryError(f"schema registry at {self._url}: {subject} was answered without an id")
        return found.schema_id

    def _failed(self, error: Exception) -> RegistryError:
        if isinstance(error, SchemaRegistryError):
            return RegistryError(f"schema registry at {self._url}: {error}")
        return RegistryUnreachable(f"schema registry at {self._url} is not reachable: {error}")
