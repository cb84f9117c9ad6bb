"""Live feeds against a WebSocket server of our own that behaves as well, and as badly, as a venue."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response

from ingest import feeds
from ingest.capture import Capture
from ingest.connection import ConnectionOptions
from ingest.feed import ConnectionStatus, ListeningVenue, Subscription
from ingest.live import LiveFeed
from ingest.playback import Playback
from ingest.recordings import read_recordings
from market.errors import SubscriptionError, WebSocketError
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, TimeMark, Trade
from runtime.retry import Backoff
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.exchange.server import FakeVenue, Script
from tests.ingest_parts import played, trade_frame

pytestmark = pytest.mark.anyio

TRADES = Subscription(INSTRUMENT, "trade")
FAST = ConnectionOptions(Backoff(0.05, 0.2), heartbeat_seconds=5, stale_after_seconds=30, proxy=None)
WITHIN = 10.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def now_frame(number: int) -> bytes:
    return trade_frame(number, at=int(seconds_now() * 1_000_000))


def seconds_now() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()


def live_feed(url: str, options: ConnectionOptions = FAST, **more: Any) -> LiveFeed:
    venue = feeds.load("binance")
    assert isinstance(venue, ListeningVenue)
    return LiveFeed("test", venue, base_url=url, options=options, **more)


async def until(feed: LiveFeed, condition: Callable[[list[Record]], object]) -> list[Record]:
    """Iterate the feed until what it gave satisfies the condition."""
    records: list[Record] = []
    async with asyncio.timeout(WITHIN):
        async for record in feed:
            records.append(record)
            if condition(records):
                break
    return records


def ids(records: list[Record]) -> list[str]:
    return [record.trade_id for record in records if isinstance(record, Trade)]


def states(records: list[Record]) -> list[FeedState]:
    return [record.state for record in records if isinstance(record, FeedStatus) and record.channel == "trade"]


def gaps(records: list[Record]) -> list[GapMark]:
    return [record for record in records if isinstance(record, GapMark) and record.begin is not None]


def sends(*numbers: int) -> Script:
    """A script that sends these trades and stays silent."""

    async def script(connection: ServerConnection, _number: int) -> None:
        for number in numbers:
            await connection.send(now_frame(number), text=True)
        await connection.wait_closed()

    return script


def cut_after(*connections: tuple[int, ...]) -> Script:
    """A script that sends some trades on each connection and cuts it, but the last."""

    async def script(connection: ServerConnection, number: int) -> None:
        for trade in connections[min(number, len(connections)) - 1]:
            await connection.send(now_frame(trade), text=True)
        if number >= len(connections):
            await connection.wait_closed()
        connection.transport.abort()

    return script


async def test_frames_become_records_once_subscribed() -> None:
    async with FakeVenue(sends(1, 2, 3)) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES, Subscription(INSTRUMENT, "bookTicker")])
        assert feed.get_status() is ConnectionStatus.DISCONNECTED
        async with feed:
            records = await until(feed, lambda records: len(ids(records)) == 3)
            assert feed.get_status() is ConnectionStatus.SUBSCRIBED
        assert feed.get_status() is ConnectionStatus.DISCONNECTED
    assert ids(records) == ["1", "2", "3"]
    assert states(records) == [FeedState.CONNECTING, FeedState.LIVE]
    assert venue.paths == ["/stream"]
    assert [request["params"] for request in venue.requests] == [["btcusdt@trade", "btcusdt@bookTicker"]]
    assert feed.get_subscribed_tickers() == {INSTRUMENT}


async def test_received_time_is_that_of_the_frame() -> None:
    async with FakeVenue(sends(1)) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES])
        before = int(seconds_now() * 1e6)
        async with feed:
            records = await until(feed, ids)
    (trade,) = [record for record in records if isinstance(record, Trade)]
    assert before <= trade.received_at <= int(seconds_now() * 1e6)


async def test_cut_connection_comes_back_and_what_was_missed_is_a_gap() -> None:
    async with FakeVenue(cut_after((1, 2), (5, 6))) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: len(ids(records)) == 4)
    assert ids(records) == ["1", "2", "5", "6"]
    (gap,) = gaps(records)
    trades = [record for record in records if isinstance(record, Trade)]
    assert (gap.begin, gap.end) == (trades[1].event_time, trades[2].event_time)
    assert records.index(gap) == records.index(trades[2]) - 1
    assert states(records) == [
        *(FeedState.CONNECTING, FeedState.LIVE, FeedState.DOWN, FeedState.CONNECTING),
        *(FeedState.LIVE, FeedState.GAP, FeedState.LIVE),
    ]
    assert feed.counts.reconnects == 1
    assert len(venue.requests) == 2  # it subscribed again


async def test_cut_that_missed_nothing_is_no_gap() -> None:
    async with FakeVenue(cut_after((1, 2), (3,))) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: len(ids(records)) == 3)
    assert gaps(records) == []


async def test_first_retry_comes_within_a_second_and_delays_start_anew_after_data() -> None:
    async with FakeVenue(cut_after((1,), (2,), (3,), (4,), (5,))) as venue:
        feed = live_feed(venue.url, ConnectionOptions(Backoff(0.1, 60, factor=100, jitter=0), proxy=None))
        await feed.subscribe([TRADES])
        started = asyncio.get_running_loop().time()
        async with feed:
            await until(feed, lambda records: len(ids(records)) == 5)
        assert asyncio.get_running_loop().time() - started < 3


async def test_venue_that_is_not_there_yet_is_waited_for() -> None:
    venue = FakeVenue(sends(1))
    async with venue:
        pass
    feed = live_feed(venue.url)
    await feed.subscribe([TRADES])
    async with feed:
        records = await until(feed, lambda records: FeedState.DOWN in states(records))
        assert feed.get_status() is ConnectionStatus.RECONNECTING
        down = next(record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN)
        assert "refused" in down.reason.lower() or "connect" in down.reason.lower()
        async with venue:
            assert ids(await until(feed, ids)) == ["1"]


@pytest.mark.parametrize("chatter", [False, True], ids=["silent", "replies only"])
async def test_silence_makes_the_line_stale_and_opens_it_anew(chatter: bool) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(now_frame(number), text=True)
        while chatter:
            await connection.send('{"result":null,"id":7}')
            await asyncio.sleep(0.1)
        await connection.wait_closed()

    async with FakeVenue(script) as venue:
        feed = live_feed(venue.url, ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=1, proxy=None))
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: len(ids(records)) == 2)
    assert states(records) == [
        *(FeedState.CONNECTING, FeedState.LIVE, FeedState.STALE, FeedState.DOWN, FeedState.CONNECTING, FeedState.LIVE),
    ]
    stale = next(record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.STALE)
    assert "no market data for" in stale.reason


async def test_subscription_that_stays_silent_from_the_start_is_stale_too() -> None:
    async with FakeVenue(sends()) as venue:
        feed = live_feed(venue.url, ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=1, proxy=None))
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: FeedState.STALE in states(records))
    assert states(records) == [FeedState.CONNECTING, FeedState.STALE]


async def test_time_marks_go_on_without_frames_and_stop_while_the_line_is_down() -> None:
    async with FakeVenue(cut_after((1,), ())) as venue:
        feed = live_feed(venue.url, ConnectionOptions(Backoff(1.5, 1.5, jitter=0), proxy=None))
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: any(isinstance(record, TimeMark) for record in records))
    lost = next(record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN)
    mark = next(record for record in records if isinstance(record, TimeMark))
    assert mark.time >= lost.changed_at + 1_400_000


async def test_retry_after_is_honoured() -> None:
    async with FakeVenue(sends(1)) as venue:
        headers = Headers({"Retry-After": "1", "Content-Length": "0"})
        venue.refusals = [Response(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", headers)]
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES])
        started = asyncio.get_running_loop().time()
        async with feed:
            records = await until(feed, ids)
    assert asyncio.get_running_loop().time() - started >= 1
    down = next(record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN)
    assert down.reason == "refused with HTTP status 429"


async def test_address_that_can_never_work_fails_the_feed() -> None:
    feed = live_feed("ws://")
    await feed.subscribe([TRADES])
    await feed.connect()
    with pytest.raises(WebSocketError, match="cannot connect to ws:"):
        await until(feed, lambda _records: False)
    assert feed.get_status() is ConnectionStatus.FAILED
    await feed.disconnect()


async def test_subscribing_while_connected_asks_the_venue() -> None:
    async with FakeVenue(sends(1)) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([TRADES])
        async with feed:
            await until(feed, ids)
            await feed.subscribe([Subscription("binance:ETH-USDT", "trade"), TRADES])
            assert feed.get_subscribed_tickers() == {INSTRUMENT, "binance:ETH-USDT"}
            await feed.unsubscribe([TRADES])
            records = await until(feed, lambda records: FeedState.DOWN in states(records))
            assert feed.get_subscribed_tickers() == {"binance:ETH-USDT"}
            async with asyncio.timeout(WITHIN):
                while len(venue.requests) < 3:
                    await asyncio.sleep(0.01)
    assert [(request["method"], request["params"]) for request in venue.requests] == [
        ("SUBSCRIBE", ["btcusdt@trade"]),
        ("SUBSCRIBE", ["ethusdt@trade"]),
        ("UNSUBSCRIBE", ["btcusdt@trade"]),
    ]
    assert len({request["id"] for request in venue.requests}) == 3
    assert venue.connections == 1
    assert [record.reason for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN] == [
        "unsubscribed"
    ]


async def test_what_the_venue_does_not_have_is_refused_and_changes_nothing() -> None:
    feed = live_feed("ws://127.0.0.1:1")
    await feed.subscribe([TRADES])
    with pytest.raises(SubscriptionError, match="count its trades twice"):
        await feed.subscribe([TRADES._replace(channel="aggTrade")])
    assert feed.get_subscribed_tickers() == {INSTRUMENT}


async def test_streams_beyond_one_connections_limit_get_another() -> None:
    async with FakeVenue(sends()) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([Subscription(f"binance:C{number}-USDT", "trade") for number in range(250)])
        async with feed, asyncio.timeout(WITHIN):
            while sum(len(request["params"]) for request in venue.requests) < 250:
                await asyncio.sleep(0.01)
    assert venue.connections == 2


async def test_futures_streams_are_asked_for_at_their_addresses() -> None:
    perpetual = "binance:BTC-USDT-PERP"
    async with FakeVenue(sends()) as venue:
        feed = live_feed(venue.url)
        await feed.subscribe([Subscription(perpetual, "aggTrade"), Subscription(perpetual, "bookTicker")])
        async with feed, asyncio.timeout(WITHIN):
            while len(venue.requests) < 2:
                await asyncio.sleep(0.01)
    assert sorted(venue.paths) == ["/market/stream", "/public/stream"]


async def test_slow_reader_holds_the_venue_back_and_loses_nothing() -> None:
    sent, padding, last = 0, "x" * 8_000, 5_000  # more than the buffers of both sockets hold

    async def script(connection: ServerConnection, _number: int) -> None:
        nonlocal sent
        for number in range(last + 1):
            await connection.send(trade_frame(number, at=int(seconds_now() * 1e6), padding=padding), text=True)
            sent = number
        await connection.wait_closed()

    async with FakeVenue(script) as venue:
        options = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=1, proxy=None)
        feed = live_feed(venue.url, options, buffer_size=50)
        await feed.subscribe([TRADES])
        async with feed:
            await until(feed, ids)
            await asyncio.sleep(2.5)  # nobody reads: that is not the venue's silence
            held_back_at = sent
            records = await until(feed, lambda records: ids(records[-1:]) == [str(last)])
    assert held_back_at < last
    assert ids(records) == [str(number) for number in range(1, last + 1)]
    assert FeedState.STALE not in states(records)


class HalfVenue(FakeVenue):
    """Serves futures' trades and refuses their other address."""

    refused = 0

    def admit(self, path: str) -> Response | None:
        if path.startswith("/public"):
            return None
        self.refused += 1
        return Response(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable", Headers({"Content-Length": "0"}))


async def test_line_that_is_refused_is_left_alone_while_nobody_takes_records() -> None:
    async def script(connection: ServerConnection, _number: int) -> None:
        for number in range(100):
            await connection.send(trade_frame(number, at=int(seconds_now() * 1e6), M=..., X="MARKET"), text=True)
        await connection.wait_closed()

    perpetual = "binance:BTC-USDT-PERP"
    async with HalfVenue(script) as venue:
        feed = live_feed(venue.url, buffer_size=50)
        await feed.subscribe([Subscription(perpetual, "trade"), Subscription(perpetual, "ticker")])
        async with feed:
            await asyncio.sleep(0.5)
            before = venue.refused
            await asyncio.sleep(1)
            assert venue.refused <= before + 1
            await until(feed, lambda _records: venue.refused > before + 3)


async def test_unsubscribed_instrument_has_no_time_marks() -> None:
    async with FakeVenue(sends(1)) as venue:
        feed = live_feed(venue.url)
        other = Subscription("binance:ETH-USDT", "trade")
        await feed.subscribe([TRADES, other])
        async with feed:
            await until(feed, ids)
            await feed.unsubscribe([TRADES])
            await until(feed, lambda records: FeedState.DOWN in states(records))
            await asyncio.sleep(1.2)
            await feed.unsubscribe([other])
            records = await until(feed, lambda records: FeedState.DOWN in states(records))
    assert not [record for record in records if isinstance(record, TimeMark)]


async def test_capture_replayed_gives_the_records_again(tmp_path: Path) -> None:
    path = tmp_path / "capture.gz"
    async with FakeVenue(cut_after((1, 2), (5, 6))) as venue:
        feed = live_feed(venue.url, capture=Capture(path, "binance"))
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: len(ids(records)) == 4)
    again = played(read_recordings([path]), playback=Playback(feeds.load("binance")))

    def content(records: list[Record]) -> list[Record]:
        return [record for record in records if isinstance(record, Trade | GapMark)]

    assert content(again) == content(records)


