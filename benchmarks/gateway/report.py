"""The figures that are aimed at, and how all are shown. Pure but for `show`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tapeline.load.figures import Figures

Results = dict[str, list[Figures]]
"""Figures of each round, by what was run."""

ALL = 0.9999
_COLUMNS = {
    "delivered": ("delivered", 4),
    "msg/s": ("messages_per_second", 0),
    "msg per CPU-s": ("messages_per_cpu_second", 0),
    "CPU": ("cpu_share", 2),
    "RSS MB": ("rss_mb", 0),
    "p50 ms": ("platform_p50_ms", 1),
    "p99 ms": ("platform_p99_ms", 1),
    "bare p50": ("bare_p50_ms", 1),
    "bare p99": ("bare_p99_ms", 1),
    "sent p50": ("gateway_p50_ms", 2),
    "sent p99": ("gateway_p99_ms", 1),
    "REST p99": ("rest_p99_ms", 1),
}


def ratios(results: Results) -> Figures:
    """What is aimed at, of the runs that are there. Times by the clock, and shares, are those of the best round."""
    found: Figures = {}
    rates = [
        int(title.removeprefix("broadcast_"))
        for title, rounds in results.items()
        if title.startswith("broadcast_") and rounds[0]["delivered"] >= ALL
    ]
    if rates and f"gateway_{max(rates)}" in results:
        ours = _best(results, f"gateway_{max(rates)}", "messages_per_cpu_second", max)
        found["vs_broadcast"] = ours / _best(results, f"broadcast_{max(rates)}", "messages_per_cpu_second", max)
        found["highest_broadcast_rate"] = max(rates)
    wanted = {
        "fanout_200k_msgs_per_cpu_second": ("gateway_200k", "messages_per_cpu_second", max),
        "fanout_200k_p99_ms": ("gateway_200k", "platform_p99_ms", min),
        "fanout_200k_bare_p99_ms": ("gateway_200k", "bare_p99_ms", min),
        "fanout_1m_delivered": ("gateway_1m", "delivered", max),
        "clients_10k_50k_p99_ms": ("gateway_10k_clients", "platform_p99_ms", min),
        "clients_10k_50k_bare_p99_ms": ("gateway_10k_clients", "bare_p99_ms", min),
        "clients_10k_rss_mb": ("gateway_10k_clients", "rss_mb", max),
        "rest_p99_ms_at_200k": ("gateway_200k", "rest_p99_ms", min),
        "handshakes_per_second": ("handshakes", "handshakes_per_second", max),
    }
    for name, (title, figure, best) in wanted.items():
        if any(figure in rounds for rounds in results.get(title, [])):
            found[name] = _best(results, title, figure, best)
    if added := [
        each["platform_p50_ms"] - each["bare_p50_ms"] for each in results.get("gateway_20k", []) if "bare_p50_ms" in each
    ]:
        found["added_p50_ms_at_20k"] = min(added)
    return found


def _best(results: Results, title: str, figure: str, best: object) -> float:
    values = [rounds[figure] for rounds in results[title] if figure in rounds]
    return max(values) if best is max else min(values)


def show(results: Results, console: Console) -> None:
    """Print a line for each round, and what is aimed at."""
    table = Table("run", *_COLUMNS, box=None, pad_edge=False)
    for title, rounds in results.items():
        for figures in rounds:
            if title != "handshakes":
                table.add_row(title, *(_cell(figures.get(figure), digits) for figure, digits in _COLUMNS.values()))
    console.print(table)
    for name, value in ratios(results).items():
        console.print(f"{name:36} {value:14,.3f}", highlight=False)


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
