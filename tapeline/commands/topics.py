"""`tapeline topics apply | list | check | docs`: the topics and schemas on a cluster, and what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table

from processors.configured import state_topics
from runtime.kafka import admin_options, check_broker, registry_options
from runtime.settings import Settings
from schemas.admin import TopicAdmin, TopicPlan
from schemas.registry import Registry
from schemas.topics import TOPICS, Topic
from tapeline.options import ConfigOption, SetOption, read_settings

_WIDE = 160
"""Columns: a row stays one line, whatever the terminal's width, so that it can be searched for and cut."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    topics = typer.Typer(no_args_is_help=True, help="Topics and schemas on the cluster.")
    topics.command("apply")(apply)
    topics.command("list")(list_topics)
    topics.command("check")(check)
    topics.command("docs")(docs)
    app.add_typer(topics, name="topics")


def apply(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Create missing topics, mend their settings and register the schemas; running it again changes nothing."""
    settings = read_settings(config, overrides)
    for name in apply_topics(settings):
        typer.echo(f"applied {name}")
    typer.echo(f"{len(declared(settings))} topics are as declared, their schemas registered at {settings.registry.url}")


def list_topics(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Show every declared topic: what it carries, how it is laid out, and whether the cluster has it so."""
    settings = read_settings(config, overrides)
    table = Table("topic", "partitions", "kept", "state", "carries", box=None, pad_edge=False)
    for state in admin_of(settings).states(declared(settings)):
        topic = state.topic
        kept = "latest" if topic.retention_ms < 0 else f"{topic.retention_ms // 86_400_000} days"
        carries = ", ".join(record.__name__ for record in topic.records) or "state"
        shown = "missing" if state.partitions is None else "as declared" if state.problem is None else "differs"
        table.add_row(topic.name, str(state.partitions or state.wanted_partitions), kept, shown, carries)
    Console(width=_WIDE).print(table)


def check(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Say what differs from the declaration; exit code 1 when something does."""
    settings = read_settings(config, overrides)
    problems = [state.problem for state in admin_of(settings).states(declared(settings)) if state.problem]
    for problem in problems:
        typer.echo(problem)
    with Registry(registry_options(settings.registry)) as registry:
        registry.ids(TOPICS.values())
    if problems:
        raise typer.Exit(1)
    typer.echo("all topics and schemas are as declared")


def docs(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Write to this file instead of printing.")] = None,
) -> None:
    """Print what readers of the topics can rely on, as Markdown: keys, guarantees, fields, examples; needs no server."""
    from tapeline.topic_docs import page  # it reads a recording with the whole of ingest, which no other command here needs

    text = page()
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")


def apply_topics(settings: Settings) -> list[str]:
    """Create and mend topics, register schemas; names of the topics that changed."""
    changed = admin_of(settings).apply(declared(settings))
    with Registry(registry_options(settings.registry)) as registry:
        for topic in TOPICS.values():
            registry.register(topic)
    return changed


def declared(settings: Settings) -> list[Topic]:
    """Every topic there should be, the processors' changelogs among them."""
    return [*TOPICS.values(), *state_topics(settings)]


def admin_of(settings: Settings) -> TopicAdmin:
    """Topic administration of the configured cluster. Raises ServerUnreachable."""
    check_broker(settings.kafka)
    layout = settings.topics
    plan = TopicPlan(layout.partitions, layout.replication_factor, layout.min_insync_replicas)
    return TopicAdmin(AdminClient(admin_options(settings.kafka, "topics")), plan)
