"""A process full of clients, told what to do over a pipe: connect, subscribe, count, answer."""

from __future__ import annotations

import os
import selectors
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

from runtime.memory import spare_the_collector
from tapeline.load.clients import LoadClient, State
from tapeline.load.counting import Tally
from tapeline.load.plan import LoadPlan

_AT_ONCE = 64
"""Connections being opened at a time."""
_PATIENCE = 30.0
_TURN = 0.2


@dataclass(slots=True)
class Answer:
    """What a process says: how many of its clients have come so far, what all have got, why some have gone."""

    done: int = 0
    tally: Tally = field(default_factory=Tally)
    slow: Tally = field(default_factory=Tally)
    ended: Counter[str] = field(default_factory=Counter)


def work(plan: LoadPlan, pipe: Connection) -> None:
    """Do what the pipe says until it is closed or says `stop`."""
    _give_way()
    worker = _Worker(plan)
    orders = {"connect": worker.connect, "subscribe": worker.subscribe, "begin": worker.begin, "count": worker.count}
    try:
        worker.listen(pipe)
        while True:
            if worker.turn(_TURN):
                order = pipe.recv()
                if order == "stop":
                    return
                pipe.send(orders[order]())
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # who gave orders is gone


def _give_way() -> None:
    """Never interrupt what runs when something comes: the gateway's sending above all, which is what wakes its clients."""
    with suppress(AttributeError, OSError):  # other systems have no such policy
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class _Worker:
    def __init__(self, plan: LoadPlan) -> None:
        last_quick = plan.clients - plan.slow
        self._clients = [LoadClient(plan, plan.first + each, slow=each >= last_quick) for each in range(plan.clients)]
        self._slow = [client for client in self._clients if client.slow]
        self._slow_bytes = plan.slow_bytes
        self._slow_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._tally, self._slow_tally = Tally(), Tally()

    def connect(self) -> Answer:
        """Open all connections, some at a time, until each is upgraded or refused."""
        waiting = list(reversed(self._clients))
        under_way: list[LoadClient] = []
        deadline = time.monotonic() + _PATIENCE
        while (waiting or under_way) and time.monotonic() < deadline:
            while waiting and len(under_way) < _AT_ONCE:
                client = waiting.pop()
                try:
                    client.connect()
                except OSError as error:
                    client.state, client.why = State.CLOSED, error.strerror or str(error)
                    continue
                self._selector.register(client.socket, selectors.EVENT_READ, client)
                under_way.append(client)
            self.turn(_TURN)
            before = len(under_way)
            under_way = [client for client in under_way if client.state is State.CONNECTING]
            if len(under_way) < before:
                deadline = time.monotonic() + _PATIENCE
        return self._answer(sum(client.state is State.OPEN for client in self._clients))

    def subscribe(self) -> Answer:
        """Subscribe all clients, and wait for the answers."""
        for number, client in enumerate(self._clients):
            if client.state is State.OPEN:
                client.subscribe()
            if number % _AT_ONCE == 0:
                self.turn(0)
        deadline = time.monotonic() + _PATIENCE
        while any(client.state is State.OPEN for client in self._clients) and time.monotonic() < deadline:
            self.turn(_TURN)
        for client in self._slow:
            if client.state is State.SUBSCRIBED:
                self._selector.unregister(client.socket)
        spare_the_collector()  # else it looks through all clients while latencies are measured
        return self._answer(sum(client.state is State.SUBSCRIBED for client in self._clients))

    def begin(self) -> Answer:
        """Count from here."""
        self._tally, self._slow_tally = Tally(), Tally()
        return self._answer(0)

    def count(self) -> Answer:
        """What was counted so far."""
        return self._answer(sum(client.state is State.SUBSCRIBED for client in self._clients))

    def listen(self, pipe: Connection) -> None:
        """Let an order end the wait for messages: to ask the pipe itself in each turn took longer than to read."""
        self._selector.register(pipe, selectors.EVENT_READ, None)

    def turn(self, seconds: float) -> bool:
        """Read what has come, waiting up to so long for the first of it or for an order; whether there is an order."""
        is_ordered = False
        for key, _ in self._selector.select(seconds):
            client = cast("LoadClient | None", key.data)
            if client is None:
                is_ordered = True
                continue
            client.read(time.time_ns() // 1000, self._tally)
            if client.state is State.CLOSED:
                self._selector.unregister(key.fileobj)
        if self._slow and time.monotonic() - self._slow_at >= 1:
            self._slow_at = time.monotonic()
            for client in self._slow:
                if client.state is State.SUBSCRIBED:
                    client.read(time.time_ns() // 1000, self._slow_tally, self._slow_bytes)
        return is_ordered

    def _answer(self, done: int) -> Answer:
        ended = Counter(client.why for client in self._clients if client.why is not None)
        return Answer(done, self._tally, self._slow_tally, ended)
