"""The live view: prices, candles, rates, lag and latency, drawn from figures and what the listener heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from tapeline.demo.figures import Figures
from tapeline.demo.listener import Listener

SHOWN_CANDLES = 6

_TOPICS = ("md.trades", "md.quotes", "md.candles", "md.price-changes", "md.status", "dlq")
_HOPS = {
    "receive_to_publish": "received → in the topic",
    "receive_to_process": "received → candle made",
    "receive_to_store": "received → row stored",
    "receive_to_gateway": "received → at the gateway",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """All that one drawing shows. `seconds` since the start; `rates` records per second by topic."""

    seconds: float
    figures: Figures
    rates: Mapping[str, float]
    notices: tuple[str, ...]


def draw(moment: Moment, listener: Listener, addresses: Mapping[str, str]) -> RenderableType:
    """The whole view."""
    return Group(
        Columns([_quote(listener), _latency(moment.figures, listener)]),
        _candles(listener),
        Columns([_flow(moment), _stores(moment.figures)]),
        _addresses(moment, addresses),
    )


def status_line(moment: Moment, listener: Listener) -> str:
    """One line for where there is no terminal to draw on."""
    latency = listener.latency_ms()
    shown = f", latency p50 {latency[0]:.1f} ms p99 {latency[1]:.1f} ms" if latency else ""
    trades = round(moment.figures.total("tapeline_trades_processed_total"))
    rows = round(moment.figures.total("tapeline_rows_stored_total"))
    last = listener.quote.get("last") or "no price yet"
    return f"{moment.seconds:5.0f} s: last {last}, {trades} trades, {rows} rows stored{shown}"


def summary(figures: Figures, listener: Listener) -> Table:
    """What the demo did, at its end."""
    table = Table.grid(padding=(0, 2))
    candles = figures.by("tapeline_candles_processed_total", "event")
    rows = figures.by("tapeline_rows_stored_total", "table")
    latency = listener.latency_ms()
    table.add_row("trades in", f"{figures.total('tapeline_trades_processed_total'):.0f}")
    table.add_row("candle events", _counts({kind: candles.get(kind, 0) for kind in ("NEW", "UPDATE", "CLOSE", "CORRECTION")}))
    table.add_row("price changes", f"{figures.total('tapeline_records_out_total', topic='md.price-changes'):.0f}")
    table.add_row("rows stored", _counts(rows))
    table.add_row("messages delivered", _counts(dict(listener.received)))
    table.add_row("dead letters", f"{figures.total('tapeline_dead_letters_total'):.0f}")
    if latency:
        table.add_row("latency, received → client", f"p50 {latency[0]:.1f} ms, p99 {latency[1]:.1f} ms")
    else:
        table.add_row("latency, received → client", "no trade was delivered")
    return table


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in counts.items()) or "none"


def _quote(listener: Listener) -> Panel:
    quote, table = listener.quote, Table.grid(padding=(0, 2))
    for label, price, size in (("ask", "ask", "ask_size"), ("last", "last", "last_size"), ("bid", "bid", "bid_size")):
        table.add_row(label, f"[bold]{quote.get(price) or '-'}[/]", quote.get(size) or "-")
    return Panel(table, title=quote.get("instrument", "waiting for the first quote"), width=44)


def _latency(figures: Figures, listener: Listener) -> Panel:
    table = Table.grid(padding=(0, 2))
    measured = listener.latency_ms()
    exact = f"[bold]{measured[0]:.1f}[/] ms, p99 {measured[1]:.1f} ms" if measured else "-"
    for hop, label in _HOPS.items():
        median = figures.median_latency(hop)
        table.add_row(label, "-" if median is None else f"≤ {median * 1000:.0f} ms")
    table.add_row("received → client", exact)
    return Panel(table, title="median latency", width=60)


def _candles(listener: Listener) -> Panel:
    table = Table(box=None, pad_edge=False, expand=True)
    for heading in ("minute (UTC)", "open", "high", "low", "close", "volume", "trades", "state"):
        table.add_column(heading, justify="left" if heading in ("minute (UTC)", "state") else "right")
    for _, candle in sorted(listener.candles.items(), reverse=True)[:SHOWN_CANDLES]:
        opened = datetime.fromtimestamp(candle["open_time"] / 1e6, UTC).strftime("%H:%M")
        prices = (candle[field] for field in ("open", "high", "low", "close", "volume"))
        table.add_row(opened, *prices, str(candle["trade_count"]), _state(candle))
    return Panel(table, title="candles, 1m")


def _state(candle: Mapping[str, Any]) -> str:
    if not candle["is_closed"]:
        return "[yellow]open[/]"
    revision = f" revision {candle['revision']}" if candle["revision"] > 1 else ""
    return f"[green]closed[/]{revision}" + ("" if candle["complete"] else " [dim](not complete)[/]")


def _flow(moment: Moment) -> Panel:
    table = Table(box=None, pad_edge=False)
    for heading in ("topic", "records/s", "lag"):
        table.add_column(heading, justify="left" if heading == "topic" else "right")
    for topic in _TOPICS:
        lag = moment.figures.total("tapeline_consumer_lag", topic=topic)
        table.add_row(topic, f"{moment.rates.get(topic, 0):.0f}", f"{lag:.0f}")
    return Panel(table, title="topics", width=44)


def _stores(figures: Figures) -> Panel:
    table = Table.grid(padding=(0, 2))
    for name, rows in sorted(figures.by("tapeline_rows_stored_total", "table").items()):
        table.add_row(f"rows in {name}", f"{rows:.0f}")
    for kind, count in sorted(figures.by("tapeline_candles_processed_total", "event").items()):
        table.add_row(f"candles {kind}", f"{count:.0f}")
    table.add_row("dead letters", f"{figures.total('tapeline_dead_letters_total'):.0f}")
    return Panel(table, title="results", width=60)


def _addresses(moment: Moment, addresses: Mapping[str, str]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for name, address in addresses.items():
        table.add_row(name, address)
    for notice in moment.notices:
        table.add_row("[red]notice[/]", notice)
    return Panel(table, title=f"running for {moment.seconds:.0f} s · Ctrl-C ends it")
