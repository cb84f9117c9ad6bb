"""What clients may hear, checked when they subscribe and before every delivery; without sockets."""

from typing import Any

import pytest

from gateway.admission import Admission
from gateway.api_keys import ApiKey, ApiKeys, make_key
from gateway.authentication import Authenticator
from gateway.close_codes import CloseCode
from gateway.hub import Hub
from gateway.identity import read_grants
from gateway.outbox import OutboxLimits
from gateway.outcome import SessionLimits
from gateway.quotas import Quota, Usages
from gateway.requests import parse_request
from market.decimals import ONE
from tests.access_parts import SECOND, make_token, secret_entry, tokens_of
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_hub, make_quote

ETH = "okx:ETH-USDT"
ROOMY = Quota(1000, 1000, 1000, 1000, 1_000_000, 1_000_000)


class Stage:
    """A hub that knows tokens and one API key, with a clock that is set by hand."""

    def __init__(self, *, user: Quota = ROOMY, **limits: Any) -> None:
        self.now = START
        self.loop = HandTurnedLoop()
        self.secret, self.entry = make_key("robot", read_grants({"symbols": ["*"], "data_types": ["*"]}))
        self.api_keys = ApiKeys([self.entry])
        self.tokens = tokens_of(secret_entry())
        admission = Admission(Authenticator(self.tokens, self.api_keys), Usages(user, ROOMY))
        self.hub: Hub = make_hub(self.loop, known=[INSTRUMENT, ETH], admission=admission, clock=lambda: self.now, **limits)
        self._offset = 0

    def client(self, token: str | None = None, address: str = "10.0.0.1", **claims: Any) -> Listener:
        """A client with this token, or one with these claims."""
        shown = make_token(now=self.now, **claims) if token is None else token or None
        return Listener(self.hub, visitor=self.hub.arrive(address, shown))

    def trade(self, *instruments: str) -> None:
        """A trade of each instrument."""
        for instrument in instruments:
            self._offset += 1
            self.hub.take(arrivals("md.trades", [make_trade(self._offset, instrument=instrument)], self._offset))
        self.loop.settle()

    def answer(self, client: Listener, **message: Any) -> dict[str, Any]:
        """The answer to a message."""
        client.say(**message)
        self.loop.settle()
        return client.sent[-1]


def heard(client: Listener) -> list[str]:
    """Instruments of the trades a client was told."""
    return [message["data"]["instrument"] for message in client.of_type("trade_data")]


