"""The examples as processes of their own on the real broker and registry, whatever ends them meanwhile."""

import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from market.candle import CandleEvent, CandleEventKind
from market.decimals import AMOUNT_SCALE, SCALE
from tests import java_example
from tests.builders import MINUTE, START
from tests.cluster import ROOT, Cluster, Service, wait_for

OUTPUT = "indicators"
WINDOW, EMA_LENGTH, RSI_LENGTH = 250, 20, 14
WIDEST = 12345678901234567890123456789012345678901234567890

Launch = Callable[..., Service]


def make_candle(
    minute: int, close: int, revision: int, offset: int, *, instrument: str = "sim:A-USD", amount: int = 1
) -> CandleEvent:
    """A version of a candle; `close` and `amount` are unscaled."""
    opened = START + minute * MINUTE
    kinds = (CandleEventKind.UPDATE, CandleEventKind.CLOSE)
    return CandleEvent(
        instrument,
        "1m",
        opened,
        opened + MINUTE,
        kinds[revision] if revision < 2 else CandleEventKind.CORRECTION,
        revision,
        *(close,) * 5,
        amount,
        close,
        None,
        1,
        "1",
        "1",
        revision > 0,
        False,
        False,
        opened,
        opened,
        "md.trades",
        0,
        offset,
    )


@pytest.fixture
def launch(cluster: Cluster, tmp_path: Path) -> Iterator[Launch]:
    """Start a program with the servers' addresses and a group; whatever still runs at the end is killed."""
    started: list[Service] = []

    def run(launcher: list[str], *arguments: str) -> Service:
        service = Service(arguments, tmp_path / f"{len(started)}.log", tuple(launcher))
        started.append(service)
        return service

    yield run
    for service in started:
        if service.process.poll() is None:
            service.kill()


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the Java example, compiled once."""
    return java_example.compiled(tmp_path_factory.mktemp("classes"))


@pytest.fixture(params=["python", "java"])
def printer(request: pytest.FixtureRequest, cluster: Cluster, launch: Launch) -> Callable[[], Service]:
    """Starts the program that prints candles, always as the same group."""
    broker, registry = cluster.servers.kafka, cluster.servers.registry
    if request.param == "java":
        command: list[str] = request.getfixturevalue("java")
        return lambda: launch(command, broker, registry, "printer")
    script = [sys.executable, str(ROOT / "examples" / "consumer.py")]
    return lambda: launch(script, "--broker", broker, "--registry", registry, "--group", "printer")


def with_places(unscaled: int, scale: int) -> str:
    digits = f"{abs(unscaled):0{scale + 1}d}"
    return f"{'-' * (unscaled < 0)}{digits[:-scale]}.{digits[-scale:]}"


def line_of(candle: CandleEvent) -> str:
    """What an example prints of a candle, by plain arithmetic on its whole numbers."""
    minute = (candle.open_time - START) // MINUTE
    figures = [f"{name}={with_places(getattr(candle, name), SCALE)}" for name in ("open", "high", "low", "close", "volume")]
    return " ".join(
        (
            f"{candle.instrument} 1m 2024-08-09T00:{minute:02d}:00Z {candle.kind} revision={candle.revision}",
            *figures,
            f"amount={with_places(candle.amount, AMOUNT_SCALE)}",
        )
    )


def wait_for_service(service: Service, condition: Callable[[], object], what: str) -> None:
    """Wait for what a program does; one that ends instead shows its last words."""
    wait_for(lambda: condition() or service.process.poll() is not None, what, timeout=60, every=0.3)
    assert condition(), f"{what}: {service.text()[-2_000:]}"


def all_committed(cluster: Cluster, group: str) -> bool:
    """Whether a group has committed all candles; Java's client commits the beginning of an empty partition as well."""
    committed = cluster.committed(group, "md.candles")
    return {number: offset for number, offset in committed.items() if offset} == cluster.ends("md.candles")


def printed(service: Service) -> list[str]:
    return [line for line in service.text().splitlines() if line.startswith("sim:")]


def end(service: Service, with_signal: signal.Signals) -> None:
    """Ask it to stop; Java tells by which signal it ended."""
    service.process.send_signal(with_signal)
    assert service.process.wait(20) in (0, 128 + with_signal), service.text()[-2_000:]


