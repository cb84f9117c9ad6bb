"""REST answers hold what is granted only: by instrument and by data type, at every endpoint of the market."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from gateway.admission import Admission
from gateway.api_keys import ApiKeys, make_key
from gateway.authentication import Authenticator
from gateway.identity import Grants
from market.book_top import BookTop
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price import PriceRecord
from market.price_change import PriceChangedEvent
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_app import App
from tests.gateway_history import ListedHistory
from tests.gateway_parts import HandTurnedLoop, make_candle, make_hub, make_quote

MINE, HIDDEN, NONE = "okx:ETH-USDT", INSTRUMENT, "binance:XRP-USDT"
V1 = "/api/v1/realtime"
OF_SYMBOL = {
    "/api/realtime/quote/{symbol}": "QUOTE",
    f"{V1}/depth/{{symbol}}": "DEPTH",
    f"{V1}/klines/{{symbol}}": "KLINE",
    f"{V1}/trades/{{symbol}}": "TRADE",
    f"{V1}/price-changes/{{symbol}}": "PRICE",
    f"{V1}/funding/{{symbol}}": "PRICE",
    f"{V1}/open-interest/{{symbol}}": "PRICE",
}
OF_MANY = {
    f"/api/realtime/quotes?symbols={MINE},{HIDDEN},{NONE}": "QUOTE",
    f"{V1}/prices?symbols={MINE},{HIDDEN},{NONE}": "PRICE",
    f"{V1}/all": "QUOTE",
}
OVERVIEWS = (f"{V1}/summary", f"{V1}/market-status", f"{V1}/status")
ALL_TYPES = frozenset({"*"})


class OneOfEach(ListedHistory):
    """A record of whatever is asked for."""

    def _page(self, question: str, about: str, span: Any) -> Any:
        kinds = {
            "trades": make_trade(1),
            "price_changes": example(PriceChangedEvent),
            "candles": make_candle(0),
            "funding": example(Funding),
            "open_interest": example(OpenInterest),
        }
        self._records = (kinds[question],)
        return super()._page(question, about, span)


@cache
def known() -> tuple[App, OneOfEach, dict[str, str]]:
    """A gateway that has everything of two instruments, its history, and tokens by what they grant."""
    mine = frozenset({MINE})
    grants = {data_type: Grants(symbols=mine, data_types=frozenset({data_type})) for data_type in {*OF_SYMBOL.values(), "BOOK"}}
    keys = {name: make_key(name, each) for name, each in (grants | {"*": Grants(symbols=mine, data_types=ALL_TYPES)}).items()}
    admission = Admission(Authenticator(api_keys=ApiKeys(entry for _, entry in keys.values())))
    history = OneOfEach()
    app = App(hub=make_hub(HandTurnedLoop(), admission=admission), history=history.as_history())
    price: Any = example(PriceRecord)
    book: Any = example(BookTop)
    for instrument in (MINE, HIDDEN):
        app.feed("md.quotes", make_quote(instrument=instrument, bid=1))
        app.feed("md.prices", price._replace(instrument=instrument))
        app.feed("md.books", book._replace(instrument=instrument))
        venue = instrument.partition(":")[0]
        app.feed("md.status", FeedStatus(venue, "trade", instrument, FeedState.LIVE, "", START))
    return app, history, {name: token for name, (token, _) in keys.items()}


def ask(path: str, data_type: str = "*") -> tuple[int, Any]:
    app, _, tokens = known()
    return app.get(path, Authorization=f"Bearer {tokens[data_type]}")


def test_every_endpoint_of_the_market_is_here() -> None:
    app, _, _ = known()
    paths = {path for path in app.application.openapi()["paths"] if path.startswith(("/api/realtime", V1))}
    assert paths == {*OF_SYMBOL, *(path.partition("?")[0] for path in OF_MANY), *OVERVIEWS}


@pytest.mark.parametrize("path", OF_SYMBOL)
def test_instrument_that_may_not_be_seen_is_as_one_that_does_not_exist(path: str) -> None:
    _, history, _ = known()
    assert ask(path.format(symbol=MINE))[0] == 200
    asked = len(history.asked)
    answers = {name: ask(path.format(symbol=name)) for name in (HIDDEN, NONE, "BTC/USDT")}
    assert {status for status, _ in answers.values()} == {403}
    said = {str(answer).replace(name, "NAME") for name, (_, answer) in answers.items()}
    assert len(said) == 1
    assert answers[HIDDEN][1]["error"]["candidates"] == []
    assert len(history.asked) == asked


@pytest.mark.parametrize(("path", "data_type"), [*OF_SYMBOL.items(), *OF_MANY.items()])
def test_data_type_that_is_not_granted_is_refused_whatever_is_asked_of(path: str, data_type: str) -> None:
    path = path.format(symbol=MINE)
    assert ask(path, data_type)[0] == 200
    _, _, tokens = known()
    for other in tokens.keys() - {data_type, "*"}:
        status, answer = ask(path, other)
        assert (status, answer["error"]["name"], answer["error"]["data_type"]) == (403, "NOT_ENTITLED", data_type)


@pytest.mark.parametrize("path", OF_MANY)
def test_of_several_those_are_told_that_may_be_seen(path: str) -> None:
    status, answer = ask(path)
    assert (status, [each["instrument"] for each in answer["data"]]) == (200, [MINE])
    errors = answer["metadata"].get("errors", [])
    assert len({str(each).replace(each["symbol"], "") for each in errors}) == min(1, len(errors))


@pytest.mark.parametrize("path", OVERVIEWS)
def test_overviews_tell_nothing_of_what_may_not_be_seen(path: str) -> None:
    status, answer = ask(path)
    assert status == 200
    text = str(answer["data"])
    assert "okx" in text
    assert "binance" not in text


def test_overview_names_the_data_types_that_are_granted() -> None:
    assert ask(f"{V1}/summary", "QUOTE")[1]["data"]["data_types"] == ["QUOTE"]