class TestSubscribing:
    def test_only_what_is_granted_is_subscribed(self) -> None:
        stage = Stage()
        client = stage.client(symbols=["binance:*"], data_types=["TRADE"])
        answer = stage.answer(client, action="subscribe", symbols=[INSTRUMENT, ETH], data_types=["TRADE", "QUOTE"], id=1)
        (granted,) = answer["data"]["subscriptions"]
        assert (granted["instrument"], granted["data_type"]) == (INSTRUMENT, "TRADE")
        refused = [(refusal["name"], refusal["symbol"]) for refusal in answer["data"]["refused"]]
        assert refused == [("NOT_ENTITLED", ETH), ("NOT_ENTITLED", INSTRUMENT)]
        stage.trade(INSTRUMENT, ETH)
        assert heard(client) == [INSTRUMENT]

    def test_instrument_that_may_not_be_seen_is_as_one_that_does_not_exist(self) -> None:
        stage = Stage()
        client = stage.client(symbols=["binance:*"], data_types=["*"])
        errors = [stage.answer(client, action="subscribe", symbol=name)["data"] for name in (ETH, "okx:ETH-XXXX")]
        assert errors[0] == {**errors[1], "message": errors[1]["message"].replace("XXXX", "USDT"), "symbol": ETH}
        assert errors[0]["candidates"] == []

    def test_alias_means_the_one_instrument_that_may_be_seen(self) -> None:
        stage = Stage()
        stage.hub.instruments.add("okx:BTC-USDT")
        client = stage.client(symbols=["okx:*"], data_types=["*"])
        answer = stage.answer(client, action="subscribe", symbol="BTC/USDT")
        assert [grant["instrument"] for grant in answer["data"]["subscriptions"]] == ["okx:BTC-USDT"]
        assert stage.answer(stage.client(), action="subscribe", symbol="BTC/USDT")["data"]["name"] == "AMBIGUOUS_SYMBOL"

    def test_of_a_venue_only_what_may_be_seen_is_subscribed_now_and_later(self) -> None:
        stage = Stage()
        client = stage.client(symbols=[INSTRUMENT, "binance:NEW-USDT"], data_types=["TRADE"])
        stage.hub.instruments.add("binance:ETH-USDT")
        answer = stage.answer(client, action="subscribe", symbol="binance:*", data_type="TRADE")
        assert [grant["instrument"] for grant in answer["data"]["subscriptions"]] == [INSTRUMENT]
        before = len(client.sent)
        stage.trade("binance:ETH-USDT", "binance:OTHER-USDT")
        assert len(client.sent) == before
        stage.trade("binance:NEW-USDT")
        assert heard(client) == ["binance:NEW-USDT"]

    def test_client_is_told_what_it_may_see(self) -> None:
        stage = Stage()
        client = stage.client(symbols=[ETH], roles=["admin"], seconds=60)
        stage.loop.settle()
        told = client.sent[0]["data"]
        assert (told["subject"], told["symbols"], told["roles"]) == ("desk", [ETH], ["admin"])
        assert told["expires_at"] == START + 60 * SECOND


