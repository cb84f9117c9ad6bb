"""What a client may say about portfolios: the JSON text of a message, or refused with the place of the mistake."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from gateway.refusals import ErrorCode, Refusal
from gateway.requests import RequestId, read

ANY_VERSION = "*"
"""In place of a version: whichever the portfolio has."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_COMMANDS = {
    "register_position": "register_position",
    "update_price": "override_price",
    "update_price_batch": "override_prices",
}


class PortfolioRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A client's message. `id` comes back in the answer. Without `portfolio_id` the one of the connection is meant.

    `expected_version` is the version of the portfolio the client has seen and `command_id` its own name of the command; the
    fields after them are those of `gateway.portfolios.orders`.
    """

    action: str
    id: RequestId = None
    portfolio_id: _Name | None = None
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)] | None = None
    expected_version: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | Literal["*"] | None = None
    command_id: _Name | None = None
    position_id: str | msgspec.UnsetType = msgspec.UNSET
    instrument: str | msgspec.UnsetType = msgspec.UNSET
    currency: str | msgspec.UnsetType = msgspec.UNSET
    quantity: str | msgspec.UnsetType = msgspec.UNSET
    cost: str | msgspec.UnsetType = msgspec.UNSET
    multiplier: str | msgspec.UnsetType = msgspec.UNSET
    settlement: str | msgspec.UnsetType = msgspec.UNSET
    price: str | msgspec.UnsetType | None = msgspec.UNSET
    prices: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: int | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        return f"PortfolioRequest({self.action!r})"  # a token must not get into a log by the way

    def command_fields(self) -> dict[str, Any]:
        """The fields of a command, with its kind."""
        given = {name: value for name in _FIELDS if (value := getattr(self, name)) is not msgspec.UNSET}
        return {"command": _COMMANDS[self.action], **given}

    def version(self) -> int | None:
        """The version the client has seen, None for any. Raises Refusal where it says nothing."""
        if self.expected_version is None:
            raise version_required("expected_version: the version of the portfolio that was seen, or *")
        return None if isinstance(self.expected_version, str) else self.expected_version


_FIELDS = PortfolioRequest.__struct_fields__[6:]
_REQUEST = msgspec.json.Decoder(PortfolioRequest)


def version_required(message: str) -> Refusal:
    """What is said of a command that does not say which version it was made for."""
    return Refusal(
        ErrorCode.VERSION_REQUIRED, f"{message} is needed, so that nobody's change is lost", field="expected_version"
    )


def parse_portfolio_request(text: bytes) -> PortfolioRequest:
    """Read a client's message. Raises Refusal as `gateway.requests.read`."""
    return read(text, _REQUEST)