def test_candles_are_printed_once_each_in_rising_versions(cluster: Cluster, printer: Callable[[], Service]) -> None:
    first = make_candle(0, 61_837_630_000_000_000, 0, 3)
    more = make_candle(0, 12345678901234567890123456789012345678, 0, 8, amount=WIDEST)
    closed = make_candle(0, -1, 1, 9)
    mended = make_candle(0, 5, 2, 700)
    other = make_candle(1, 10**12, 1, 20)
    cluster.publish("md.candles", [first, more, first, more, closed, more, mended, closed, other])
    service = printer()
    expected = [line_of(candle) for candle in (first, more, closed, mended, other)]
    wait_for_service(service, lambda: len(printed(service)) >= len(expected), "the candles to be printed")
    wait_for_service(service, partial(all_committed, cluster, "printer"), "the offsets to be committed")
    end(service, signal.SIGTERM)
    assert printed(service) == expected

    later = make_candle(2, 7, 1, 30)
    cluster.publish("md.candles", [later])
    service = printer()
    wait_for_service(service, lambda: printed(service), "the later candle to be printed")
    end(service, signal.SIGINT)
    assert printed(service) == [line_of(later)]


def disorderly(seed: int, minutes: int) -> list[CandleEvent]:
    """Candles of two instruments: minutes without any, updates before and behind the close, repetitions, corrections."""
    shuffler, found = random.Random(seed), list[CandleEvent]()
    for minute in range(minutes):
        for instrument in ("sim:A-USD", "sim:B-USD"):
            if shuffler.random() < 0.1:
                continue
            price = shuffler.randint(90 * 10**12, 110 * 10**12)
            offset = minute * 10
            close = make_candle(minute, price, 1, offset + 5, instrument=instrument)
            update = make_candle(minute, price + 1, 0, offset, instrument=instrument)
            found += shuffler.choice([[close], [update, close], [update, close, update], [close, close]])
            if shuffler.random() < 0.05:
                late = shuffler.choice([one for one in found if one.instrument == instrument and one.is_closed])
                found.append(
                    make_candle(
                        (late.open_time - START) // MINUTE, price - 3, late.revision + 1, offset + 7, instrument=instrument
                    )
                )
    return found


def expected_values(candles: list[CandleEvent]) -> dict[tuple[str, int], tuple[Fraction, Fraction | None, Fraction | None]]:
    """Close, EMA and RSI of every candle by plain fractions, from the highest versions alone."""
    closes: dict[str, dict[int, Fraction]] = {}
    for one in sorted((one for one in candles if one.is_closed), key=lambda one: one.version):
        closes.setdefault(one.instrument, {})[one.open_time] = Fraction(one.close, 10**SCALE)
    values: dict[tuple[str, int], tuple[Fraction, Fraction | None, Fraction | None]] = {}
    for instrument, by_time in closes.items():
        for time in by_time:
            window = [by_time[before] for before in sorted(by_time) if before <= time][-WINDOW:]
            values[instrument, time] = window[-1], plain_ema(window), plain_rsi(window)
    return values


def plain_ema(closes: list[Fraction]) -> Fraction | None:
    """The weighted sum that the recursion comes to: each step shrinks what was before to 19/21 and adds 2/21 of a close."""
    if len(closes) < EMA_LENGTH:
        return None
    begin, shrink = sum(closes[:EMA_LENGTH]) / Fraction(EMA_LENGTH), Fraction(EMA_LENGTH - 1, EMA_LENGTH + 1)
    rest = closes[EMA_LENGTH:]
    added = sum((close * shrink ** (len(rest) - 1 - age) for age, close in enumerate(rest)), Fraction())
    return begin * shrink ** len(rest) + added * (1 - shrink)


def plain_rsi(closes: list[Fraction]) -> Fraction | None:
    """100 - 100 / (1 + RS) of average gains and losses, each as the weighted sum it comes to."""
    changes = [after - before for before, after in pairwise(closes)]
    if len(changes) < RSI_LENGTH:
        return None
    shrink, rest = Fraction(RSI_LENGTH - 1, RSI_LENGTH), changes[RSI_LENGTH:]

    def average(sign: int) -> Fraction:
        first = sum((max(sign * change, Fraction()) for change in changes[:RSI_LENGTH]), Fraction()) / RSI_LENGTH
        weighted = (max(sign * change, Fraction()) * shrink ** (len(rest) - 1 - age) for age, change in enumerate(rest))
        return first * shrink ** len(rest) + sum(weighted, Fraction()) / RSI_LENGTH

    return 100 - 100 / (1 + average(1) / average(-1))


