"""Who may open a connection."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api_keys import write_keys
from gateway.channel import channel_names, find_channels
from gateway.close_codes import CloseCode
from gateway.door import MARKET_PATH, PORTFOLIO_PATH, Door, Entrance, check_exposure
from gateway.refusals import ErrorCode, Refusal
from gateway.replay.wish import Wish
from gateway.service import options_of
from runtime.errors import ConfigurationError
from runtime.settings import load
from tests.builders import START


def refused(door: Door, target: str = MARKET_PATH, *, host: str | None = "localhost:1", origin: str | None = None) -> ErrorCode:
    with pytest.raises(Refusal) as caught:
        door.admit(target, host=host, origin=origin, clients=1)
    return caught.value.code


def admitted(door: Door, target: str = MARKET_PATH, *, host: str | None = "localhost:1", origin: str | None = None) -> str:
    return door.admit(target, host=host, origin=origin, clients=1).client_id


def test_client_id_is_taken_as_given_or_made_up() -> None:
    assert admitted(Door(), f"{MARKET_PATH}?client_id=Desk_7-b") == "Desk_7-b"
    first, second = admitted(Door()), admitted(Door())
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", first)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("client_id=", ErrorCode.INVALID_CLIENT_ID),
        ("client_id=a%20b", ErrorCode.INVALID_CLIENT_ID),
        ("client_id=" + "a" * 65, ErrorCode.INVALID_CLIENT_ID),
        ("client_id=a&client_id=b", ErrorCode.INVALID_CLIENT_ID),
        ("client_id=%C3%A4", ErrorCode.INVALID_CLIENT_ID),
        ("replay=now", ErrorCode.INVALID_PARAMETER),
    ],
)
def test_wrong_parameters_are_refused(query: str, code: ErrorCode) -> None:
    assert refused(Door(), f"{MARKET_PATH}?{query}") is code


def test_replay_is_taken_with_its_speed_and_not_for_portfolios() -> None:
    door = Door(clock=lambda: START)
    target = f"{MARKET_PATH}?client_id=desk&replay={START - 1}"
    assert door.admit(target, host=None, origin=None, clients=0).replay == Wish(START - 1, 1.0)
    assert door.admit(f"{target}&speed=max", host=None, origin=None, clients=0).replay == Wish(START - 1, None)
    assert door.admit(MARKET_PATH, host=None, origin=None, clients=0).replay is None
    assert refused(door, f"{target}&speed=fast") is ErrorCode.INVALID_PARAMETER
    assert refused(door, f"{MARKET_PATH}?replay={START + 1}") is ErrorCode.INVALID_PARAMETER
    assert refused(door, f"{PORTFOLIO_PATH}?replay={START - 1}") is ErrorCode.INVALID_PARAMETER


def test_market_has_another_name_which_means_the_same() -> None:
    target = "/api/v1/realtime/ws?client_id=desk"
    assert Door().admit(target, host=None, origin=None, clients=0) == Entrance(MARKET_PATH, "desk")


def test_portfolio_of_the_url_is_taken_where_there_are_portfolios() -> None:
    target = f"{PORTFOLIO_PATH}?portfolio_id=fund-1&client_id=desk"
    assert Door().admit(target, host=None, origin=None, clients=0) == Entrance(PORTFOLIO_PATH, "desk", "fund-1")
    assert Door().admit(f"{PORTFOLIO_PATH}?client_id=d", host=None, origin=None, clients=0).portfolio_id is None
    assert refused(Door(), f"{target}&portfolio_id=fund-2") is ErrorCode.INVALID_PARAMETER
    assert refused(Door(), f"{MARKET_PATH}?portfolio_id=fund-1") is ErrorCode.INVALID_PARAMETER
    assert refused(Door(has_portfolios=False), target) is ErrorCode.NOT_FOUND


def test_other_paths_are_not_found() -> None:
    assert refused(Door(), "/api/ws/other") is ErrorCode.NOT_FOUND


def test_page_of_the_same_origin_is_admitted_and_others_are_not() -> None:
    door = Door(origins=frozenset({"https://app.example.com"}))
    assert admitted(door, host="localhost:80", origin="http://localhost:80")
    assert admitted(door, host="localhost:80", origin="https://app.example.com")
    for origin in ("http://evil.example", "null", "http://localhost:81", "localhost:80", ""):
        assert refused(door, host="localhost:80", origin=origin) is ErrorCode.ORIGIN_NOT_ALLOWED


def test_name_that_was_made_to_point_here_is_refused_on_loopback() -> None:
    door = Door("127.0.0.1")
    assert refused(door, host="evil.example:80", origin="http://evil.example:80") is ErrorCode.HOST_NOT_ALLOWED
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1", None):
        assert admitted(door, host=host)
    assert admitted(Door("0.0.0.0"), host="prices.example:80")


def test_clients_beyond_the_limit_are_refused() -> None:
    door = Door(max_clients=2)
    assert door.admit(MARKET_PATH, host=None, origin=None, clients=1)
    with pytest.raises(Refusal) as caught:
        door.admit(MARKET_PATH, host=None, origin=None, clients=2)
    assert (caught.value.code, caught.value.status) == (ErrorCode.TOO_MANY_CLIENTS, 503)


def test_nobody_is_served_before_the_gateway_is_ready() -> None:
    assert refused(Door(not_ready=lambda: "reading")) is ErrorCode.NOT_READY


@given(st.text(), st.text() | st.none(), st.text() | st.none())
def test_whatever_is_sent_is_admitted_or_refused(query: str, host: str | None, origin: str | None) -> None:
    try:
        client_id = admitted(Door(), f"{MARKET_PATH}?{query}", host=host, origin=origin)
    except Refusal as refusal:
        assert refusal.message
    else:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", client_id)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "gateway.example"])
def test_listening_to_other_machines_must_be_asked_for(host: str) -> None:
    with pytest.raises(ConfigurationError, match="no keys"):
        check_exposure(host, keys=False, tls=True, allow_remote=True)
    with pytest.raises(ConfigurationError, match=r"unencrypted.*allow_remote"):
        check_exposure(host, keys=True, tls=False, allow_remote=False)
    check_exposure(host, keys=True, tls=True, allow_remote=False)
    check_exposure(host, keys=True, tls=False, allow_remote=True)


def test_settings_that_would_expose_the_gateway_are_refused(tmp_path: Path) -> None:
    everywhere = ["gateway.host=0.0.0.0", "gateway.allow_remote=true"]
    with pytest.raises(ConfigurationError, match="no keys"):
        options_of(load(environ={}, overrides=everywhere))
    keys = tmp_path / "keys.json"
    keys.write_bytes(write_keys([]))
    options = options_of(load(environ={}, overrides=[*everywhere, f"gateway.access.key_file={keys}"]))
    assert (options.host, options.authenticator.required) == ("0.0.0.0", True)


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "https://App.example.com", "*", "file://x"])
def test_origin_that_no_browser_sends_is_refused_by_its_key(origin: str) -> None:
    settings = load(environ={}, overrides=[f"gateway.origins=http://[::1]:5173,{origin}"])
    with pytest.raises(ConfigurationError, match=r"gateway\.origins\.1: is no web origin"):
        options_of(settings)


def test_origins_are_taken_as_browsers_send_them() -> None:
    given = ["https://app.example.com", "http://localhost:5173", "http://[::1]:5173"]
    assert options_of(load(environ={}, overrides=[f"gateway.origins={','.join(given)}"])).origins == set(given)


def test_instruments_of_configured_feeds_are_known_from_the_start() -> None:
    feed = ["ingest.feeds.main.feed=binance", "ingest.feeds.main.symbols=binance:BTC-USDT,binance:ETH-USDT"]
    assert options_of(load(environ={}, overrides=feed)).instruments == ("binance:BTC-USDT", "binance:ETH-USDT")


def test_channels_are_the_files_of_their_folder() -> None:
    assert channel_names() == ["book", "depth", "kline", "portfolio", "price", "quality", "quote", "status", "trade"]
    for name, channel in zip(channel_names(), find_channels(channel_names()), strict=True):
        assert channel.data_type == name.upper()
        assert channel.topics
        assert set(channel.records) <= {record for topic in channel.topics for record in topic.records}


def test_unknown_channel_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'news'.*kline, portfolio, price, quality, quote"):
        find_channels(["news"])


def test_close_codes_say_whether_to_come_back() -> None:
    assert CloseCode.SERVICE_RESTART.reconnect
    assert not CloseCode.TOO_MANY_ERRORS.reconnect
