"""What every service does before it works: check that the topics are as declared and look up their schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
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
    with Registry(registry_options) as registry:
        return Codec(registry.ids(topics), partial(_schema_text, registry_options))


def _schema_text(registry_options: Mapping[str, Any], schema_id: int) -> str | None:
    """Ask for a schema that is none of ours: so rare that no connection is kept for it."""
    with Registry(registry_options) as registry:
        return registry.schema_text(schema_id)
