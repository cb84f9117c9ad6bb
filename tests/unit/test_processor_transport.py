"""What the batch transport relies on inside Faust: an upgrade that moves a name fails here, with the name."""

import inspect
from importlib.metadata import version

import pytest
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.transport.drivers import by_name

from processors.batching import SCHEME, BatchConsumer, IdempotentProducer, Transport
from processors.configured import agent_names, load_computations
from runtime.errors import ConfigurationError
from runtime.settings import Settings

METHODS = (
    "_drain_messages",
    "_wait_next_records",
    "_getmany",
    "_new_offset",
    "_to_message",
    "ack",
    "perform_seek",
    "wait_first",
)
ATTRIBUTES = ("_acked", "_read_offset", "_n_acked", "_unacked_messages", "_waiting_for_ack", "_buffered_partitions")


@pytest.mark.parametrize("name", METHODS)
def test_faust_consumer_still_has_the_method(name: str) -> None:
    assert callable(getattr(driver.Consumer, name, None)), f"Faust's consumer has no {name} any more"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_faust_consumer_still_has_the_attribute(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(Consumer), f"Faust's consumer has no {name} any more"


def test_faust_producer_still_asks_for_extra_settings() -> None:
    assert callable(getattr(driver.Producer, "_settings_extra", None))
    assert "_settings_extra" in inspect.getsource(driver.Producer._new_producer)


@pytest.mark.parametrize(
    ("package", "pinned"), [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")]
)
def test_pinned_versions_are_the_ones_this_was_proven_with(package: str, pinned: str) -> None:
    assert version(package) == pinned


def test_faust_finds_the_transport_by_its_url_scheme() -> None:
    assert by_name(SCHEME) is Transport
    assert (Transport.Consumer, Transport.Producer) == (BatchConsumer, IdempotentProducer)


def test_every_agent_file_is_a_computation() -> None:
    computations = load_computations(Settings.model_validate({"processors": {"agents": agent_names()}}))
    assert set(computations) == {"candles", "price_changes"}


def test_unknown_agent_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="candles, price_changes"):
        load_computations(Settings.model_validate({"processors": {"agents": ["bars"]}}))
