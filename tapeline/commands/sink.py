"""`tapeline sink postgres | influxdb | migrate | init | prune | seek`: topics into stores."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime import lifecycle, logs
from sinks import service
from sinks.store import store_names
from sinks.stores import postgres as postgres_store
from tapeline.options import ConfigOption, SetOption, read_settings

TopicArgument = Annotated[str, typer.Argument(help="Topic, for example md.trades.")]
PartitionArgument = Annotated[int, typer.Argument(help="Partition number.", min=0)]
OffsetArgument = Annotated[int, typer.Argument(help="The next offset to store.", min=0)]
StoreOption = Annotated[str, typer.Option("--store", help="Whose stored offset to change.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`; each store has one of its own name."""
    sink = typer.Typer(no_args_is_help=True, help="Store what the topics carry.")
    for name in store_names():
        _add_store(sink, name)
    sink.command()(migrate)
    sink.command()(prune)
    sink.command("init")(init_buckets)
    sink.command()(seek)
    app.add_typer(sink, name="sink")


def _add_store(sink: typer.Typer, name: str) -> None:
    def run(config: ConfigOption = None, overrides: SetOption = None) -> None:
        settings = read_settings(config, overrides)
        logs.configure(f"sink-{name}", settings.observability.log_level, settings.observability.log_format)
        raise typer.Exit(lifecycle.run_blocking(lambda stop: service.run(settings, name, stop)))

    help_text = f"Keep {name} in step with the topics, no record lost and none twice. Start more to share the partitions."
    sink.command(name, help=help_text)(run)


def migrate(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Bring the PostgreSQL database up to date; running it again changes nothing."""
    applied = postgres_store.migrate(read_settings(config, overrides))
    for migration in applied:
        typer.echo(f"applied {migration}")
    if not applied:
        typer.echo("the database is up to date")


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only name what would be dropped.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Drop the months of the PostgreSQL tables that lie further back than `postgres.keep_days` says."""
    expired = postgres_store.prune(read_settings(config, overrides), dry_run=dry_run)
    for partition in expired:
        typer.echo(f"{'would drop' if dry_run else 'dropped'} {partition}")
    if not expired:
        typer.echo("nothing to drop")


def init_buckets(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Make the buckets of InfluxDB and set how long they keep points; running it again changes nothing."""
    from sinks.stores import influxdb  # its client takes most of a second to import, which no other command here needs

    done = influxdb.init(read_settings(config, overrides))
    for each in done:
        typer.echo(each)
    if not done:
        typer.echo("the buckets are as the settings say")


def seek(
    topic: TopicArgument,
    partition: PartitionArgument,
    offset: OffsetArgument,
    store: StoreOption = "postgres",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Say from which offset on a store takes a partition, after records were lost or a topic was made anew."""
    before = service.seek(read_settings(config, overrides), store, (topic, partition), offset)
    was = "nothing was stored before" if before is None else f"it was {before}"
    typer.echo(f"{topic}[{partition}] goes on at offset {offset}; {was}")
