"""`tapeline feeds` shows what there is, and refuses commands that cannot be followed."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.configured import configured_feeds
from ingest.feed import ConnectionStatus
from ingest.survey import check_feeds, offered
from runtime.errors import ConfigurationError
from runtime.settings import IngestSettings
from tapeline.cli import build
from tests.ingest_parts import FakeClock

WHY = ["--reason", "a test", "--actor", "ann"]


def test_every_feed_is_shown_with_what_it_can() -> None:
    found = {feed.name: feed for feed in offered()}
    assert "simulated" in found
    assert {"live", "history", "polling", "definitions"} <= set(found["binance"].abilities)
    assert "history" not in found["coinbase"].abilities
    assert (*found["okx"].channels, *found["okx"].others) == (
        *("trades", "books", "tickers", "candle1m"),
        *("funding-rate", "open-interest", "mark-price", "index-tickers", "open-interest-history.5m"),
    )
    assert CliRunner().invoke(build("feeds"), ["feeds", "list"]).exit_code == 0


def test_a_feed_is_listened_to_and_counted() -> None:
    class Patient(FakeClock):
        async def pause(self, seconds: float, until: asyncio.Event) -> None:
            while not any(feed.counts.records.total() for feed in made):
                await asyncio.sleep(0.01)

    simulated = {"feed": "simulated", "symbols": ["sim:S001-USD"], "channels": ["trade"]}
    made = asyncio.run(configured_feeds(IngestSettings.model_validate({"feeds": {"sim": simulated}})))

    async def check() -> None:
        (found,) = await check_feeds(made, 2.0, Patient(), asyncio.Event())
        assert (found.name, found.status, found.failure) == ("sim", ConnectionStatus.SUBSCRIBED, None)
        assert found.rate > 0
        assert found.age is not None

    asyncio.run(check())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stop", "Binance!", *WHY], "'Binance!' is no name of a venue"),
        (["stop", "binance", "--reason", ""], "reason"),
        (["subscribe", "BTCUSDT", "--channels", "trade", *WHY], "no name of a venue"),
        (["subscribe", "binance:BTC-USDT", "--channels", ",", *WHY], "channels: at least one is needed"),
        (["unsubscribe", "binance:BTC-USDT", "okx:BTC-USDT", "--channels", "trade", *WHY], "okx:BTC-USDT is not of binance"),
    ],
)
def test_a_command_that_cannot_be_followed_is_not_sent(arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(build("feeds"), ["feeds", *arguments])
    assert isinstance(found.exception, ConfigurationError)
    assert message in str(found.exception)


def test_check_of_feeds_that_cannot_be_made_shows_no_table(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("ingest: {feeds: {spot: {feed: binance, symbols: [binance:BTC-USDT], channels: [rumours]}}}")
    found = CliRunner().invoke(build("feeds"), ["feeds", "check", "-c", str(wrong)])
    assert found.exit_code == 2
    assert "records/s" not in found.stdout
