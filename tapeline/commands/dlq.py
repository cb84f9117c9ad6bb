"""`tapeline dlq list | show | replay | purge`: what could not be taken in."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter
from typing import Annotated

import typer
from confluent_kafka import Producer
from rich.console import Console

from runtime.kafka import admin_options, check_broker, producer_options, registry_options
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.contract import open_contract
from schemas.topics import DEAD_LETTERS, TOPICS
from tapeline.dead_letters import shown
from tapeline.dead_letters.noting import DELIVERY_SECONDS, write_notes
from tapeline.dead_letters.replaying import Outcome, Replayer
from tapeline.dead_letters.shelf import Choice, Letter, Shelf
from tapeline.dead_letters.topic import DeadLetterError, Letters, Partitions
from tapeline.options import ConfigOption, SetOption, read_settings

_WIDE = 200
"""Columns: a row stays one line, whatever the terminal's width, so that it can be searched for and cut."""

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only letters of this reason, such as undecodable.")]
SourceOption = Annotated[str | None, typer.Option("--topic", help="Only letters of this topic, or venue:channel of a feed.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    dlq = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be taken in, with its original bytes.")
    dlq.command("list")(list_letters)
    dlq.command()(show)
    dlq.command()(replay)
    dlq.command()(purge)
    app.add_typer(dlq, name="dlq")


def list_letters(
    reason: ReasonOption = None,
    source: SourceOption = None,
    last: Annotated[int, typer.Option("--last", help="How many of the latest to list; the totals count all.", min=0)] = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """List the letters, latest last, and count them by topic and reason."""
    _, letters, _ = _opened(read_settings(config, overrides))
    shelf = letters.shelf()
    chosen = shelf.chosen(Choice(reason, source))
    if chosen and last:
        Console(width=_WIDE).print(shown.table_of(shelf, chosen[-last:]))
    for line in shown.totals(chosen, shelf.strange):
        typer.echo(line)


def show(
    number: Annotated[int, typer.Argument(help="A letter's number, as listed.", min=0)],
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Show a letter: where its original was met, why it was refused, its bytes, what they decode to, when it was replayed."""
    codec, letters, _ = _opened(read_settings(config, overrides))
    shelf = letters.shelf()
    letter = _named(shelf, number)
    record = next(record for offset, record in letters.read(number) if offset == number)
    for line in shown.whole(number, record, shelf.notes_on(letter), codec.decode):  # type: ignore[arg-type]  # on the shelf
        typer.echo(line)


def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Letters' numbers; without any all that are chosen.")] = None,
    reason: ReasonOption = None,
    source: SourceOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Send again what was sent before, and old states to compacted topics.")
    ] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Send originals to the partitions they came from, behind what is there; those sent before are told and left alone.

    All who read the topic get them again. What is still refused becomes a new letter. Letters of compacted topics (md.prices,
    pf.positions) are not sent without --force: an old state would become the latest. Exit code 1 when a letter was not sent.
    """
    settings = read_settings(config, overrides)
    codec, letters, partitions = _opened(settings)
    shelf = letters.shelf()
    for number in numbers or ():
        _named(shelf, number)
    chosen = shelf.chosen(Choice(reason, source, frozenset(numbers) if numbers else None))
    if not chosen:
        typer.echo("no letters to replay")
        return
    _ask(f"Replay {_counted(chosen)}", yes=yes)
    producer = _producer(settings)
    run = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    counts: Counter[Outcome] = Counter()
    for told in Replayer(run, letters, partitions, producer, codec.encode).replay(shelf, chosen, force=force):
        counts[told.outcome] += 1
        typer.echo(f"{told.letter.number} {told.outcome.value}: {told.detail}")
    typer.echo(", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome))
    if counts[Outcome.REFUSED]:
        raise typer.Exit(1)


def purge(
    before: Annotated[int | None, typer.Option("--before", help="Delete letters with smaller numbers.", min=0)] = None,
    days: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", help="Delete letters refused so long ago.", min=0)
    ] = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Delete the oldest letters for good, up to a number or an age. What is noted of the letters that stay is kept.

    By themselves letters go after 30 days, and with them the notes of what was sent again: a later letter of the same original
    then counts as never sent, and `replay` sends it once more.
    """
    if (before is None) == (days is None):
        raise DeadLetterError("say either --before NUMBER or --older-than DAYS")
    settings = read_settings(config, overrides)
    codec, letters, partitions = _opened(settings)
    shelf = letters.shelf()
    if days is not None:
        kept_from = time.time_ns() // 1000 - round(days * 86_400e6)
        before = next((letter.number for letter in shelf.letters.values() if letter.failed_at >= kept_from), shelf.end)
    cut = min(before or 0, shelf.end)
    gone = [letter for letter in shelf.letters.values() if letter.number < cut]
    if not gone:
        typer.echo("no letters to delete")
        return
    pending = sum(shelf.replayed_at(letter) is None for letter in gone)
    _ask(f"Delete {_counted(gone)} for good, {pending} of them never replayed", yes=yes)
    if lost := shelf.notes_lost(cut):
        write_notes(_producer(settings), codec.encode, lost)
    partitions.cut(DEAD_LETTERS.name, 0, cut)
    typer.echo(f"deleted {len(gone)} letters; {len(shelf.letters) - len(gone)} are left")


def _opened(settings: Settings) -> tuple[Codec, Letters, Partitions]:
    check_broker(settings.kafka)
    admin = admin_options(settings.kafka, "dlq")
    codec = open_contract(admin, registry_options(settings.registry), settings.topics.partitions, TOPICS.values())
    partitions = Partitions(settings.kafka)
    return codec, Letters(partitions, codec.decode), partitions


def _producer(settings: Settings) -> Producer:
    options = producer_options(settings.kafka, "dlq-replay", delivery_timeout_seconds=DELIVERY_SECONDS)
    return Producer(options | {"message.max.bytes": DEAD_LETTERS.max_message_bytes})


def _named(shelf: Shelf, number: int) -> Letter:
    """The letter of a number. Raises DeadLetterError."""
    if number in shelf.letters:
        return shelf.letters[number]
    if not shelf.letters:
        raise DeadLetterError(f"there is no letter {number}: there are none at all")
    raise DeadLetterError(
        f"there is no letter {number}: there are {len(shelf.letters)}, from {min(shelf.letters)} to {max(shelf.letters)}"
    )


def _counted(letters: list[Letter]) -> str:
    sources = Counter(letter.source for letter in letters)
    return f"{len(letters)} letters ({', '.join(f'{count} of {source}' for source, count in sources.most_common())})"


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(f"{question}?", abort=True)
