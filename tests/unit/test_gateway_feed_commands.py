"""Commands to feeds over REST: who may give them, what is asked, and what is answered."""

from typing import Any

import pytest

from gateway.admission import Admission
from gateway.authentication import Authenticator
from market.control import ControlAction, ControlCommand
from market.errors import DataPublishError
from market.feed_status import FeedState, FeedStatus
from tests.access_parts import make_token, secret_entry, tokens_of
from tests.builders import INSTRUMENT, START
from tests.gateway_app import App
from tests.gateway_parts import HandTurnedLoop, make_hub

FEEDS = "/api/v1/realtime"
WHY: dict[str, Any] = {"venue": "binance", "reason": "maintenance", "expires_at": START + 10**6}
STREAMS: dict[str, Any] = {**WHY, "instruments": [INSTRUMENT], "channels": ["trade", "ticker"]}


class Sent(list[ControlCommand]):
    """Commands that were sent, by somebody with these grants."""

    def __init__(self, *, fails: bool = False, **grants: Any) -> None:
        super().__init__()
        self._fails = fails
        hub = make_hub(HandTurnedLoop(), admission=Admission(Authenticator(tokens_of(secret_entry()))))
        self.app = App(hub=hub, send_control=self.send)
        self.app.feed("md.status", FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START))
        self._headers = {"Authorization": f"Bearer {make_token(**{'sub': 'ann', 'roles': ['admin'], **grants})}"}

    def send(self, command: ControlCommand) -> None:
        if self._fails:
            raise DataPublishError("no broker at 10.0.0.1")
        self.append(command)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        response = self.app.client.post(path, json=body, headers={**self._headers, **headers})
        return response.status_code, response.json()


@pytest.mark.parametrize(("word", "body"), [("start", WHY), ("stop", WHY), ("subscribe", STREAMS), ("unsubscribe", STREAMS)])
def test_command_is_sent_as_it_was_asked_for_by_its_subject(word: str, body: dict[str, Any]) -> None:
    sent = Sent()
    status, answered = sent.post(f"{FEEDS}/{word}", body, **{"Idempotency-Key": "once"})
    expected = ControlCommand(
        "once",
        "binance",
        ControlAction(word.upper()),
        tuple(body.get("instruments", ())),
        tuple(body.get("channels", ())),
        "ann",
        "maintenance",
        START,
        START + 10**6,
    )
    assert (status, sent) == (202, [expected])
    data = answered["data"]
    assert (data["command_id"], data["action"], data["actor"]) == ("once", word.upper(), "ann")
    assert [(feed["channel"], feed["state"]) for feed in data["feeds"]] == [("trade", "LIVE")]


def test_command_without_an_id_gets_one() -> None:
    sent = Sent()
    status, answered = sent.post(f"{FEEDS}/stop", {"venue": "binance", "reason": "maintenance"})
    (command,) = sent
    assert (status, answered["data"]["command_id"], command.expires_at) == (202, command.command_id, None)
    assert len(command.command_id) >= 16


def test_states_that_may_not_be_seen_are_not_told() -> None:
    status, answered = Sent(symbols=["okx:*"]).post(f"{FEEDS}/stop", WHY)
    assert (status, answered["data"]["feeds"]) == (202, [])


@pytest.mark.parametrize("word", ["start", "stop", "subscribe", "unsubscribe"])
def test_nobody_else_gives_commands(word: str) -> None:
    sent = Sent(roles=["trader"])
    status, answered = sent.post(f"{FEEDS}/{word}", STREAMS if "sub" in word else WHY)
    assert (status, answered["error"]["name"], sent) == (403, "NOT_ENTITLED", [])


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (f"{FEEDS}/stop", {"venue": "binance"}, "reason"),
        (f"{FEEDS}/stop", {"reason": "maintenance"}, "venue"),
        (f"{FEEDS}/stop", {**WHY, "reason": ""}, "reason"),
        (f"{FEEDS}/stop", {**WHY, "more": 1}, "more"),
        (f"{FEEDS}/stop", {**WHY, "expires_at": START}, "expires_at"),
        (f"{FEEDS}/stop", STREAMS, "instruments"),
        (f"{FEEDS}/subscribe", WHY, "instruments"),
        (f"{FEEDS}/subscribe", {**STREAMS, "instruments": []}, "instruments"),
        (f"{FEEDS}/subscribe", {**STREAMS, "instruments": ["okx:BTC-USDT"]}, "instruments"),
        (f"{FEEDS}/subscribe", {**STREAMS, "instruments": ["BTC/USDT"]}, "instrument"),
        (f"{FEEDS}/subscribe", {**STREAMS, "channels": [""]}, "channels"),
        (f"{FEEDS}/stop", {**WHY, "venue": "No Venue!"}, "venue"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_field_at_fault(path: str, body: Any, named: str) -> None:
    sent = Sent()
    status, answered = sent.post(path, body)
    assert (status, sent) == (422, [])
    assert named in answered["error"]["message"]


def test_broker_that_does_not_confirm_is_told_without_its_address() -> None:
    status, answered = Sent(fails=True).post(f"{FEEDS}/stop", WHY, **{"Idempotency-Key": "once"})
    assert (status, answered["error"]["name"], answered["error"]["command_id"]) == (503, "BROKER_UNAVAILABLE", "once")
    assert "10.0.0.1" not in str(answered)


def test_pages_of_other_origins_give_none() -> None:
    sent = Sent()
    status, answered = sent.post(f"{FEEDS}/stop", WHY, Origin="https://evil.example.com")
    assert (status, answered["error"]["name"], sent) == (403, "ORIGIN_NOT_ALLOWED", [])
