"""`tapeline dlq` on a real broker: what it lists, sends again, at most once, and deletes."""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner, Result

from market.dead_letter import DeadLetter, LetterReplay
from runtime.errors import ServerUnreachable
from runtime.kafka import producer_options
from runtime.settings import load
from schemas.records import Record
from tapeline.cli import build
from tapeline.dead_letters.marks import HEADER
from tapeline.dead_letters.replaying import Outcome, Replayer, Told
from tapeline.dead_letters.shelf import Choice
from tapeline.dead_letters.topic import DeadLetterError, Letters, Partitions
from tests.builders import START, make_trade
from tests.cluster import Cluster, wait_for
from tests.sink_running import Sink, Start, is_reading

TRADE = make_trade(5)
NOW = 2_000_000_000_000_000


@pytest.fixture
def bench(cluster: Cluster) -> Bench:
    return Bench(cluster)


class Bench:
    """Letters put by hand, the command, and what lies in the topics afterwards."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.config = cluster.config()
        self.runs = 0

    def letter(self, **changes: Any) -> DeadLetter:
        value = self.cluster.codec.encode("md.trades", TRADE)
        letter = DeadLetter("md.trades", 1, 17, "sinks", "undecodable", "why", None, b"key", value, False, START)
        return letter._replace(**changes)

    def put(self, *records: Record) -> None:
        producer = self.producer()
        for record in records:
            producer.produce("dlq", key=b"key", value=self.cluster.codec.encode("dlq", record), partition=0)
        assert producer.flush(10) == 0

    def producer(self) -> Producer:
        return Producer(producer_options(self.cluster.settings.kafka, "dlq-replay") | {"message.max.bytes": 4 << 20})

    def command(self, *arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(build("dlq"), ["dlq", *arguments, "-c", str(self.config)], input=answer)

    def replayer(self, now: int = NOW, run: str | None = None) -> Replayer:
        self.runs += 1
        run = run or f"run-{self.runs}"
        return Replayer(run, self.letters, self.partitions, self.producer(), self.cluster.codec.encode, now=lambda: now)

    @property
    def partitions(self) -> Partitions:
        return Partitions(self.cluster.settings.kafka)

    @property
    def letters(self) -> Letters:
        return Letters(self.partitions, self.cluster.codec.decode)

    def replay(self, replayer: Replayer, **options: Any) -> list[Told]:
        shelf = self.letters.shelf()
        return list(replayer.replay(shelf, shelf.chosen(Choice()), **options))

    def outcomes(self, replayer: Replayer, **options: Any) -> list[Outcome]:
        """What became of each letter, in their order."""
        return [told.outcome for told in sorted(self.replay(replayer, **options), key=lambda told: told.letter.number)]

    def sent(self, topic: str = "md.trades") -> list[tuple[int, bytes | None, bytes | None]]:
        return [(each.partition, each.key, each.value) for each in self.cluster.read(topic)]


def test_letters_are_listed_and_counted_by_topic_and_reason(bench: Bench) -> None:
    bench.put(bench.letter(), bench.letter(source="md.quotes", reason="not_positive"), bench.letter(source_offset=18))
    bench.cluster.publish_bytes("dlq", b"key", b"no letter", 0)
    found = bench.command("list")
    assert found.exit_code == 0
    for part in ("md.trades[1]@17", "md.quotes[1]@17", "3 letters, and 1 records that are none", "2 md.trades undecodable"):
        assert part in found.stdout
    found = bench.command("list", "--reason", "not_positive", "--topic", "md.quotes")
    assert "md.quotes[1]@17" in found.stdout
    assert "md.trades" not in found.stdout
    assert bench.command("list", "--topic", "md.klines").stdout == "0 letters, and 1 records that are none\n"


def test_letter_is_shown_with_what_it_decodes_to(bench: Bench) -> None:
    bench.put(bench.letter(error="line 1\nline 2"), bench.letter(value=b"\x00\xff", truncated=True))
    found = bench.command("show", "0").stdout
    for part in ("md.trades, partition 1, offset 17", "line 1\nline 2", "3 bytes: key", "Trade(instrument='binance:BTC-USDT'"):
        assert part in found
    assert "2 bytes: 00 ff (only its beginning was kept)" in bench.command("show", "1").stdout
    wrong = bench.command("show", "7").exception
    assert isinstance(wrong, DeadLetterError)
    assert str(wrong) == "there is no letter 7: there are 2, from 0 to 1"


def test_original_goes_back_to_its_partition_byte_for_byte_and_once(bench: Bench) -> None:
    letters = [
        bench.letter(source_partition=3, source_offset=1, key=None, value=None),
        bench.letter(source_partition=2, source_offset=2, key=b"\x00", value=b"\xff" * 100),
        bench.letter(source="md.quotes", source_offset=3, value=b""),
    ]
    bench.put(*letters)
    assert bench.command("replay", answer="n\n").exit_code == 1
    assert bench.sent() == []
    first = bench.command("replay", "--topic", "md.trades", answer="y\n")
    assert "Replay 2 letters (2 of md.trades)? [y/N]" in first.stdout
    assert "2 sent, 0 sent before, 0 not sent" in first.stdout
    assert bench.sent() == [(letter.source_partition, letter.key, letter.value) for letter in (letters[1], letters[0])]
    again = bench.command("replay", "--yes")
    assert "0 sent before: md.trades[3]@0" in again.stdout
    assert "1 sent, 2 sent before, 0 not sent" in again.stdout
    assert (len(bench.sent()), bench.sent("md.quotes")) == (2, [(1, b"key", b"")])
    forced = bench.command("replay", "1", "--yes", "--force")
    assert "1 sent: md.trades[2]@1" in forced.stdout
    assert len(bench.sent()) == 3


def test_sink_takes_in_what_was_replayed(cluster: Cluster, start: Start, database: str) -> None:
    sink, bench = Sink(cluster, start, database), Bench(cluster)
    worker = sink.start()
    wait_for(lambda: is_reading(worker), "the sink to read")
    bench.put(bench.letter(key=TRADE.instrument.encode()))
    assert bench.command("replay", "--yes").exit_code == 0
    wait_for(lambda: sink.database.rows("trades"), "the trade to be stored")
    assert [row[1] for row in sink.database.rows("trades")] == [TRADE.trade_id]


def test_letters_of_one_original_send_it_once(bench: Bench) -> None:
    bench.put(bench.letter(), bench.letter(stage="processors"), bench.letter(failed_at=START + 1))
    assert bench.outcomes(bench.replayer()) == [Outcome.SENT, Outcome.SENT_BEFORE, Outcome.SENT_BEFORE]
    assert bench.outcomes(bench.replayer()) == [Outcome.SENT_BEFORE] * 3
    assert bench.outcomes(bench.replayer(), force=True) == [Outcome.SENT, Outcome.SENT_BEFORE, Outcome.SENT_BEFORE]
    assert len(bench.sent()) == 2


def test_what_cannot_be_sent_is_told_and_the_rest_goes(bench: Bench) -> None:
    bench.put(
        bench.letter(source="binance:trade", source_partition=None, source_offset=None),
        bench.letter(truncated=True, source_offset=1),
        bench.letter(source="md.nowhere", source_offset=2),
        bench.letter(source_partition=99, source_offset=3),
        bench.letter(value=random.Random(1).randbytes(1_500_000), source_offset=4),
        bench.letter(source_offset=5),
    )
    found = bench.command("replay", "--yes")
    assert found.exit_code == 1
    lines = (
        "0 not sent: it was a frame of a feed",
        "1 not sent: only the beginning",
        "2 not sent: md.nowhere[1]: there is no such topic",
        "3 not sent: md.trades[99]: it has 4 partitions",
        "4 not sent: md.trades: Broker: Message size too large",
        "5 sent: md.trades[1]@",
        "1 sent, 0 sent before, 5 not sent",
    )
    for part in lines:
        assert part in found.stdout
    assert len(bench.sent()) == 1
    assert "5 not sent" in bench.command("replay", "--yes").stdout  # noted as refused, so it may be tried at once


def first_note(bench: Bench, at: int) -> LetterReplay:
    return LetterReplay("md.trades", 1, 17, 0, "dead", bench.partitions.extent("md.trades", 1)[1], None, None, at)


@pytest.mark.parametrize("was_sent", [True, False])
def test_run_that_died_before_its_second_note_is_finished_by_the_next(bench: Bench, was_sent: bool) -> None:
    bench.put(bench.letter(), first_note(bench, NOW - 61_000_000))
    bench.cluster.publish_bytes("md.trades", b"other", b"other", 1)
    if was_sent:
        producer = Producer({"bootstrap.servers": bench.cluster.servers.kafka})
        producer.produce("md.trades", key=b"key", value=b"sent", partition=1, headers=[(HEADER, b"0/dead")])
        assert producer.flush(10) == 0
    [told] = bench.replay(bench.replayer())
    assert told.outcome is (Outcome.SENT_BEFORE if was_sent else Outcome.SENT)
    assert "md.trades[1]@1" in told.detail
    assert len(bench.sent()) == 2
    assert bench.outcomes(bench.replayer()) == [Outcome.SENT_BEFORE]
    assert len(bench.sent()) == 2


def test_letter_that_another_run_may_be_sending_is_left_alone(bench: Bench) -> None:
    bench.put(bench.letter(), first_note(bench, NOW - 59_000_000))
    for force in (False, True):
        [told] = bench.replay(bench.replayer(), force=force)
        assert told.outcome is Outcome.REFUSED
        assert "the run dead is sending it right now" in told.detail
    assert bench.sent() == []


def test_unfinished_run_of_which_nothing_can_be_seen_any_more_needs_force(bench: Bench) -> None:
    note = first_note(bench, NOW - 61_000_000)
    bench.put(bench.letter(), note)
    bench.cluster.publish_bytes("md.trades", b"other", b"other", 1)
    bench.partitions.cut("md.trades", 1, 1)
    [told] = bench.replay(bench.replayer())
    assert told.outcome is Outcome.REFUSED
    assert "--force" in told.detail
    assert bench.outcomes(bench.replayer(), force=True) == [Outcome.SENT]


def test_runs_at_once_send_each_letter_once(bench: Bench) -> None:
    bench.put(*(bench.letter(source_offset=number, key=str(number).encode()) for number in range(1200)))
    told: list[Told] = []
    threads = [threading.Thread(target=lambda: told.extend(bench.replay(bench.replayer()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3 * 1200
    counts = Counter(key for _, key, _ in bench.sent())
    assert set(counts.values()) <= {1}
    assert sum(each.outcome is Outcome.SENT for each in told) == len(counts)
    bench.replay(bench.replayer(now=NOW + 10**9))
    assert Counter(key for _, key, _ in bench.sent()) == {str(number).encode(): 1 for number in range(1200)}


def test_header_names_the_letter(bench: Bench) -> None:
    bench.put(bench.letter())
    bench.replay(bench.replayer(run="me"))
    consumer = Consumer({"bootstrap.servers": bench.cluster.servers.kafka, "group.id": "tests-headers"})
    consumer.assign([TopicPartition("md.trades", 1, 0)])
    [message] = consumer.consume(1, 10)
    consumer.close()
    assert message.headers() == [(HEADER, b"0/me")]


def test_purge_deletes_up_to_a_number_or_an_age_when_confirmed(bench: Bench) -> None:
    bench.put(bench.letter(), bench.letter(source_offset=18), bench.letter(source_offset=19, failed_at=START + 10**15))
    bench.command("replay", "0", "--yes")
    assert bench.command("purge", "--before", "2", answer="n\n").exit_code == 1
    assert len(bench.letters.shelf().letters) == 3
    done = bench.command("purge", "--before", "2", answer="y\n")
    assert "Delete 2 letters (2 of md.trades) for good, 1 of them never replayed? [y/N]" in done.stdout
    assert "deleted 2 letters; 1 are left" in done.stdout
    assert list(bench.letters.shelf().letters) == [2]
    assert "no letters to delete" in bench.command("purge", "--older-than", "30", "--yes").stdout
    bench.put(bench.letter(source_offset=20))  # refused long ago, but behind one that was refused lately
    assert "no letters to delete" in bench.command("purge", "--older-than", "30", "--yes").stdout
    assert "deleted 2 letters; 0 are left" in bench.command("purge", "--before", "99", "--yes").stdout
    assert isinstance(bench.command("purge", "--yes").exception, DeadLetterError)


def test_purge_keeps_what_is_noted_of_the_letters_that_stay(bench: Bench) -> None:
    bench.put(bench.letter())
    assert bench.command("replay", "--yes").exit_code == 0
    bench.put(bench.letter(stage="processors"))
    cut = max(bench.letters.shelf().letters)
    assert "deleted 1 letters; 1 are left" in bench.command("purge", "--before", str(cut), "--yes").stdout
    assert "0 sent, 1 sent before, 0 not sent" in bench.command("replay", "--yes").stdout
    assert len(bench.sent()) == 1


def test_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1"):
        Partitions(load(environ={}, overrides=["kafka.bootstrap=127.0.0.1:1"]).kafka).extent("dlq", 0)
