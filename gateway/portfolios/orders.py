"""Commands as clients write them: one JSON form for REST and WebSocket, figures as decimal text, turned into exact ones here.

Who asks, for which portfolio and which version of it is not part of a form; see `market.portfolio_commands` for what each does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.refusals import ErrorCode, Refusal
from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, parse_decimal
from market.errors import DataValidationError
from market.interval import DAY
from market.limits import Limit, LimitKind
from market.portfolio import Policy, PriceChoice
from market.portfolio_commands import (
    ApplyDividend,
    ApplyFill,
    ApplyFunding,
    ApplySplit,
    ChargeFee,
    ClosePosition,
    Command,
    CreatePortfolio,
    Deposit,
    NewPrice,
    OverridePrice,
    OverridePrices,
    RegisterPosition,
    RemovePosition,
    Revalue,
    SetPolicy,
    UpdatePosition,
    Withdraw,
)
from market.portfolio_overrides import MOST_PRICES
from market.position import Accounting, Settlement

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Decimal = Annotated[str, Field(max_length=128, description="Exact decimal text.", examples=["61685.99"])]
_Micros = Annotated[int, Field(gt=0, lt=2**63, description="Microseconds since the epoch, UTC.")]
_Count = Annotated[int, Field(gt=0, lt=2**53)]


class Head(NamedTuple):
    """What every command begins with. The price of an override is put in a `role`."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    role: str


class LimitForm(BaseModel):
    """A limit of a figure; of PRICE_AGE in seconds, else in the base currency. Above `threshold` it is breached."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[LimitKind, Field(description="Drawdowns are what profit is below its highest: ever, or of the day.")]
    threshold: _Decimal
    clears_at: Annotated[_Decimal, Field(description="At or below this it is kept again.")]

    def limit(self, field: str) -> Limit:
        """The limit that stands in this field. Raises Refusal naming the part that is at fault."""
        threshold, clears_at = _amount(f"{field}.threshold", self.threshold), _amount(f"{field}.clears_at", self.clears_at)
        return Limit(self.kind, threshold, clears_at)


class PolicyForm(BaseModel):
    """How a portfolio is kept and valued. Times are microseconds."""

    model_config = ConfigDict(extra="forbid")

    accounting: Accounting = Policy().accounting
    prices: tuple[PriceChoice, ...] = Policy().prices
    stale_after: Annotated[int, Field(ge=0, lt=2**53)] = Policy().stale_after
    valuation_period: Annotated[int, Field(ge=0, lt=2**53)] = Policy().valuation_period
    overdraft: bool = Policy().overdraft
    limits: Annotated[tuple[LimitForm, ...], Field(max_length=len(LimitKind), description="One of a kind at most.")] = ()
    day_ends: Annotated[int, Field(ge=0, lt=DAY, description="When its day ends, after midnight in `day_zone`.")] = (
        Policy().day_ends
    )
    day_zone: Annotated[str, Field(max_length=64, description="Of the IANA database, such as Europe/Berlin.")] = (
        Policy().day_zone
    )

    def policy(self) -> Policy:
        """The policy. Raises Refusal naming the field that is at fault."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields["limits"] = tuple(each.limit(f"policy.limits.{number}") for number, each in enumerate(self.limits))
        return Policy(**fields)


class _Form(BaseModel):
    """A command: its fields, and the class it is turned into."""

    model_config = ConfigDict(extra="forbid")
    makes: ClassVar[type[Any]]

    def order(self, head: Head) -> Command:
        """The command. Raises Refusal naming the field that is at fault."""
        fields = {name: _exact(name, getattr(self, name)) for name in type(self).model_fields if name != "command"}
        fields |= {"role": head.role} if "role" in self.makes._fields else {}
        command: Command = self.makes(*head[:5], **fields)
        return command


class CreateForm(_Form):
    """Begin a portfolio, with nothing in it."""

    makes = CreatePortfolio
    base_currency: _Text
    policy: PolicyForm = PolicyForm()


class DepositForm(_Form):
    """Bring cash in."""

    makes = Deposit
    command: Literal["deposit"]
    currency: _Text
    amount: _Decimal


class WithdrawForm(_Form):
    """Take cash out."""

    makes = Withdraw
    command: Literal["withdraw"]
    currency: _Text
    amount: _Decimal


class RegisterForm(_Form):
    """Bring a position in as it is held elsewhere, with its total cost (which has the quantity's sign)."""

    makes = RegisterPosition
    command: Literal["register_position"]
    position_id: _Text
    instrument: _Text
    currency: _Text
    quantity: _Decimal
    cost: _Decimal
    multiplier: _Decimal = "1"
    settlement: Settlement = Settlement.CASH


class UpdateForm(_Form):
    """Correct a position's quantity and total cost."""

    makes = UpdatePosition
    command: Literal["update_position"]
    position_id: _Text
    quantity: _Decimal
    cost: _Decimal


