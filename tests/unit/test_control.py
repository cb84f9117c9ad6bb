"""What is wanted of a venue follows from its commands; when one expires, what was wanted before it holds again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.control import ControlAction, ControlCommand, Controls, check_control
from market.errors import DataValidationError
from schemas.checks import check_carried
from schemas.topics import CONTROL
from tests.builders import START

BTC, ETH = "binance:BTC-USDT", "binance:ETH-USDT"
ABOUT = {ControlAction.SUBSCRIBE, ControlAction.UNSUBSCRIBE}


def command(number: int, action: ControlAction, *, lasts: int | None = None, **changed: Any) -> ControlCommand:
    streams: tuple[tuple[str, ...], tuple[str, ...]] = ((BTC,), ("trade",)) if action in ABOUT else ((), ())
    at = START + number
    until = None if lasts is None else at + lasts
    return ControlCommand(str(number), "binance", action, *streams, "ann", "test", at, until)._replace(**changed)


COMMANDS = st.lists(st.tuples(st.sampled_from(ControlAction), st.one_of(st.none(), st.integers(1, 30))), max_size=20)


def test_a_stop_ends_when_it_expires() -> None:
    controls = Controls()
    controls.take(command(1, ControlAction.STOP, lasts=100))
    assert controls.wanted("binance", START + 100).is_running is False
    assert controls.wanted("binance", START + 100).because == "stop by ann: test"
    assert controls.wanted("binance", START + 101).is_running is True
    assert controls.wanted("okx", START + 50).is_running is True


def test_a_command_for_good_is_kept_for_ever() -> None:
    config = CONTROL.config(1)
    assert (config["retention.ms"], config["cleanup.policy"]) == ("-1", "delete")


def test_streams_are_added_and_removed_by_the_last_command_about_each() -> None:
    controls = Controls()
    controls.take(command(1, ControlAction.SUBSCRIBE, instruments=(BTC, ETH)))
    controls.take(command(2, ControlAction.UNSUBSCRIBE))
    wanted = controls.wanted("binance", START + 3)
    assert wanted.added == {(ETH, "trade")}
    assert wanted.removed == {(BTC, "trade")}


@given(COMMANDS, st.integers(0, 60))
def test_what_is_wanted_is_what_the_unexpired_commands_say_in_order(
    told: list[tuple[ControlAction, int | None]], after: int
) -> None:
    controls, commands = Controls(), [command(number, action, lasts=lasts) for number, (action, lasts) in enumerate(told)]
    for one in [*commands, *commands]:  # what comes twice counts once
        controls.take(one)
    at = START + after
    live = [one for one in commands if one.expires_at is None or one.expires_at > at]
    switches = [one.action for one in live if one.action not in ABOUT]
    about = [one.action for one in live if one.action in ABOUT]
    wanted = controls.wanted("binance", at)
    assert wanted.is_running == (switches[-1:] != [ControlAction.STOP])
    assert wanted.added == ({(BTC, "trade")} if about[-1:] == [ControlAction.SUBSCRIBE] else set())
    assert wanted.removed == ({(BTC, "trade")} if about[-1:] == [ControlAction.UNSUBSCRIBE] else set())


@pytest.mark.parametrize(
    ("field", "action", "changed"),
    [
        ("venue", ControlAction.STOP, {"venue": "Binance!"}),
        ("actor", ControlAction.STOP, {"actor": ""}),
        ("reason", ControlAction.STOP, {"reason": ""}),
        ("instruments", ControlAction.STOP, {"instruments": (BTC,)}),
        ("instruments", ControlAction.SUBSCRIBE, {"instruments": ()}),
        ("instruments", ControlAction.SUBSCRIBE, {"instruments": ("okx:BTC-USDT",)}),
        ("channels", ControlAction.SUBSCRIBE, {"channels": ()}),
        ("expires_at", ControlAction.STOP, {"expires_at": START}),
    ],
)
def test_a_command_that_cannot_be_followed_is_refused_by_field(
    field: str, action: ControlAction, changed: dict[str, Any]
) -> None:
    with pytest.raises(DataValidationError) as error:
        check_control(command(1, action, **changed))
    assert error.value.field == field


def test_a_command_is_kept_under_its_venue() -> None:
    sound = command(1, ControlAction.STOP)
    assert CONTROL.place(sound)[0] == b"binance"
    assert check_carried(CONTROL.name, b"binance", sound) is sound
