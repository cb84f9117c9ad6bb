"""Fetches of the consumer thread: what a rebalance in between makes of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import TopicPartition
from faust.types import TP

from processors.transport.consumer import BatchConsumer
from processors.transport.thread import ConsumerThread, Fetched
from processors.transport.views import PlainBatch

TRADES, LOST, CHANGELOG = TP("md.trades", 2), TP("md.trades", 3), TP("changelog", 2)
BEGIN, END = 858, 1047


class OneFetch(Fetcher):  # type: ignore[misc]  # aiokafka has no type hints for its callers
    """A fetcher whose next fetch brings records, and has moved the positions behind them."""

    def __init__(self, found: dict[TP, list[Any]]) -> None:
        self._subscriptions = SubscriptionState()
        self._subscriptions.subscribe({TRADES.topic, CHANGELOG.topic})
        self._subscriptions.assign_from_subscribed([TopicPartition(*tp) for tp in (TRADES, CHANGELOG)])
        self._records: dict[TopicPartition, Any] = {}
        self._wait_consume_future = None
        self._fetch_max_wait_ms = self._fetch_min_bytes = 0
        self._closed = False
        self._found = found
        for tp in (TRADES, CHANGELOG):
            self._subscriptions.seek(TopicPartition(*tp), END)

    async def fetched_records(self, *_: Any, **__: Any) -> dict[TP, list[Any]]:
        return self._found

    def positions(self) -> dict[TP, int]:
        assignment = self._subscriptions.subscription.assignment
        return {TP(*tp): assignment.state_value(tp).position for tp in assignment.tps}


async def fetch(*, rebalancing: bool, has_views: bool = True) -> tuple[Fetched, dict[TP, int]]:
    record = PlainBatch(BEGIN, END) if has_views else SimpleNamespace(offset=BEGIN)
    fetcher = OneFetch({TRADES: [record], LOST: [record], CHANGELOG: [SimpleNamespace(offset=3)]})
    thread = ConsumerThread.__new__(ConsumerThread)
    thread.app = SimpleNamespace(rebalancing=rebalancing, rebalancing_count=6)
    thread.consumer = BatchConsumer.__new__(BatchConsumer)
    thread.consumer.flow_active = True
    thread.consumer.transport = SimpleNamespace(readers={TRADES.topic: 1}, has_views=has_views, busy=(10, 100_000))
    client = SimpleNamespace(_fetcher=fetcher, _closed=False)
    return await thread._fetch_records(client, {TRADES, LOST, CHANGELOG}), fetcher.positions()


@pytest.mark.parametrize("has_views", [True, False])
def test_batches_fetched_while_a_rebalance_goes_on_are_fetched_again(has_views: bool) -> None:
    found, positions = asyncio.run(fetch(rebalancing=True, has_views=has_views))
    assert list(found) == [CHANGELOG], "recovery reads changelogs during the rebalance; nobody reads batches"
    assert positions == {TRADES: BEGIN, CHANGELOG: END}


def test_batches_fetched_after_a_rebalance_are_delivered() -> None:
    found, positions = asyncio.run(fetch(rebalancing=False))
    assert list(found) == [TRADES, LOST, CHANGELOG]
    assert found.generation == 6
    assert positions == {TRADES: END, CHANGELOG: END}