def outputs(cluster: Cluster) -> list[tuple[bytes, dict[str, object], bytes]]:
    """Key, content and bytes of every value told."""
    if OUTPUT not in cluster.admin.list_topics(timeout=10).topics:
        return []
    return [(one.key or b"", json.loads(one.value or b""), one.value or b"") for one in cluster.read(OUTPUT)]


def more_outputs(cluster: Cluster, before: int) -> bool:
    try:
        return len(outputs(cluster)) > before
    except KafkaException:
        return False  # the topic has just been made and has no leader yet


def check_values(cluster: Cluster, candles: list[CandleEvent]) -> None:
    """That the values with the highest offsets are those of plain arithmetic, and that repetitions repeat."""
    told: dict[tuple[bytes, object], bytes] = {}
    final: dict[tuple[object, object], dict[str, object]] = {}
    for key, value, data in outputs(cluster):
        assert key.decode() == f"{value['instrument']}|1m|{value['open_time']}"
        assert told.setdefault((key, value["source_offset"]), data) == data, "one version, two values"
        known = final.get((value["instrument"], value["open_time"]))
        if known is None or int(str(value["source_offset"])) >= int(str(known["source_offset"])):
            final[value["instrument"], value["open_time"]] = value
    expected = expected_values(candles)
    assert final.keys() == expected.keys()
    for name, value in final.items():
        wanted = expected[str(name[0]), int(str(name[1]))]
        for found, figure in zip((value["close"], value["ema_20"], value["rsi_14"]), wanted, strict=True):
            assert (found is None) == (figure is None), value
            assert figure is None or abs(Fraction(str(found)) - figure) <= Fraction(1, 10**12), value


def test_indicators_killed_in_the_middle_end_in_the_values_of_plain_arithmetic(cluster: Cluster, launch: Launch) -> None:
    candles = disorderly(3, 320)
    arguments = ("--broker", cluster.servers.kafka, "--registry", cluster.servers.registry, "--instance", "0")
    thirds = [candles[begin : begin + len(candles) // 3 + 1] for begin in range(0, len(candles), len(candles) // 3 + 1)]
    service = launch([sys.executable, "-m", "examples.indicators"], *arguments)
    for part in thirds[:2]:
        before = len(outputs(cluster))
        cluster.publish("md.candles", part)
        wait_for_service(service, partial(more_outputs, cluster, before), "values to be told")
        service.kill()
        cluster.publish("md.candles", part[-20:])
        assert not all_committed(cluster, OUTPUT)
        service.start()
    cluster.publish("md.candles", thirds[2])
    wait_for_service(service, partial(all_committed, cluster, OUTPUT), "all candles to be committed")
    assert service.terminate() == 0, service.text()
    check_values(cluster, candles)

    told = len(outputs(cluster))
    last = make_candle(400, 95 * 10**12, 1, 9_000)
    cluster.publish("md.candles", [last])
    service.start()
    wait_for_service(service, partial(all_committed, cluster, OUTPUT), "the last candle to be committed")
    assert service.terminate() == 0, service.text()
    assert len(outputs(cluster)) == told + 1, "candles told before were told again"
    check_values(cluster, [*candles, last])


def test_indicators_in_a_topic_of_another_layout_are_refused(cluster: Cluster, launch: Launch) -> None:
    arguments = ("--broker", cluster.servers.kafka, "--registry", cluster.servers.registry, "--output", "dlq")
    service = launch([sys.executable, "-m", "examples.indicators"], *arguments)
    assert service.process.wait(30) == 1
    assert "dlq has 1 partitions, md.candles has 4" in service.text()


def test_examples_without_their_topic_say_so(cluster: Cluster, launch: Launch) -> None:
    cluster.admin.delete_topics(["md.candles"], operation_timeout=10)["md.candles"].result(10)
    arguments = ("--broker", cluster.servers.kafka, "--registry", cluster.servers.registry)
    for program in ("examples.consumer", "examples.indicators"):
        service = launch([sys.executable, "-m", program], *arguments)
        assert service.process.wait(30) == 1
        assert "md.candles" in service.text()
