"""Who may use the gateway, on the real server: tokens, keys that change, TLS, and every quota abused."""

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.client import GatewayClient, NotAdmitted, Refused
from gateway.close_codes import CloseCode
from gateway.door import MARKET_PATH
from gateway.identity import Grants, read_grants
from gateway.rest.guard import PUBLIC
from gateway.service import GatewayOptions, options_of
from market.book_top import BookTop
from market.candle import CandleEvent
from market.decimals import ONE
from market.depth import Depth
from market.errors import WebSocketError
from market.feed_status import FeedState, FeedStatus
from market.price import PriceRecord
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Quote
from market.trade import Trade
from runtime.errors import ConfigurationError
from runtime.retry import Backoff
from runtime.settings import load
from schemas.records import Record
from tapeline.cli import build
from tapeline.topic_docs.examples import example
from tests.access_parts import AUDIENCE, ISSUER, ec_key, key_set, make_token, public_entry, write_certificate
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_docs import faults, sent_kinds
from tests.gateway_parts import ALL_CHANNELS, make_quote
from tests.gateway_running import PATIENCE, RawClient, Running, eventually, receive, running, soon

ETH = "okx:ETH-USDT"
SYMBOLS = ["ingest.feeds.a.feed=binance", f"ingest.feeds.a.symbols={INSTRUMENT},{ETH}"]


EXAMPLES: dict[type[Record], str] = {
    Quote: "md.quotes",
    Trade: "md.trades",
    CandleEvent: "md.candles",
    BookTop: "md.books",
    Depth: "md.depth",
    PriceRecord: "md.prices",
    QualityEvent: "md.quality",
    QualityScore: "md.quality",
    FeedStatus: "md.status",
}
REFUSAL_FIELDS = {"code", "name", "message", "scope", "retry_after_ms"}