class FillForm(_Form):
    """Book an execution: a signed quantity (below zero: sold) at a price, and its fee (below zero: a rebate)."""

    makes = ApplyFill
    command: Literal["apply_fill"]
    instrument: _Text
    quantity: _Decimal
    price: _Decimal
    fee: _Decimal = "0"
    fee_currency: _Text | None = None
    position_id: _Text | None = None
    currency: _Text | None = None
    multiplier: _Decimal | None = None
    settlement: Settlement | None = None
    trade_id: _Text | None = None
    executed_at: _Micros | None = None


class CloseForm(_Form):
    """Book an execution that closes all of a position at a price."""

    makes = ClosePosition
    command: Literal["close_position"]
    position_id: _Text
    price: _Decimal
    fee: _Decimal = "0"
    fee_currency: _Text | None = None


class RemoveForm(_Form):
    """Let a flat position go."""

    makes = RemovePosition
    command: Literal["remove_position"]
    position_id: _Text


class FeeForm(_Form):
    """Book a fee (below zero: a rebate), of a position where it says so."""

    makes = ChargeFee
    command: Literal["charge_fee"]
    currency: _Text
    amount: _Decimal
    position_id: _Text | None = None


class FundingForm(_Form):
    """Book the funding of a position, in its currency (below zero: paid)."""

    makes = ApplyFunding
    command: Literal["apply_funding"]
    position_id: _Text
    amount: _Decimal


class DividendForm(_Form):
    """Book the dividend of a position, in its currency (below zero: paid, by who is short)."""

    makes = ApplyDividend
    command: Literal["apply_dividend"]
    position_id: _Text
    amount: _Decimal


class SplitForm(_Form):
    """Split an instrument: `new` units for every `old` ones, in all positions of the portfolio."""

    makes = ApplySplit
    command: Literal["apply_split"]
    instrument: _Text
    new: _Count
    old: _Count


class OverrideForm(_Form):
    """Value an instrument by a price of one's own until a time; with a price of null: no longer."""

    makes = OverridePrice
    command: Literal["override_price"]
    instrument: _Text
    price: _Decimal | None
    reason: Annotated[str, Field(max_length=200, description="Needed with a price.")] = ""
    expires_at: _Micros | None = None


class PriceForm(BaseModel):
    """A price for an instrument; null: the market's again."""

    model_config = ConfigDict(extra="forbid")

    instrument: _Text
    price: _Decimal | None


class OverridesForm(_Form):
    """Value several instruments by prices of one's own until a time: all of them or, where one cannot be, none."""

    makes = OverridePrices
    command: Literal["override_prices"]
    prices: Annotated[tuple[PriceForm, ...], Field(min_length=1, max_length=MOST_PRICES, description="Each instrument once.")]
    reason: Annotated[str, Field(max_length=200, description="Needed where there is a price.")] = ""
    expires_at: _Micros | None = None


class PolicyChangeForm(_Form):
    """Keep and value the portfolio by another policy from now on."""

    makes = SetPolicy
    command: Literal["set_policy"]
    policy: PolicyForm


class RevalueForm(_Form):
    """Value the portfolio now and tell all of it, whatever was told before; it stays as it is."""

    makes = Revalue
    command: Literal["revalue"]


Form = Annotated[
    DepositForm
    | WithdrawForm
    | RegisterForm
    | UpdateForm
    | FillForm
    | CloseForm
    | RemoveForm
    | FeeForm
    | FundingForm
    | DividendForm
    | SplitForm
    | OverrideForm
    | OverridesForm
    | PolicyChangeForm
    | RevalueForm,
    Field(discriminator="command"),
]
"""A command to a portfolio there is."""

_FORM: TypeAdapter[_Form] = TypeAdapter(Form)
_AMOUNTS = frozenset({"amount", "cost", "fee"})
_FIGURES = frozenset({"quantity", "price", "multiplier"})


def read_form(values: Mapping[str, Any]) -> _Form:
    """A command of its JSON values. Raises Refusal naming the field that is at fault."""
    try:
        return _FORM.validate_python(values, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"][1:]))
        raise Refusal(ErrorCode.INVALID_COMMAND, f"{field}: {first['msg']}", field=field) from error


def _exact(name: str, value: Any) -> Any:
    if isinstance(value, PolicyForm):
        return value.policy()
    if name == "prices":
        return tuple(
            NewPrice(each.instrument, None if each.price is None else _figure(f"prices.{number}.price", each.price))
            for number, each in enumerate(value)
        )
    if value is None or name not in _AMOUNTS | _FIGURES:
        return value
    return _amount(name, value) if name in _AMOUNTS else _figure(name, value)


def _figure(name: str, value: str) -> int:
    try:
        return parse_decimal(value, field=name)
    except DataValidationError as error:
        raise Refusal(ErrorCode.INVALID_COMMAND, str(error), field=name) from error


def _amount(name: str, value: str) -> int:
    try:
        return parse_decimal(value, field=name, scale=AMOUNT_SCALE, precision=AMOUNT_PRECISION)
    except DataValidationError as error:
        raise Refusal(ErrorCode.INVALID_COMMAND, str(error), field=name) from error
