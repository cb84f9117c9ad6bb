"""Which ports the servers get."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tapeline.embedded import EmbeddedError, PortBusy
from tapeline.embedded._ports import CHOSEN_FROM, HOST, choose, is_free, new_port


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, new_port()))
        listener.listen()
        yield listener.getsockname()[1]


def test_names_get_different_free_ports_outside_the_range_for_outgoing_connections() -> None:
    names = [f"server-{number}" for number in range(20)]
    ports = choose(names, wanted={}, remembered={})
    assert sorted(ports) == sorted(names)
    assert len(set(ports.values())) == 20
    assert all(port in CHOSEN_FROM and port < 32768 and is_free(port) for port in ports.values())


def test_a_remembered_port_is_kept() -> None:
    port = new_port()
    assert choose(["kafka"], wanted={}, remembered={"kafka": port}) == {"kafka": port}


def test_a_remembered_port_that_is_taken_now_is_replaced(busy: int) -> None:
    assert choose(["kafka"], wanted={}, remembered={"kafka": busy})["kafka"] != busy


def test_a_wanted_port_comes_before_the_remembered_one() -> None:
    wanted, remembered = new_port(), new_port()
    assert choose(["kafka"], wanted={"kafka": wanted}, remembered={"kafka": remembered}) == {"kafka": wanted}


def test_a_wanted_port_is_not_given_to_another_name_that_remembers_it() -> None:
    port = new_port()
    ports = choose(["a", "b"], wanted={"b": port}, remembered={"a": port})
    assert ports["b"] == port != ports["a"]


def test_a_wanted_port_that_is_taken_is_named(busy: int) -> None:
    with pytest.raises(PortBusy, match=f"port {busy}, asked for as kafka, is already in use"):
        choose(["kafka"], wanted={"kafka": busy}, remembered={})


def test_one_port_for_two_names_is_refused() -> None:
    port = new_port()
    with pytest.raises(EmbeddedError, match=f"port {port} is asked for twice, as a and as b"):
        choose(["a", "b"], wanted={"a": port, "b": port}, remembered={})
