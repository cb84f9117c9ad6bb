"""What the operator reads when something outside the program is at fault."""

import pickle

import pytest

from runtime.errors import AddressUnavailable, ConfigurationError, Problem, RuntimeFault, ServerUnreachable

FAULTS = [
    (ConfigurationError(Problem("a.b", "is wrong", "'x'", "--set", "try y")), "a.b: is wrong (got 'x' from --set); try y"),
    (
        ConfigurationError(Problem("a", "is wrong", origin="f:1"), Problem("", "b is missing")),
        "a: is wrong (from f:1)\nb is missing",
    ),
    (ServerUnreachable("Kafka broker", "h:1", "refused"), "Kafka broker at h:1 is not reachable: refused"),
    (AddressUnavailable("the gateway", "h", 1, "in use"), "the gateway cannot listen on h:1: in use"),
]


@pytest.mark.parametrize(("fault", "text"), FAULTS)
def test_a_fault_names_what_is_at_fault(fault: RuntimeFault, text: str) -> None:
    assert str(fault) == text


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS])
def test_a_fault_survives_the_way_between_processes(fault: RuntimeFault) -> None:
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)


def test_every_fault_ends_a_command_with_an_exit_code_of_its_own() -> None:
    ours = [fault for fault in RuntimeFault.__subclasses__() if fault.__module__ == RuntimeFault.__module__]
    classes: list[type[RuntimeFault]] = [RuntimeFault, *ours]
    assert len({fault.exit_code for fault in classes}) == len(classes)
    assert all(fault.exit_code > 0 for fault in classes)
