"""What every service does before it works: check that the topics are as declared and look up their schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka.admin import AdminClient

from schemas.admin import TopicAdmin, TopicPlan
from schemas.codec import Codec
from schemas.registry import Registry
from schemas.topics import Topic


def open_contract(
    admin_options: Mapping[str, Any],
    registry_options: Mapping[str, Any],
    partitions: int,
    topics: Iterable[Topic],
    *,
    also: Iterable[Topic] = (),
) -> Codec:
    """Return a codec for `topics` on a cluster whose topics by instrument have `partitions` partitions.

    `also` names topics that must exist though they carry no records of ours. Raises TopicError naming every topic that is
    missing or has another partition count than configured, RegistryError when the registry does not answer or lacks a schema.
    """
    topics = list(topics)
    TopicAdmin(AdminClient(dict(admin_options)), TopicPlan(partitions)).check([*topics, *also])
    return Registry(registry_options).codec(topics)
