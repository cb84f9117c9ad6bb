"""What the services tell of themselves, from their metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Metric values of all services at one moment, by name and labels; equal ones of several services are added."""

    values: Mapping[tuple[str, Labels], float] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over all label sets that hold these labels."""
        wanted = set(labels.items())
        return sum(value for (metric, found), value in self.values.items() if metric == name and wanted <= found)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums of a metric for each value of a label."""
        sums: Counter[str] = Counter()
        for (metric, found), value in self.values.items():
            for key, text in found:
                if metric == name and key == label:
                    sums[text] += value  # type: ignore[assignment]  # counters count floats as well
        return dict(sums)

    def counters(self) -> dict[tuple[str, Labels], float]:
        """What the services have counted, without what changes by itself: memory, time."""
        return {
            key: value for key, value in self.values.items() if key[0].startswith("tapeline_") and key[0].endswith("_total")
        }

    def median_latency(self, hop: str) -> float | None:
        """Median seconds of a hop so far: the upper bound of its histogram bucket. None before the first observation."""
        buckets = sorted(
            (float(dict(labels)["le"]), value)
            for (metric, labels), value in self.values.items()
            if metric == "tapeline_latency_seconds_bucket" and ("hop", hop) in labels
        )
        if not buckets or not buckets[-1][1]:
            return None
        return next(bound for bound, count in buckets if count * 2 >= buckets[-1][1])


def read_figures(texts: Iterable[str]) -> Figures:
    """Figures of services from their exposed metrics."""
    values: Counter[tuple[str, Labels]] = Counter()
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name, frozenset(sample.labels.items())] += sample.value  # type: ignore[assignment]
    return Figures(dict(values))
