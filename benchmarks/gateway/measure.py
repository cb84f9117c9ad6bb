"""One run: trades at a rate to clients that are there, and what came of it."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection

from benchmarks.gateway.contestants import Running
from benchmarks.gateway.publisher import Publisher
from benchmarks.stream.load import instrument_names
from benchmarks.stream.samples import percentile
from tapeline.load.counting import percentile_ms
from tapeline.load.figures import Figures, traffic_figures
from tapeline.load.plan import LoadPlan
from tapeline.load.runner import Load

GRACE_SECONDS = 1.0
"""What comes later than so long after the last trade is not delivered in time."""

_REST_PAUSE = 0.02


def listeners(plan: LoadPlan) -> list[int]:
    """How many clients subscribe to each symbol."""
    counts = dict.fromkeys(plan.symbols, 0)
    for number in range(plan.clients):
        for symbol in plan.symbols_of(number):
            counts[symbol] += 1
    return list(counts.values())


def run(
    running: Running,
    load: Load,
    plan: LoadPlan,
    publisher: Publisher,
    bare: Connection,
    per_second: int,
    seconds: float,
    *,
    with_rest: bool = False,
) -> Figures:
    """Figures of so many messages a second to all clients together, for so long; `with_rest` REST is asked meanwhile."""
    counts = listeners(plan)
    source_rate = max(1, round(per_second * len(counts) / sum(counts)))
    bare.send("count")
    bare.recv()
    load.begin()
    cpu, _ = running.program.usage()
    with _rest(running) if with_rest else nullcontext(()) as times:
        publisher.begin(source_rate, seconds)
        sent = publisher.sent()
    time.sleep(GRACE_SECONDS)
    answer = load.count()
    spent, rss = running.program.usage()
    running.program.check()
    bare.send("count")
    floor = bare.recv()
    wanted = sum(number * counts[index] for index, number in sent.trades.items())
    figures = traffic_figures(answer, sent.seconds)
    figures |= {
        "wanted_per_second": wanted / sent.seconds,
        "delivered": answer.tally.messages / wanted,
        "messages_per_cpu_second": answer.tally.messages / (spent - cpu),
        "cpu_share": (spent - cpu) / sent.seconds,
        "rss_mb": rss / 1e6,
        "bytes_per_message": answer.tally.received_bytes / max(1, answer.tally.messages),
    }
    for title, share in (("p50", 0.5), ("p99", 0.99)):
        if (latency := percentile_ms(floor, share)) is not None:
            figures[f"bare_{title}_ms"] = latency
    if times:
        figures |= {"rest_p50_ms": percentile(times, 0.5), "rest_p99_ms": percentile(times, 0.99)}
    return figures


@contextmanager
def _rest(running: Running) -> Iterator[Sequence[float]]:
    """Ask for quotes meanwhile, one after the other; the milliseconds each took."""
    times: list[float] = []
    over = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        headers = {"Authorization": f"Bearer {running.tokens[0]}"}
        names = instrument_names()
        while not over.wait(_REST_PAUSE):
            began = time.perf_counter()
            connection.request("GET", f"/api/realtime/quote/{names[len(times) % len(names)]}", headers=headers)
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                times.append(1000 * (time.perf_counter() - began))
        connection.close()

    asking = threading.Thread(target=ask, name="rest")
    asking.start()
    try:
        yield times
    finally:
        over.set()
        asking.join()
