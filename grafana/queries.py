"""Targets of panels: a Flux query of InfluxDB or a PromQL query of Prometheus, of the data sources provisioned beside."""

from __future__ import annotations

from grafana_foundation_sdk.builders.prometheus import Dataquery as Prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

INFLUXDB = DataSourceRef("influxdb", "tapeline-influxdb")
PROMETHEUS = DataSourceRef("prometheus", "tapeline-prometheus")

_WINDOW = '|> aggregateWindow(every: v.windowPeriod, fn: {function}, createEmpty: false) |> yield(name: "{function}")'


class FluxQuery(Dataquery):
    """What the InfluxDB data source takes; the SDK has no type of it."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.ref_id = "A"

    def to_json(self) -> dict[str, object]:
        """As it stands in a dashboard."""
        return {"refId": self.ref_id, "datasource": INFLUXDB, "query": self.query}


class Flux(Builder[Dataquery]):
    """Points of a measurement; `fields` of them, where all of `conditions` hold, folded by `function` over the windows.

    Without a function every point is shown.
    """

    def __init__(
        self, bucket: str, measurement: str, *fields: str, conditions: tuple[str, ...] = (), function: str = ""
    ) -> None:
        named = " or ".join(f'r._field == "{field}"' for field in fields)
        wanted = " and ".join((f'r._measurement == "{measurement}"', *conditions, f"({named})"))
        lines = [
            f'from(bucket: "${{{bucket}_bucket}}")',
            "|> range(start: v.timeRangeStart, stop: v.timeRangeStop)",
            f"|> filter(fn: (r) => {wanted})",
        ]
        if function:
            lines.append(_WINDOW.format(function=function))
        self._query = "\n".join(lines)

    def build(self) -> Dataquery:
        """The target."""
        return FluxQuery(self._query)


def promql(expression: str, legend: str) -> Builder[Dataquery]:
    """A query over the time range of the panel."""
    query = Prometheus().expr(expression).legend_format(legend).datasource(PROMETHEUS).ref_id("A")
    return query.format(PromQueryFormat.TIME_SERIES).range()
