"""Faults of the surroundings: configuration, servers, addresses.

The tree::

    RuntimeFault                 the process cannot start or go on; its text is written for the operator
    ├── ConfigurationError       a setting is missing, unknown or wrong
    ├── ServerUnreachable        a broker, registry, database or venue does not answer
    └── AddressUnavailable       a port to listen on is taken or not allowed

Each class carries the exit code of a command that ends with it. Errors about market data have their own tree in `market`.
"""

from dataclasses import dataclass

__all__ = ["AddressUnavailable", "ConfigurationError", "Problem", "RuntimeFault", "ServerUnreachable"]


class RuntimeFault(Exception):
    """A fault outside the program; `str(fault)` tells the operator what is at fault and where."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration."""

    key: str
    """The setting in dotted form, such as `kafka.bootstrap`; empty when the source as a whole is at fault."""
    text: str
    """What is wrong."""
    value: str = ""
    """The value as written, ready to be shown (secrets already masked); empty when there is none to show."""
    origin: str = ""
    """Where the value came from: `FILE:LINE`, the name of an environment variable, or `--set`."""
    hint: str = ""
    """What would probably be right."""

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        given = " ".join(part for part in (self.value, f"from {self.origin}" if self.origin else "") if part)
        found = f" (got {given})" if self.value else f" ({given})" if given else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{subject}{self.text}{found}{hint}"


class ConfigurationError(RuntimeFault):
    """The configuration is refused; every problem found is listed, one a line."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class ServerUnreachable(RuntimeFault):
    """A server the process depends on does not answer."""

    exit_code = 3

    def __init__(self, server: str, address: str, reason: str) -> None:
        super().__init__(server, address, reason)
        self.server = server
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.server} at {self.address} is not reachable: {self.reason}"


class AddressUnavailable(RuntimeFault):
    """A listening address cannot be had."""

    exit_code = 4

    def __init__(self, purpose: str, host: str, port: int, reason: str) -> None:
        super().__init__(purpose, host, port, reason)
        self.purpose = purpose
        self.host = host
        self.port = port
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.purpose} cannot listen on {self.host}:{self.port}: {self.reason}"
