"""Creates the topics and checks that they are as declared.

A wrong partition count cannot be mended without moving keys, so it is an error that says both numbers, never repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, not listed in its __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from market.errors import MarketDataError
from schemas.topics import Topic

TIMEOUT = 10.0


class TopicError(MarketDataError):
    """A topic is missing, is not as declared, or cannot be created; its text is written for the operator."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How topics are laid out on this cluster."""

    partitions: int
    replication_factor: int = 1
    min_insync_replicas: int = 1


@dataclass(frozen=True, slots=True)
class TopicState:
    """A declared topic beside what the cluster has; `partitions` is None when it does not exist."""

    topic: Topic
    wanted_partitions: int
    partitions: int | None
    wrong_settings: Mapping[str, tuple[str, str]]

    @property
    def problem(self) -> str | None:
        """What is wrong, in words, None when all is as declared."""
        if self.partitions is None:
            return f"topic {self.topic.name} does not exist: run `tapeline topics apply`"
        if self.partitions != self.wanted_partitions:
            return (
                f"topic {self.topic.name} has {self.partitions} partitions, {self.wanted_partitions} are configured: "
                "keys would move between partitions, so either the setting topics.partitions or the topic must be changed back"
            )
        if self.wrong_settings:
            listed = ", ".join(f"{key} is {has}, not {want}" for key, (has, want) in self.wrong_settings.items())
            return f"topic {self.topic.name}: {listed}: run `tapeline topics apply`"
        return None


class TopicAdmin:
    """Topic administration through one broker client."""

    def __init__(self, client: AdminClient, plan: TopicPlan) -> None:
        self._client = client
        self._plan = plan

    def states(self, topics: Iterable[Topic]) -> list[TopicState]:
        """Compare declared topics with the cluster's. Raises TopicError when the cluster does not answer."""
        topics = list(topics)
        existing = self._existing()
        settings = self._settings([topic.name for topic in topics if topic.name in existing])
        return [self._state(topic, existing.get(topic.name), settings.get(topic.name, {})) for topic in topics]

    def check(self, topics: Iterable[Topic]) -> None:
        """Raise TopicError with every missing topic and wrong partition count."""
        problems = [state.problem for state in self.states(topics) if state.partitions != state.wanted_partitions]
        if problems:
            raise TopicError("; ".join(filter(None, problems)))

    def apply(self, topics: Iterable[Topic]) -> list[str]:
        """Create what is missing and mend settings; names of the topics that were changed. Raises TopicError."""
        states = self.states(topics)
        wrong = [s.problem for s in states if s.partitions not in (None, s.wanted_partitions) and s.problem]
        if wrong:
            raise TopicError("; ".join(wrong))
        missing = [s for s in states if s.partitions is None]
        if missing:
            self._create(missing)
        mended = [s for s in states if s.partitions is not None and s.wrong_settings]
        for state in mended:
            self._mend(state)
        return [s.topic.name for s in (*missing, *mended)]

    def _state(self, topic: Topic, partitions: int | None, settings: Mapping[str, str]) -> TopicState:
        wanted = topic.config(self._plan.min_insync_replicas)
        wrong = {
            key: (settings[key], want) for key, want in wanted.items() if key in settings and not _same(settings[key], want)
        }
        return TopicState(topic, topic.partitions(self._plan.partitions), partitions, wrong)

    def _existing(self) -> dict[str, int]:
        try:
            metadata = self._client.list_topics(timeout=TIMEOUT)
        except KafkaException as error:
            raise TopicError(f"the cluster does not answer: {error.args[0]}") from error
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def _settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._client.describe_configs(resources, request_timeout=TIMEOUT) if resources else {}
        return {
            resource.name: {key: entry.value for key, entry in _result(answer, resource.name).items()}
            for resource, answer in answers.items()
        }

    def _create(self, states: list[TopicState]) -> None:
        new = [
            NewTopic(
                state.topic.name,
                num_partitions=state.wanted_partitions,
                replication_factor=self._plan.replication_factor,
                config=state.topic.config(self._plan.min_insync_replicas),
            )
            for state in states
        ]
        for name, answer in self._client.create_topics(new, request_timeout=TIMEOUT).items():
            _result(answer, name)

    def _mend(self, state: TopicState) -> None:
        wanted = state.topic.config(self._plan.min_insync_replicas)
        entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in wanted.items()]
        resource = ConfigResource(ResourceType.TOPIC, state.topic.name, incremental_configs=entries)
        for answer in self._client.incremental_alter_configs([resource], request_timeout=TIMEOUT).values():
            _result(answer, state.topic.name)


def _same(a: str, b: str) -> bool:
    return sorted(a.split(",")) == sorted(b.split(","))


def _result(answer: Any, name: str) -> Any:
    try:
        return answer.result(timeout=TIMEOUT)
    except Exception as error:
        raise TopicError(f"topic {name}: {error}") from error