@contextlib.asynccontextmanager
async def http_proxy(seen: list[str]) -> AsyncIterator[str]:
    """A proxy that knows CONNECT alone."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(request.split()[1])
        host, _, port = seen[-1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_proxy_is_used() -> None:
    seen: list[str] = []
    async with FakeVenue(sends(1)) as venue, http_proxy(seen) as proxy:
        feed = live_feed(venue.url, ConnectionOptions(Backoff(0.05, 0.2), proxy=proxy))
        await feed.subscribe([TRADES])
        async with feed:
            assert ids(await until(feed, ids)) == ["1"]
    assert seen == [f"127.0.0.1:{venue.port}"]


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1 and the file of its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificate_of_the_venue_is_checked(trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, pem = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    venue = FakeVenue(sends(1))
    await venue.start(context)
    try:
        feed = live_feed(f"wss://127.0.0.1:{venue.port}")
        await feed.subscribe([TRADES])
        async with feed:
            records = await until(feed, lambda records: ids(records) or FeedState.DOWN in states(records))
    finally:
        await venue.__aexit__()
    if trusted:
        assert ids(records) == ["1"]
    else:
        (down,) = [record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN]
        assert "certificate verify failed" in down.reason


async def test_one_line_tries_for_all_while_the_venue_is_away_and_all_are_back_with_it() -> None:
    venue = FakeVenue(sends())
    async with venue:
        pass
    feed = live_feed(venue.url, ConnectionOptions(Backoff(0.05, 0.1), proxy=None))
    await feed.subscribe([Subscription(f"binance:C{number}-USDT", "trade") for number in range(1_000)])
    attempts = 0

    async def count_attempts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    away = await asyncio.start_server(count_attempts, "127.0.0.1", venue.port)
    async with feed:
        reading = asyncio.create_task(until(feed, lambda _records: False))
        await asyncio.sleep(2)
        away.close()
        await away.wait_closed()
        assert 10 < attempts < 5 + 2 / 0.05 + 5  # of five lines, alone they would have tried five times as often
        async with venue, asyncio.timeout(5):
            while sum(len(request["params"]) for request in venue.requests) < 1_000:
                await asyncio.sleep(0.01)
        reading.cancel()
    assert venue.connections == 5