class Keys:
    """A key set and a file of API keys, and a gateway's settings that name them."""

    def __init__(self, folder: Path) -> None:
        self.key_set_file, self.key_file = folder / "jwks.json", folder / "keys.json"
        self.key_set_file.write_bytes(key_set(public_entry(ec_key("first"), "first")))
        self.robot = self.make_key("robot", "--symbol", "*", "--data-type", "*")

    def make_key(self, *arguments: str) -> str:
        """A new API key, made by the command."""
        made = CliRunner().invoke(build("gateway"), ["gateway", "key", *arguments, "--file", str(self.key_file)])
        assert made.exit_code == 0, made.output
        return made.stdout.strip()

    def options(self, *overrides: str) -> GatewayOptions:
        """The options of a gateway with these keys on a free port."""
        access = f"gateway.access.key_file={self.key_file}"
        jwt = {"key_set_file": self.key_set_file, "issuer": ISSUER, "audience": AUDIENCE, "leeway_seconds": 0}
        settings = [f"gateway.access.jwt.{name}={value}" for name, value in jwt.items()]
        quick = ["gateway.port=0", "gateway.access.reload_seconds=0.05", "gateway.access.first_message_seconds=0.5"]
        return options_of(load(environ={}, overrides=[access, *settings, *SYMBOLS, *quick, *overrides]))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def token(name: str = "first", **claims: Any) -> str:
    return make_token(ec_key(name), key_id=name, now=time.time_ns() // 1000, **claims)


async def closed_with(client: GatewayClient) -> int | None:
    """The code a client is closed with."""
    async with asyncio.timeout(PATIENCE):
        async for _ in client:
            pass
    return client.close_code


def in_thread(gateway: Running, work: Callable[[RawClient], Any], shown: str) -> Any:
    """Do something with a raw connection that showed this token, in a thread."""

    def blocking() -> Any:
        client = RawClient(gateway.port)
        try:
            assert b"101" in client.upgrade(extra=f"Authorization: Bearer {shown}\r\n").split(b"\r\n")[0]
            return work(client)
        finally:
            client.close()

    return asyncio.to_thread(blocking)


class TestRest:
    def test_every_endpoint_but_the_public_ones_asks_for_a_token(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                good = {"Authorization": f"Bearer {token()}"}
                _, document = await gateway.get("/openapi.json", **good)
                paths = {path.replace("{symbol}", "BTC-USDT") for path in document["paths"]}
                paths |= {"/openapi.json", "/docs", MARKET_PATH, "/nowhere", "/api/realtime/", "/docs/", "//healthz"}
                assert len(paths) > 8
                for path in paths:
                    for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE"):
                        for shown in (None, "Bearer guess", "Basic eDp5"):
                            headers = {} if shown is None else {"Authorization": shown}
                            status, answered, body = await gateway.ask(method, path, **headers)
                            if path in PUBLIC:
                                assert status in (200, 405)
                                continue
                            # Guesses are answered by 429 when there were too many.
                            assert status == 401 or (status == 429 and shown is not None), (method, path)
                            if status == 401:
                                assert answered["www-authenticate"] == "Bearer"
                            if method != "HEAD":
                                assert list(orjson.loads(body)) == ["error"]
                                assert set(orjson.loads(body)["error"]) <= REFUSAL_FIELDS

        asyncio.run(main())

    def test_answers_hold_what_is_granted_only(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                gateway.intake.feed("md.quotes", make_quote(bid=ONE), make_quote(instrument=ETH, bid=2 * ONE))
                for name in (INSTRUMENT, ETH):
                    gateway.intake.feed("md.status", FeedStatus(name.split(":")[0], "trade", name, FeedState.LIVE, "", START))
                some = {"Authorization": f"Bearer {token(symbols=[ETH], data_types=['QUOTE'])}"}
                assert (await gateway.get(f"/api/realtime/quote/{ETH}", **some))[1]["data"]["bid"] == "2"
                for symbol in (INSTRUMENT, "BTC/USDT", "binance:NOT-THERE"):
                    status, answer = await gateway.get(f"/api/realtime/quote/{symbol}", **some)
                    assert (status, answer["error"]["name"], answer["error"]["candidates"]) == (403, "NOT_ENTITLED", [])
                _, many = await gateway.get(f"/api/realtime/quotes?symbols={INSTRUMENT},{ETH}", **some)
                assert [quote["instrument"] for quote in many["data"]] == [ETH]
                assert [error["name"] for error in many["metadata"]["errors"]] == ["NOT_ENTITLED"]
                _, status_answer = await gateway.get("/api/v1/realtime/status", **some)
                assert [feed["instrument"] for feed in status_answer["data"]["feeds"]] == [ETH]
                assert status_answer["data"]["instruments"] == 1
                trades = {"Authorization": f"Bearer {token(data_types=['TRADE'])}"}
                assert (await gateway.get(f"/api/realtime/quote/{ETH}", **trades))[0] == 403

        asyncio.run(main())

    def test_token_in_the_url_is_not_taken(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                for name in ("token", "access_token", "api_key"):
                    assert (await gateway.get(f"/api/v1/realtime/status?{name}={keys.robot}"))[0] == 401
                client = GatewayClient(f"ws://127.0.0.1:{gateway.port}", client_id="x")
                client._url += f"&token={keys.robot}"
                with pytest.raises(WebSocketError) as caught:
                    await client.__aenter__()
                assert "INVALID_PARAMETER" in str(caught.value)

        asyncio.run(main())

    def test_page_of_an_allowed_origin_may_send_a_token(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options("gateway.origins=https://app.example.com")) as gateway:
                asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
                asked |= {"Access-Control-Request-Headers": "authorization"}
                status, headers, _ = await gateway.ask("OPTIONS", "/api/v1/realtime/status", **asked)
                assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example.com")
                assert "authorization" in headers["access-control-allow-headers"].lower()
                status, headers, _ = await gateway.ask("GET", "/api/v1/realtime/status", Origin="https://app.example.com")
                assert (status, headers["access-control-allow-origin"]) == (401, "https://app.example.com")

        asyncio.run(main())


class TestWebSocket:
    def test_token_in_the_header_the_subprotocol_or_the_first_message(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                url = f"ws://127.0.0.1:{gateway.port}{MARKET_PATH}"
                for shown in (token(), keys.robot):
                    async with gateway.client(token=lambda shown=shown: shown) as client:
                        assert (await client.subscribe(INSTRUMENT))["subscriptions"]
                    offers = [Subprotocol("tapeline"), Subprotocol(f"bearer.{shown}")]
                    async with connect(url, subprotocols=offers, proxy=None) as browser:
                        assert browser.subprotocol == "tapeline"
                        assert json.loads(await browser.recv())["data"]["subject"] in ("desk", "robot")
                    async with gateway.client() as client:
                        assert (await client.authenticate(shown))["symbols"] == ["*"]
                        assert (await client.subscribe(INSTRUMENT))["subscriptions"]
                for wrong in ({"Authorization": "Bearer guess"}, {"Authorization": "Basic eDp5"}):
                    with pytest.raises(InvalidStatus) as caught:
                        await connect(url, additional_headers=wrong, proxy=None)
                    assert caught.value.response.status_code == 401
                    assert orjson.loads(caught.value.response.body or b"")["error"]["name"] == "UNAUTHENTICATED"
                with pytest.raises(InvalidStatus):
                    await connect(url, subprotocols=[Subprotocol("tapeline"), Subprotocol("bearer.guess")], proxy=None)

        asyncio.run(main())

    def test_client_that_shows_no_token_in_time_is_closed(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway, gateway.client() as silent, gateway.client() as prompt:
                await prompt.authenticate(keys.robot)
                assert await closed_with(silent) == CloseCode.UNAUTHENTICATED
                assert await prompt.ping() < PATIENCE

        asyncio.run(main())

    def test_connection_ends_with_its_token_unless_it_is_renewed(self, keys: Keys) -> None:
        async def main() -> None:
            async with (
                running(keys.options()) as gateway,
                gateway.client(token=token(seconds=1.5)) as left,
                gateway.client(token=token(seconds=1.5)) as renewed,
            ):
                await renewed.authenticate(token(seconds=60))
                assert await closed_with(left) == CloseCode.TOKEN_EXPIRED
                assert await renewed.ping() < PATIENCE

        asyncio.run(main())

    def test_client_comes_back_with_a_new_token_and_stays_away_without_one(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                given = iter([token(seconds=1.2), token(seconds=60)])
                quick = Backoff(initial_seconds=0.01, maximum_seconds=0.05)
                stale = token(seconds=1.2)
                async with (
                    gateway.client(token=lambda: next(given), reconnect=quick) as client,
                    gateway.client(token=stale, reconnect=quick) as other,
                ):
                    await client.subscribe(INSTRUMENT, ["TRADE"])
                    assert await closed_with(other) == CloseCode.UNAUTHENTICATED
                    await eventually(lambda: client.reconnects == 1)
                    assert await client.ping() < PATIENCE
                    gateway.intake.feed("md.trades", make_trade(1))
                    assert await receive(client, 1, ["trade_data"])

        asyncio.run(main())

    def test_token_is_in_no_log(self, keys: Keys, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        async def main() -> None:
            with caplog.at_level("DEBUG"):
                async with running(keys.options()) as gateway:
                    for shown in (token(), token("second"), keys.robot, "tpl_0123456789abcdef_" + "x" * 43):
                        await gateway.get("/api/v1/realtime/status", Authorization=f"Bearer {shown}")
                        async with gateway.client() as client:
                            try:
                                await client.authenticate(shown)
                            except Refused as refused:
                                assert shown not in str(refused.error)
                        texts = [caplog.text, *capfd.readouterr()]
                        assert not any(shown in text for text in texts)

        asyncio.run(main())


class TestKeysThatChange:
    def test_keys_of_the_provider_are_rotated_without_a_restart(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                old = await gateway.client(token=token()).__aenter__()
                with pytest.raises(NotAdmitted):
                    await gateway.client(token=token("second")).__aenter__()
                entries = [public_entry(ec_key(name), name) for name in ("first", "second")]
                keys.key_set_file.write_bytes(key_set(*entries))
                await admitted(gateway, token("second"))
                assert await old.ping() < PATIENCE
                keys.key_set_file.write_bytes(b"{half a fi")
                await asyncio.sleep(0.3)
                assert await old.ping() < PATIENCE  # what cannot be read changes nothing
                keys.key_set_file.write_bytes(key_set(entries[1]))
                assert await closed_with(old) == CloseCode.ACCESS_REVOKED
                with pytest.raises(NotAdmitted):
                    await gateway.client(token=token()).__aenter__()
                await old.close()

        asyncio.run(main())

    def test_keys_made_by_the_command_are_taken_and_those_taken_away_cut_their_clients(self, keys: Keys) -> None:
        async def main() -> None:
            async with running(keys.options()) as gateway:
                made = await asyncio.to_thread(keys.make_key, "new", "--symbol", "binance:*", "--data-type", "TRADE")
                client = await admitted(gateway, made)
                with pytest.raises(Refused, match="not among the instruments"):
                    await client.subscribe(ETH, ["TRADE"])
                await client.subscribe(INSTRUMENT, ["TRADE"])
                entries = json.loads(keys.key_file.read_bytes())["keys"]
                keys.key_file.write_text(json.dumps({"keys": entries[:1]}))
                assert await closed_with(client) == CloseCode.ACCESS_REVOKED
                assert (await gateway.get("/api/v1/realtime/status", Authorization=f"Bearer {made}"))[0] == 401
                await client.close()

        asyncio.run(main())


async def admitted(gateway: Running, shown: str) -> GatewayClient:
    """A client, as soon as its key is known."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await gateway.client(token=shown).__aenter__()
            except NotAdmitted:
                await asyncio.sleep(0.05)


class TestAbuse:
    """Each quota is overrun by one user; another one meanwhile hears every trade."""

    def abuse(self, keys: Keys, overrides: list[str], act: Callable[[Running, str], Any]) -> None:
        async def main() -> None:
            async with running(keys.options(*overrides)) as gateway, gateway.client(token=keys.robot) as witness:
                await witness.subscribe(INSTRUMENT, ["TRADE"])
                working = asyncio.ensure_future(act(gateway, token()))
                numbers = iter(range(1, 1_000_000))
                fed = 0
                while not working.done() or fed < 5:
                    gateway.intake.feed("md.trades", make_trade(next(numbers)))
                    fed += 1
                    await asyncio.sleep(0.02)
                await working
                heard = await receive(witness, fed, ["trade_data"])
                assert [message["data"]["trade_id"] for message in heard] == [str(n) for n in range(1, fed + 1)]
                assert await witness.ping() < 2

        asyncio.run(main())

    def test_connections(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            clients = [await gateway.client(token=shown).__aenter__() for _ in range(3)]
            with pytest.raises(WebSocketError, match=r"status 429.*TOO_MANY_CONNECTIONS.*user"):
                await gateway.client(token=shown).__aenter__()
            async with gateway.client() as late:
                with pytest.raises(Refused, match="3 connections"):
                    await late.authenticate(shown)
                assert await closed_with(late) == CloseCode.TOO_MANY_CONNECTIONS
            await clients.pop().close()
            await eventually_admitted(gateway, shown, clients)
            for client in clients:
                await client.close()

        self.abuse(keys, ["gateway.quotas.user.connections=3"], act)

    def test_new_connections(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            async def come_and_go() -> None:
                for _ in range(30):
                    async with gateway.client(token=shown):
                        pass

            with pytest.raises(WebSocketError, match=r"status 429.*CONNECTION_RATE"):
                await come_and_go()

        self.abuse(keys, ["gateway.quotas.user.connections_per_second=1"], act)

    def test_connections_of_an_address(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            clients = [await gateway.client().__aenter__() for _ in range(2)]  # of nobody yet, and charged all the same
            with pytest.raises(WebSocketError, match=r"status 429.*TOO_MANY_CONNECTIONS.*address"):
                await gateway.client(token=shown).__aenter__()
            for client in clients:
                await client.close()

        self.abuse(keys, ["gateway.quotas.address.connections=3"], act)

    def test_subscriptions(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            async with gateway.client(token=shown) as one, gateway.client(token=shown) as two:
                await one.subscribe([INSTRUMENT, ETH])
                with pytest.raises(Refused, match="over all connections"):
                    await two.subscribe(INSTRUMENT)

        self.abuse(keys, ["gateway.quotas.user.subscriptions=2"], act)

    def test_messages(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            def work(client: RawClient) -> int:
                for _ in range(400):
                    client.send_frame(1, b'{"action":"ping"}')
                return client.read_until_close()

            assert await soon(in_thread(gateway, work, shown)) == CloseCode.MESSAGE_RATE

        self.abuse(keys, ["gateway.quotas.user.messages_per_second=10"], act)

    @pytest.mark.parametrize(("opcode", "fin"), [(9, True), (10, True), (1, False)], ids=["pings", "pongs", "fragments"])
    def test_frames_that_are_no_messages(self, keys: Keys, opcode: int, fin: bool) -> None:
        async def act(gateway: Running, shown: str) -> None:
            def work(client: RawClient) -> int:
                for number in range(400):
                    client.send_frame(0 if opcode == 1 and number else opcode, b"x", fin=fin)
                return client.read_until_close()

            assert await soon(in_thread(gateway, work, shown)) == CloseCode.MESSAGE_RATE

        self.abuse(keys, ["gateway.quotas.user.messages_per_second=10"], act)

    def test_bytes(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            def work(client: RawClient) -> int:
                try:
                    for _ in range(40):
                        client.send_frame(1, b'{"action":"ping","id":"' + b"x" * 8192 + b'"}')
                except OSError:
                    pass
                return client.read_until_close()

            assert await soon(in_thread(gateway, work, shown)) == CloseCode.BYTE_RATE

        self.abuse(keys, ["gateway.quotas.user.bytes_per_second=1000"], act)

    def test_requests(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            header = {"Authorization": f"Bearer {shown}"}
            found = [await gateway.ask("GET", "/api/v1/realtime/status", **header) for _ in range(40)]
            assert {status for status, _, _ in found} == {200, 429}
            _, headers, body = found[-1]
            assert (headers["retry-after"], orjson.loads(body)["error"]["name"]) == ("1", "MESSAGE_RATE")

        self.abuse(keys, ["gateway.quotas.user.messages_per_second=1"], act)

    def test_invalid_tokens(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            names = []
            for number in range(15):
                _, answer = await gateway.get("/api/v1/realtime/status", Authorization=f"Bearer guess-{number}")
                names.append(answer["error"]["name"])
            assert set(names) == {"UNAUTHENTICATED", "AUTHENTICATION_RATE"}
            # Who is known already is let in all the same, though it comes from where the guesses come from.
            async with gateway.client(token=keys.robot) as known:
                assert await known.ping() < PATIENCE

        self.abuse(keys, [], act)

    def test_waiting_bytes(self, keys: Keys) -> None:
        async def act(gateway: Running, shown: str) -> None:
            def work(client: RawClient) -> int:
                client.send_frame(1, json.dumps({"action": "subscribe", "symbol": ETH, "data_type": "QUOTE"}).encode())
                client.read_json("subscribe")
                time.sleep(1.5)
                return client.read_until_close()

            reading = asyncio.ensure_future(in_thread(gateway, work, shown))
            text, number = "a" * 60_000, itertools.count()
            while not reading.done():
                quotes = [make_quote(instrument=ETH, channel=text, bid=ONE, at=START + next(number)) for _ in range(8)]
                gateway.intake.feed("md.quotes", *quotes)
                await asyncio.sleep(0.005)
            assert await reading == CloseCode.QUEUE_QUOTA

        self.abuse(keys, ["gateway.quotas.user.queue_bytes=20000"], act)


async def eventually_admitted(gateway: Running, shown: str, clients: list[GatewayClient]) -> None:
    """One more client, as soon as the place of another is free."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                clients.append(await gateway.client(token=shown).__aenter__())
            except WebSocketError:
                await asyncio.sleep(0.05)
            else:
                return


class TestTls:
    def test_rest_and_websocket_are_encrypted(self, keys: Keys, tmp_path: Path) -> None:
        certificate, key = write_certificate(tmp_path)
        tls = [f"gateway.tls.certificate_file={certificate}", f"gateway.tls.key_file={key}"]

        async def main() -> None:
            async with running(keys.options(*tls)) as gateway:
                trusting = ssl.create_default_context(cafile=certificate)
                client = GatewayClient(f"wss://127.0.0.1:{gateway.port}", token=keys.robot, tls=trusting)
                async with client:
                    await client.subscribe(INSTRUMENT, ["TRADE"])
                    gateway.intake.feed("md.trades", *(make_trade(number) for number in range(1, 500)))
                    assert len(await receive(client, 499, ["trade_data"])) == 499
                with pytest.raises(WebSocketError):
                    await GatewayClient(f"ws://127.0.0.1:{gateway.port}", token=keys.robot).__aenter__()
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=trusting)
                assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert b"200 OK" in await soon(reader.readline())
                writer.close()

        asyncio.run(main())

    def test_key_that_is_not_the_certificates_is_refused_at_the_start(self, keys: Keys, tmp_path: Path) -> None:
        certificate, key = write_certificate(tmp_path)
        key.write_text("no key")
        with pytest.raises(ConfigurationError, match=r"gateway\.tls: the certificate and its key cannot be used"):
            keys.options(f"gateway.tls.certificate_file={certificate}", f"gateway.tls.key_file={key}")


@pytest.mark.parametrize("name", ["key_set_file", "key_file"])
def test_file_of_keys_that_cannot_be_used_is_named_at_the_start(keys: Keys, name: str) -> None:
    getattr(keys, name).write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match=rf"gateway\.access\..*{name}.*{getattr(keys, name).name}"):
        keys.options()


def test_key_file_is_readable_by_its_owner_only_and_keeps_its_keys(keys: Keys) -> None:
    before = json.loads(keys.key_file.read_bytes())["keys"]
    keys.make_key("second", "--role", "admin", "--portfolio", "p1", "--days", "1")
    after = json.loads(keys.key_file.read_bytes())["keys"]
    assert (after[0], after[1]["subject"]) == (before[0], "second")
    assert read_grants(after[1]["grants"]) == Grants(roles=frozenset({"admin"}), portfolios=frozenset({"p1"}))
    assert keys.key_file.stat().st_mode & 0o077 == 0


def test_wrong_grant_makes_no_key(keys: Keys) -> None:
    before = keys.key_file.read_bytes()
    made = CliRunner().invoke(build("gateway"), ["gateway", "key", "x", "--symbol", "BTC/USDT", "--file", str(keys.key_file)])
    assert made.exit_code != 0
    assert "BTC/USDT" in str(made.exception)
    assert keys.key_file.read_bytes() == before


def test_everything_the_server_sends_is_as_described(keys: Keys) -> None:
    async def main() -> None:
        sent: list[dict[str, Any]] = []
        async with running(keys.options()) as gateway:
            url = f"ws://127.0.0.1:{gateway.port}{MARKET_PATH}?client_id=reader"
            async with connect(url, proxy=None) as client:
                wanted = {"data_types": [name.upper() for name in ALL_CHANNELS], "interval": "1m"}
                asked: list[dict[str, Any]] = [
                    {"action": "authenticate", "token": keys.robot, "id": 1},
                    {"action": "subscribe", "symbols": ["binance:*", ETH], **wanted, "id": 2},
                    {"action": "subscribe", "symbol": "NO/SUCH", "id": 3},
                    {"action": "unsubscribe", "symbol": ETH, "id": 4},
                    {"action": "subscriptions", "id": 5},
                    {"action": "ping", "id": "last"},
                ]
                for message in asked:
                    await client.send(json.dumps(message))
                async with asyncio.timeout(PATIENCE):
                    while not sent or sent[-1].get("id") != "last":
                        sent.append(orjson.loads(await client.recv()))
                for kind, topic in EXAMPLES.items():
                    gateway.intake.feed(topic, example(kind))
                gateway.intake.report("Kafka is not reachable")
                async with asyncio.timeout(PATIENCE):
                    while sent[-1]["data"].get("reason") != "Kafka is not reachable":
                        sent.append(orjson.loads(await client.recv()))
        assert [fault for message in sent for fault in faults(message)] == []
        kinds = {message["type"] for message in sent}
        assert kinds == set(sent_kinds()) - {"gap", "notice", "recovery", "replay_end"}

    asyncio.run(main())
