"""What a load gives, as names and numbers."""

from __future__ import annotations

from tapeline.load.counting import Tally, percentile_ms
from tapeline.load.runner import Opened
from tapeline.load.worker import Answer

Figures = dict[str, float]
"""Figure by name; the name ends with the unit."""

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def opening_figures(opened: Opened, subscribed: int) -> Figures:
    """How the clients came in."""
    return {
        "clients": opened.clients,
        "handshakes_per_second": opened.clients / opened.seconds,
        "subscribed": subscribed,
    }


def traffic_figures(answer: Answer, seconds: float) -> Figures:
    """What the clients got in this time; slow ones apart, so that they spoil no percentile."""
    tally = answer.tally
    figures: Figures = {
        "messages": tally.messages,
        "messages_per_second": tally.messages / seconds,
        "megabytes_per_second": tally.received_bytes / seconds / 1e6,
        "still_connected": answer.done,
        **_latencies(tally),
    }
    if answer.slow.received_bytes:
        figures |= {"slow_messages": answer.slow.messages, "slow_bytes": answer.slow.received_bytes}
    return figures


def _latencies(tally: Tally) -> Figures:
    named = {"gateway": tally.since_sent, "platform": tally.since_received}
    found = {
        f"{name}_{title}_ms": percentile_ms(times, share) for name, times in named.items() for title, share in _SHARES.items()
    }
    return {name: value for name, value in found.items() if value is not None}
