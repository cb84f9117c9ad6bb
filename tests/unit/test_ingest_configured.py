"""Feeds made from the settings, and settings that cannot be followed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest.configured import configured_composites, configured_feeds
from ingest.feed import Feed
from ingest.live import LiveFeed
from ingest.polled import PolledFeed
from ingest.recorded import RecordingError
from ingest.replay import ReplayFeed
from market.feed_status import FeedStatus
from runtime.errors import ConfigurationError
from runtime.settings import IngestSettings

SPOT = {"feed": "binance", "symbols": ["binance:BTC-USDT", "binance:ETH-USDT"], "channels": ["trade", "bookTicker"]}
OTHER_SPOT = SPOT | {"symbols": ["binance:SOL-USDT"]}
BACKED = SPOT | {"failover": {"backup": "b"}}
STOCKS = {"feed": "sina", "symbols": ["sse:600519"]}
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


def test_one_of_two_sources_of_a_share_may_tell_its_trades() -> None:
    sina, tencent = configured({"a": STOCKS, "b": STOCKS | {"feed": "tencent", "options": {"trades": False}}})
    assert isinstance(sina, PolledFeed)
    assert isinstance(tencent, PolledFeed)
    assert sina.get_subscribed_tickers() == tencent.get_subscribed_tickers() == {"sse:600519"}


def test_channels_are_the_feeds_own_where_none_are_named() -> None:
    simulated = {"feed": "simulated", "symbols": ["sim:S001-USD"]}
    (feed,) = configured({"sim": simulated})

    async def first_channels() -> set[str]:
        found: set[str] = set()
        async with feed, asyncio.timeout(10):
            async for record in feed:
                if isinstance(record, FeedStatus):
                    found.add(record.channel)
                if len(found) == 2:
                    break
        return found

    assert asyncio.run(first_channels()) == {"trade", "quote"}


def test_composites_are_made_of_what_the_feeds_have() -> None:
    made = {"feeds": {"a": SPOT}, "composites": {"btc_usdt": {"sources": ["binance:BTC-USDT", "binance:ETH-USDT"]}}}
    (composite,) = configured_composites(IngestSettings.model_validate(made))
    assert composite.instrument == "composite:BTC-USDT"
    made["composites"]["btc_usdt"]["sources"].append("okx:BTC-USDT")  # type: ignore[index]  # a list of texts
    with pytest.raises(ConfigurationError, match=r"ingest\.composites\.btc_usdt\.sources: no feed has okx:BTC-USDT"):
        configured_composites(IngestSettings.model_validate(made))


def test_a_feed_that_stands_in_shares_the_session_of_one_of_its_venue_alone() -> None:
    same, spare = configured({"b": SPOT | {"websocket_url": "wss://127.0.0.1:1"}, "a": BACKED})
    assert isinstance(same, LiveFeed)
    assert isinstance(spare, LiveFeed)
    assert same.session is spare.session
    other = {"feed": "okx", "symbols": ["okx:BTC-USDT"], "channels": ["trades"]}
    first, second = configured({"a": BACKED, "b": other})
    assert isinstance(first, LiveFeed)
    assert isinstance(second, LiveFeed)
    assert first.session is not second.session


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"a": SPOT, "b": SPOT}, r"ingest\.feeds\.b: feed a has trade of binance:BTC-USDT already"),
        (
            {"a": SPOT, "b": SPOT | {"channels": ["aggTrade"]}},
            r"ingest\.feeds\.b: beside the other feeds: binance:BTC-USDT has both trade and aggTrade",
        ),
        ({"a": SIMULATED | {"proxy": "http://x"}}, r"ingest\.feeds\.a\.proxy: simulated makes its frames up"),
        ({"a": SIMULATED | {"capture_file": "c"}}, r"ingest\.feeds\.a\.capture_file: simulated makes its frames up"),
        ({}, r"ingest\.feeds: no feed is configured"),
        ({"a": BACKED}, r"ingest\.feeds\.a\.failover\.backup: .*there is no such feed; there are: a"),
        ({"a": BACKED, "b": BACKED | {"failover": {"backup": "a"}}}, r"failover\.backup: .*it has a backup itself"),
        ({"a": BACKED, "b": SIMULATED}, r"failover\.backup: .*only a feed with a venue to connect to"),
        (
            {"a": BACKED, "c": OTHER_SPOT | {"failover": {"backup": "b"}}, "b": SPOT},
            r"ingest\.feeds\.c\.failover\.backup: .*it stands in for feed a already",
        ),
        (
            {"a": SPOT | {"feed": "binanse"}},
            r"ingest\.feeds\.a\.feed: 'binanse' is no venue; there are: akshare, binance, .*simulated",
        ),
        ({"a": STOCKS | {"options": {"host": "x"}}}, r"ingest\.feeds\.a\.options: .*host"),
        ({"a": STOCKS | {"lines": 2}}, r"ingest\.feeds\.a\.lines: sina asks again and again"),
        ({"a": STOCKS | {"symbols": ["000001"]}}, r"ingest\.feeds\.a: '000001' .* is sse:000001 or szse:000001 or bse:000001"),
        ({"a": STOCKS, "b": STOCKS}, r"ingest\.feeds\.b: feed a has hq of sse:600519 already"),
        ({"a": STOCKS, "b": STOCKS | {"feed": "tencent"}}, r"ingest\.feeds\.b: feed a tells the trades of sse:600519 already"),
        (
            {"a": STOCKS, "b": SPOT | {"failover": {"backup": "a"}}},
            r"failover\.backup: .*only a feed with a venue to connect to",
        ),
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
            {"a": SPOT | {"symbols": ["binance:A-B", "binance:A-B-PERP"], "rest_url": "http://127.0.0.1:1"}},
            r"ingest\.feeds\.a\.rest_url: one address cannot serve .* several markets",
        ),
        (
            {"a": SPOT | {"capture_file": "c"}, "b": OTHER_SPOT | {"capture_file": "c"}},
            r"ingest\.feeds\.b\.capture_file: feed a writes to the same file \(got c\)",
        ),
    ],
)
def test_setting_at_fault_is_named(feeds: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configured(feeds)


@pytest.mark.parametrize("venue", ["binance", "bitget", "bybit", "gateio", "kraken", "okx"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"symbols": ["BTC"]}, r"ingest\.feeds\.a: 'BTC' is no instrument of {venue}: write {venue}:BTC-"),
        ({"symbols": ["nasdaq:AAPL"]}, r"ingest\.feeds\.a: 'nasdaq:AAPL' is no instrument of {venue}"),
        ({"channels": ["rumours"]}, r"ingest\.feeds\.a: 'rumours' is no channel of {venue}: there are "),
        ({"options": {"seed": 1}}, r"ingest\.feeds\.a\.options: {venue} knows no options"),
    ],
    ids=["symbol", "another venue's symbol", "channel", "option"],
)
def test_every_venue_names_what_it_does_not_have(venue: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.format(venue=venue)):
        configured({"a": {"feed": venue, "symbols": [f"{venue}:BTC-USDT"]} | wrong})


@pytest.mark.parametrize("venue", ["binance", "bitget", "bybit", "gateio", "kraken", "okx"])
def test_every_venue_is_listened_to_with_its_own_channels(venue: str) -> None:
    (feed,) = configured({"a": {"feed": venue, "symbols": [f"{venue}:BTC-USDT"]}})
    assert isinstance(feed, LiveFeed)
    assert feed.get_subscribed_tickers() == {f"{venue}:BTC-USDT"}


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        *(("websocket_url", "http://127.0.0.1"), ("websocket_url", "ws//127.0.0.1"), ("websocket_url", "ws://user:pw@host")),
        *(("rest_url", "ws://127.0.0.1"), ("rest_url", "nonsense")),
    ],
)
def test_address_that_is_none_is_refused(setting: str, url: str) -> None:
    with pytest.raises(ValidationError, match=rf"feeds\.a\.{setting}"):
        IngestSettings.model_validate({"feeds": {"a": SPOT | {setting: url}}})


def test_one_capture_file_cannot_take_several_feeds(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot take several feeds"):
        configured({"a": SPOT, "b": SIMULATED}, capture=tmp_path / "capture")


def test_feeds_may_share_an_instrument_by_different_streams() -> None:
    feeds = configured({"a": SPOT, "b": SPOT | {"channels": ["ticker"]}})
    assert [feed.get_subscribed_tickers() for feed in feeds] == [{"binance:BTC-USDT", "binance:ETH-USDT"}] * 2


def test_made_up_feed_cannot_be_captured(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs no capture"):
        configured({"sim": SIMULATED}, capture=tmp_path / "capture")


def test_capture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"):
        configured({"a": SPOT}, capture=tmp_path / "nowhere" / "capture")
