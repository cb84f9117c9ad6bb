"""Feeds made from the settings, and settings that cannot be followed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ingest.configured import configured_feeds
from ingest.feed import Feed
from ingest.live import LiveFeed
from ingest.recorded import RecordingError
from ingest.replay import ReplayFeed
from runtime.errors import ConfigurationError
from runtime.settings import IngestSettings

SPOT = {"feed": "binance", "symbols": ["binance:BTC-USDT", "binance:ETH-USDT"], "channels": ["trade", "bookTicker"]}
SIMULATED = {"feed": "simulated", "symbols": ["sim:S001-USD"], "channels": ["trade"]}


def configured(feeds: dict[str, Any], **options: Any) -> list[Feed]:
    return asyncio.run(configured_feeds(IngestSettings.model_validate({"feeds": feeds}), **options))


def test_each_feed_is_made_with_its_subscriptions() -> None:
    live, simulated = configured({"spot": SPOT, "sim": SIMULATED})
    assert isinstance(live, LiveFeed)
    assert (live.name, live.venue) == ("spot", "binance")
    assert live.get_subscribed_tickers() == {"binance:BTC-USDT", "binance:ETH-USDT"}
    assert isinstance(simulated, ReplayFeed)
    assert (simulated.name, simulated.venue) == ("sim", "sim")


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"ingest\.feeds: no feed is configured"),
        ({"a": SPOT | {"feed": "binanse"}}, r"ingest\.feeds\.a\.feed: 'binanse' is no venue; there are: binance, simulated"),
        ({"a": SPOT | {"symbols": ["BTCUSDT"]}}, r"ingest\.feeds\.a: 'BTCUSDT' is no instrument of binance"),
        ({"a": SPOT | {"channels": ["trades"]}}, r"ingest\.feeds\.a: 'trades' is no channel of binance"),
        ({"a": SPOT | {"channels": ["trade", "aggTrade"]}}, r"ingest\.feeds\.a: .* both trade and aggTrade"),
        ({"a": SPOT | {"options": {"seed": 1}}}, r"ingest\.feeds\.a\.options: binance knows no options"),
        ({"a": SIMULATED | {"options": {"sed": 1}}}, r"ingest\.feeds\.a\.options: .*sed"),
        (
            {"a": SPOT | {"symbols": ["binance:A-B", "binance:A-B-PERP"], "websocket_url": "ws://127.0.0.1:1"}},
            r"ingest\.feeds\.a\.websocket_url: one address cannot serve .* several markets \(spot, usdm\)",
        ),
        (
            {"a": SPOT | {"capture_file": "c"}, "b": SPOT | {"capture_file": "c"}},
            r"ingest\.feeds\.b\.capture_file: feed a writes to the same file \(got c\)",
        ),
    ],
)
def test_setting_at_fault_is_named(feeds: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configured(feeds)


def test_one_capture_file_cannot_take_several_feeds(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot take several feeds"):
        configured({"a": SPOT, "b": SIMULATED}, capture=tmp_path / "capture")


def test_capture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"):
        configured({"a": SPOT}, capture=tmp_path / "nowhere" / "capture")
