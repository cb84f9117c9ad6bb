"""What the batch transport relies on inside Faust and aiokafka: an upgrade that moves a name fails here, with the name."""

from importlib.metadata import version

import pytest
from faust.transport.drivers import by_name
from faust.types import TP

from processors.configured import agent_names, load_computations
from processors.transport import SCHEME, private, views
from processors.transport.consumer import BatchConsumer, Transport
from runtime.errors import ConfigurationError
from runtime.settings import Settings


def test_every_private_name_is_still_there() -> None:
    missing = private.missing_methods() + private.missing_attributes()
    assert missing == [], "an upgrade has moved them: see processors/transport/private.py"
    assert views.unknown_names() == [], "an upgrade has moved them: see processors/transport/views.py"


def test_name_that_is_gone_is_told_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "METHODS", ((BatchConsumer, "_gone"),))
    monkeypatch.setattr(private, "ATTRIBUTES", ((BatchConsumer, "_lost"),))
    assert private.missing_methods() == ["BatchConsumer._gone"]
    assert private.missing_attributes() == ["BatchConsumer._lost"]


@pytest.mark.parametrize(
    ("package", "pinned"), [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")]
)
def test_pinned_versions_are_the_ones_this_was_proven_with(package: str, pinned: str) -> None:
    assert version(package) == pinned


def test_faust_finds_the_transport_by_its_url_scheme() -> None:
    assert by_name(SCHEME) is Transport
    assert Transport.Consumer is BatchConsumer


def test_partition_whose_position_is_being_looked_up_does_not_end_the_worker() -> None:
    """Faust's check asserts that there is a position; while one is looked up, there is none."""
    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread = None
    consumer.verify_event_path(0.0, TP("md.trades", 0))  # does not raise


def test_every_agent_file_is_a_computation() -> None:
    computations = load_computations(Settings.model_validate({"processors": {"agents": agent_names()}}))
    assert set(computations) == set(agent_names()) > {"candles", "price_changes"}
    assert all(each.sources and each.outputs and (each.tables or each.beside) for each in computations.values())


def test_unknown_agent_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"there are .*candles, .*price_changes, "):
        load_computations(Settings.model_validate({"processors": {"agents": ["bars"]}}))