class TestFirstMessage:
    def test_nothing_is_told_before_a_token_is_shown(self) -> None:
        stage = Stage()
        client = stage.client("")
        stage.hub.set_problem(None)
        stage.trade(INSTRUMENT)
        assert client.sent == []
        answer = stage.answer(client, action="authenticate", token=make_token(), id=1)
        assert [message["type"] for message in client.sent] == ["authenticate", "status"]
        assert answer["data"]["client_id"] == "listener"
        stage.answer(client, action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
        stage.trade(INSTRUMENT)
        assert heard(client) == [INSTRUMENT, INSTRUMENT]  # the snapshot, then live

    @pytest.mark.parametrize(
        "message",
        [
            {"action": "subscribe", "symbol": INSTRUMENT},
            {"action": "unsubscribe", "symbol": INSTRUMENT},
            {"action": "authenticate"},
            {"action": "authenticate", "token": "guess"},
        ],
    )
    def test_anything_else_ends_the_connection(self, message: dict[str, Any]) -> None:
        stage = Stage()
        client = stage.client("")
        client.say(**message)
        assert [sent["data"]["name"] for sent in client.sent] == ["UNAUTHENTICATED"]
        assert client.closed is CloseCode.UNAUTHENTICATED

    def test_user_with_all_the_connections_allowed_is_closed(self) -> None:
        stage = Stage(user=Quota(1, 1000, 1000, 1000, 1e6, 1000))
        stage.client()
        late = stage.client("")
        late.say(action="authenticate", token=make_token())
        assert late.sent[-1]["data"]["name"] == "TOO_MANY_CONNECTIONS"
        assert late.closed is CloseCode.TOO_MANY_CONNECTIONS


class TestExpiry:
    def test_nothing_is_delivered_after_the_token_has_expired(self) -> None:
        stage = Stage()
        short, long = stage.client(seconds=60), stage.client(seconds=120)
        for client in (short, long):
            stage.answer(client, action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
        stage.now += 60 * SECOND - 1
        stage.trade(INSTRUMENT)
        stage.now += 1
        stage.trade(INSTRUMENT)
        assert (len(heard(short)), short.closed) == (1, CloseCode.TOKEN_EXPIRED)
        assert (len(heard(long)), long.closed) == (2, None)

    def test_request_after_the_end_is_not_answered(self) -> None:
        stage = Stage()
        client = stage.client(seconds=60)
        stage.loop.settle()
        before = len(client.sent)
        stage.now += 60 * SECOND
        client.say(action="subscribe", symbol=INSTRUMENT)
        assert (len(client.sent), client.closed) == (before, CloseCode.TOKEN_EXPIRED)

    def test_newer_token_keeps_the_connection(self) -> None:
        stage = Stage()
        client = stage.client(seconds=60)
        stage.answer(client, action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
        stage.now += 30 * SECOND
        answer = stage.answer(client, action="authenticate", token=make_token(now=stage.now, seconds=60))
        assert answer["data"]["expires_at"] == START + 90 * SECOND
        stage.now = START + 89 * SECOND
        stage.trade(INSTRUMENT)
        assert heard(client) == [INSTRUMENT]
        stage.now = START + 90 * SECOND
        stage.hub.expire()
        assert client.closed is CloseCode.TOKEN_EXPIRED

    @pytest.mark.parametrize(("claims", "name"), [({"sub": "other"}, "SUBJECT_CHANGED"), ({"aud": "x"}, "UNAUTHENTICATED")])
    def test_wrong_token_renews_nothing_and_ends_nothing(self, claims: dict[str, Any], name: str) -> None:
        stage = Stage()
        client = stage.client(seconds=60)
        answer = stage.answer(client, action="authenticate", token=make_token(**claims))
        assert (answer["data"]["name"], client.closed) == (name, None)
        stage.now += 60 * SECOND
        stage.hub.expire()
        assert client.closed is CloseCode.TOKEN_EXPIRED

    def test_clients_that_are_gone_are_not_remembered_until_their_tokens_end(self) -> None:
        stage = Stage(user=Quota(1000, 1e9, 1000, 1e9, 1e9, 1000))
        for _ in range(300):
            stage.now += SECOND
            client = stage.client(seconds=1e6)
            stage.hub.disconnect(client.client)
        assert len(stage.hub._ends) <= 102


class TestNarrowing:
    def test_token_that_grants_less_ends_subscriptions(self) -> None:
        stage = Stage()
        client = stage.client()
        stage.answer(client, action="subscribe", symbols=[INSTRUMENT, ETH], data_type="TRADE")
        answer = stage.answer(client, action="authenticate", token=make_token(symbols=[ETH]))
        assert answer["data"]["unsubscribed"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
        stage.trade(INSTRUMENT, ETH)
        assert heard(client) == [ETH]

    def test_client_that_is_behind_gets_nothing_it_may_no_longer_see(self) -> None:
        stage = Stage()
        client = stage.client()
        stage.answer(client, action="subscribe", symbols=[INSTRUMENT], data_type="TRADE")
        stage.hub.fall_behind(client.client)
        stage.trade(INSTRUMENT)
        client.say(action="authenticate", token=make_token(symbols=[ETH]))
        assert (heard(client), client.closed) == ([], CloseCode.GRANTS_CHANGED)

    def test_key_file_that_grants_less_ends_subscriptions_and_says_so(self) -> None:
        stage = Stage()
        client = stage.client(stage.secret)
        stage.answer(client, action="subscribe", symbols=[INSTRUMENT, ETH], data_type="TRADE")
        entry = stage.entry
        less = ApiKey(entry.id, entry.hash, entry.subject, read_grants({"symbols": [ETH], "data_types": ["TRADE"]}))
        stage.api_keys.replace([less])
        stage.hub.review()
        stage.loop.settle()
        assert client.sent[-1]["data"]["unsubscribed"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
        stage.trade(INSTRUMENT, ETH)
        assert heard(client) == [ETH]

    def test_key_taken_away_ends_its_connections_and_no_others(self) -> None:
        stage = Stage()
        robot, desk, nobody = stage.client(stage.secret), stage.client(), stage.client("")
        stage.api_keys.replace([])
        stage.hub.review()
        assert (robot.closed, desk.closed, nobody.closed) == (CloseCode.ACCESS_REVOKED, None, None)
        stage.tokens.replace([])
        stage.hub.review()
        assert desk.closed is CloseCode.ACCESS_REVOKED


class TestLimits:
    def test_messages_beyond_the_rate_are_refused_then_end_the_connection(self) -> None:
        stage = Stage(user=Quota(10, 1000, 1000, 1, 1e6, 1000), session=SessionLimits(errors=5))
        fast, other = stage.client(), stage.client(sub="other")
        for _ in range(15):
            fast.say(action="ping")
        stage.loop.settle()
        assert (len(fast.of_type("pong")), fast.closed) == (10, None)
        assert {error["data"]["name"] for error in fast.of_type("error")} == {"MESSAGE_RATE"}
        fast.say(action="ping")
        assert fast.closed is CloseCode.MESSAGE_RATE
        assert stage.answer(other, action="ping")["type"] == "pong"

    def test_subscriptions_of_a_user_are_limited_over_all_connections(self) -> None:
        stage = Stage(user=Quota(10, 1000, 2, 1000, 1e6, 1000))
        first, second, other = stage.client(), stage.client(), stage.client(sub="other")
        stage.answer(first, action="subscribe", symbols=[INSTRUMENT, ETH])
        error = stage.answer(second, action="subscribe", symbol=INSTRUMENT)["data"]
        assert (error["name"], error["scope"]) == ("TOO_MANY_SUBSCRIPTIONS", "user")
        assert stage.answer(first, action="subscribe", symbol=INSTRUMENT)["type"] == "subscribe"
        assert stage.answer(other, action="subscribe", symbol=INSTRUMENT)["type"] == "subscribe"
        stage.hub.disconnect(first.client)
        assert stage.answer(second, action="subscribe", symbol=INSTRUMENT)["type"] == "subscribe"

    def test_what_waits_for_all_slow_connections_of_a_user_is_limited(self) -> None:
        stage = Stage(user=Quota(10, 1000, 1000, 1000, 1e6, 2000), outbox=OutboxLimits(1000, 1_000_000))
        slow, slower, other = stage.client(), stage.client(), stage.client(sub="other")
        for client in (slow, slower, other):
            stage.answer(client, action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
            stage.hub.fall_behind(client.client)
        for _ in range(4):
            stage.trade(INSTRUMENT)
        assert CloseCode.QUEUE_QUOTA in (slow.closed, slower.closed)
        assert other.closed is None
        stage.hub.catch_up(other.client)
        assert len(heard(other)) == 4

    def test_what_a_client_has_caught_up_with_waits_no_more(self) -> None:
        stage = Stage()
        client = stage.client()
        stage.answer(client, action="subscribe", symbol=INSTRUMENT)
        usage = client.client.session.visitor.usages[1]
        stage.hub.fall_behind(client.client)
        stage.hub.take(arrivals("md.quotes", [make_quote(sequence=n, bid=n * ONE) for n in range(1, 9)]))
        client.say(action="ping")
        assert usage.queued_bytes > 0
        stage.hub.catch_up(client.client)
        assert usage.queued_bytes == 0
        stage.hub.fall_behind(client.client)
        stage.trade(INSTRUMENT)
        stage.hub.disconnect(client.client)
        assert (usage.queued_bytes, usage.subscriptions, usage.connections) == (0, 0, 0)

    def test_message_with_too_much_inside_each_other_is_refused(self) -> None:
        stage = Stage()
        client = stage.client()
        stage.hub.receive(client.client, b'{"action":"ping","id":' + b"[" * 17 + b"]" * 17 + b"}")
        stage.hub.receive(client.client, b'{"action":"ping","id":"' + b"[{" * 20 + rb"\"[[" + b'"}')
        stage.loop.settle()
        assert [message["type"] for message in client.sent[1:]] == ["error", "pong"]
        assert client.sent[1]["data"]["name"] == "TOO_DEEP"


def test_token_is_in_no_representation_of_a_message() -> None:
    assert "secret" not in repr(parse_request(b'{"action":"authenticate","token":"secret"}'))
