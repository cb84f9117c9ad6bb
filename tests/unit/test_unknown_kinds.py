"""Messages of a kind that a venue's parser does not know: each is a dead letter, and counted by what it calls itself."""

import json

import pytest

from ingest import feeds
from ingest.feed import Counts
from ingest.parsing import summary
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.session import Session
from market.dead_letter import DeadLetter
from market.errors import DataValidationError
from tests.ingest_parts import NOW

ARGS = {"arg": {"channel": "Rumours", "instId": "BTC-USDT", "instType": "sp"}, "data": []}
UNKNOWN = {
    "binance": {"stream": "btcusdt@rumours", "data": {}},
    "bitfinex": {"event": "rumours"},
    "bitget": ARGS,
    "bitstamp": {"event": "rumours", "channel": "live_trades_btcusd", "data": {}},
    "bybit": {"topic": "rumours.BTCUSDT", "type": "snapshot", "ts": 1, "data": {}},
    "coinbase": {"type": "rumours"},
    "coinbase_advanced": {"channel": "rumours", "sequence_num": 0, "events": []},
    "deribit": {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "rumours.BTC-PERPETUAL", "data": {}}},
    "gateio": {"time": 1, "channel": "spot.rumours", "event": "update", "result": {}},
    "kraken": [1, {}, "rumours", "XBT/USD"],
    "kraken_futures": {"feed": "rumours", "product_id": "PI_XBTUSD"},
    "okx": ARGS,
}


@pytest.mark.parametrize("venue", UNKNOWN)
def test_unknown_kind_is_a_dead_letter_and_counted_by_its_name(venue: str) -> None:
    speaker = feeds.load(venue)
    session = Session(venue, speaker.heartbeats)
    session.add_line("line", speaker.parser(next(iter(speaker.markets)), {}, 5_000_000))
    session.restored("line", NOW)
    frame = json.dumps(UNKNOWN[venue]).encode()
    for _ in range(3):
        letters = [one for one in session.received("line", frame, NOW) if isinstance(one, DeadLetter)]
        assert [(one.reason, one.value) for one in letters] == [("unknown_stream", frame)]
    ((name, number),) = session.counts.unknown.items()
    assert number == 3
    assert "rumours" in name.lower()
    assert session.counts.rejected == {"unknown_stream": 3}


def test_names_without_end_are_counted_together() -> None:
    counts = Counts()
    for number in range(300):
        counts.refused(DataValidationError("unknown_stream", f"type: {number} is not known"))
        counts.refused(DataValidationError("not_positive", f"price: {number} is not above zero"))
    assert (len(counts.unknown), counts.unknown["others"]) == (101, 200)
    counts.refused(DataValidationError("unknown_stream", "type: 7 is not known"))
    assert counts.unknown["type: 7 is not known"] == 2
    assert counts.rejected == {"unknown_stream": 301, "not_positive": 300}


def test_operator_is_shown_what_was_not_known() -> None:
    playback = Playback(feeds.load("coinbase"))
    for number in range(2):
        playback.take(Frame(NOW + number, "line", b'{"type":"rumours"}'))
    assert "rejected 2 (unknown_stream 2); 2 × type: 'rumours' is not known" in summary(playback)
