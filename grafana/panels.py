"""Dashboards and panels as all of ours are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from grafana_foundation_sdk.builders import candlestick, dashboard, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from grafana.queries import INFLUXDB

_Kind = TypeVar("_Kind", timeseries.Panel, candlestick.Panel, table.Panel)
_BUCKETS = ("ticks", "history")


def new(uid: str, title: str, *, since: str = "now-1h") -> dashboard.Dashboard:
    """A dashboard without panels, with the names of the buckets as hidden variables."""
    made = (
        dashboard.Dashboard(title).uid(f"tapeline-{uid}").tags(["tapeline"]).refresh("10s").time(since, "now").timezone("utc")
    )
    for bucket in _BUCKETS:
        made = made.with_variable(dashboard.ConstantVariable(f"{bucket}_bucket").value(f"tapeline_{bucket}"))
    return made


def choice(tag: str, bucket: str, measurement: str) -> dashboard.QueryVariable:
    """A variable with the values of a tag."""
    imported = 'import "influxdata/influxdb/schema"\n'
    predicate = f'(r) => r._measurement == "{measurement}"'
    query = f'{imported}schema.tagValues(bucket: "${{{bucket}_bucket}}", tag: "{tag}", predicate: {predicate}, start: -30d)'
    return dashboard.QueryVariable(tag).datasource(INFLUXDB).query(query).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def graph(
    title: str, source: DataSourceRef, targets: Iterable[Builder[Dataquery]], *, unit: str = "short", wide: bool = False
) -> timeseries.Panel:
    """Lines over time."""
    return _with_targets(
        timeseries.Panel().title(title).datasource(source).unit(unit).height(8).span(24 if wide else 12), targets
    )


def candles(title: str, source: DataSourceRef, targets: Iterable[Builder[Dataquery]]) -> candlestick.Panel:
    """Open, high, low and close over time."""
    return _with_targets(candlestick.Panel().title(title).datasource(source).height(12).span(24), targets)


def rows(title: str, source: DataSourceRef, targets: Iterable[Builder[Dataquery]]) -> table.Panel:
    """A table."""
    return _with_targets(table.Panel().title(title).datasource(source).height(8).span(24), targets)


def _with_targets(panel: _Kind, targets: Iterable[Builder[Dataquery]]) -> _Kind:
    for target in targets:
        panel.with_target(target)
    return panel
