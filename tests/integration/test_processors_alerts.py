"""Alerts and ends of days by a worker of their own that is killed while it tells them, on the real broker."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import partial
from typing import Any

from market.interval import DAY
from market.limits import Limit, LimitKind
from market.portfolio_alert import Alert, Watched, see
from market.valuation_record import Valuation
from runtime.settings import load
from schemas.topics import ALERTS, DAY_ENDS, VALUATIONS
from tapeline.commands.topics import apply_topics
from tapeline.topic_docs.examples import example
from tests.builders import START
from tests.cluster import Cluster, wait_for
from tests.portfolio_parts import AMOUNT
from tests.processing import FAST, GROUP, Start

KILLS = 2
MOST_KILLS = 12
"""By then one of them has come while there was work."""
LIMITS = (Limit(LimitKind.GROSS_EXPOSURE, 60 * AMOUNT, 40 * AMOUNT), Limit(LimitKind.NET_EXPOSURE, 50 * AMOUNT, 50 * AMOUNT))
PORTFOLIOS = [f"fund-{number}" for number in range(12)]


def valuations(round_: int, count: int) -> list[Valuation]:
    """Figures that cross their limits often, over a few days; some come again, as from a worker that was replaced."""
    chance, found = random.Random(round_), example(Valuation)
    assert isinstance(found, Valuation)
    made = list[Valuation]()
    for number in range(count):
        made.append(
            found._replace(
                portfolio_id=chance.choice(PORTFOLIOS),
                gross_exposure=chance.randrange(100) * AMOUNT,
                net_exposure=chance.randrange(-100, 100) * AMOUNT,
                limits=LIMITS,
                generation=round_,
                sequence=number,
                valued_at=START + number,
                day_end_at=START + (round_ * 4 + 4 * number // count) * DAY,
            )
        )
        if chance.random() < 0.02:
            made.append(chance.choice(made))
    return made


def expected(cluster: Cluster) -> tuple[dict[tuple[Any, ...], Alert], dict[tuple[str, int | None], Valuation]]:
    """What the valuations make in their order: alerts by their ids, and the last valuation of each day."""
    watched, last = dict[str, Watched](), dict[str, Valuation]()
    alerts, ends = dict[tuple[Any, ...], Alert](), dict[tuple[str, int | None], Valuation]()
    for one in cluster.read(VALUATIONS.name):
        name, before = one.record.portfolio_id, watched.get(one.record.portfolio_id, Watched())
        seen = see(before, one.record, (VALUATIONS.name, one.partition, one.offset))
        if seen.ends_day:
            ends[name, last[name].day_end_at] = last[name]
        alerts |= {id_of(alert): alert for alert in seen.alerts}
        if seen.watched != before:
            last[name] = one.record
        watched[name] = seen.watched
    return alerts, ends


def id_of(alert: Alert) -> tuple[Any, ...]:
    return alert.portfolio_id, alert.kind, alert.source_partition, alert.source_offset


def told(cluster: Cluster) -> tuple[dict[tuple[Any, ...], Alert], dict[tuple[str, int | None], Valuation]]:
    """What was told. One that was told twice, since a crash came before its commit, is the same to the last byte."""
    values = defaultdict[Any, set[bytes | None]](set)
    alerts, ends = dict[tuple[Any, ...], Alert](), dict[tuple[str, int | None], Valuation]()
    for one in cluster.read(ALERTS.name):
        alerts[id_of(one.record)] = one.record
        values[id_of(one.record)].add(one.value)
    for one in cluster.read(DAY_ENDS.name):
        ends[one.record.portfolio_id, one.record.day_end_at] = one.record
        values[one.key].add(one.value)
    assert {len(each) for each in values.values()} <= {1}
    return alerts, ends


def has_grown(cluster: Cluster, before: dict[int, int]) -> bool:
    return cluster.ends(ALERTS.name) != before


def test_each_breach_and_each_end_of_a_day_is_told_once_by_its_id_through_crashes(cluster: Cluster, start: Start) -> None:
    config = cluster.config(processors={**FAST, "agents": ["alerts"], "store": "rocksdict"})
    apply_topics(load(config))
    worker, in_the_middle, kills = start("process", "-c", config), 0, 0
    while kills < KILLS or (not in_the_middle and kills < MOST_KILLS):
        before = cluster.ends(ALERTS.name)
        cluster.publish(VALUATIONS.name, valuations(kills, 1500))
        wait_for(partial(has_grown, cluster, before), "alerts", timeout=60, every=0.01)
        worker.kill()
        kills += 1
        in_the_middle += not cluster.all_committed(GROUP, VALUATIONS.name)
        worker.start()
    assert in_the_middle, "no crash came while there was work: nothing was tried"
    cluster.publish(VALUATIONS.name, valuations(kills, 300))
    wait_for(lambda: cluster.all_committed(GROUP, VALUATIONS.name), "all valuations", timeout=60)
    found = told(cluster)
    assert found == expected(cluster)
    assert {(alert.kind, alert.is_breached) for alert in found[0].values()} == {
        (limit.kind, said) for limit in LIMITS for said in (True, False)
    }
    assert cluster.read("dlq") == []
