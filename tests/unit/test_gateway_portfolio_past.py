"""The past of portfolios over REST: page by page, for those alone who may see them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity import Grants
from history.errors import HistoryTooSlow
from market.limits import LimitKind
from market.portfolio_alert import Alert
from tapeline.topic_docs.examples import example
from tests.builders import START
from tests.gateway_app import App
from tests.gateway_history import ListedHistory
from tests.gateway_portfolios import Floor, make_valuation
from tests.portfolio_parts import AMOUNT, PORTFOLIO

THEIRS = "their-fund"
PAGES = ("valuations", "day-ends", "alerts")
ALICE = Grants(portfolios=frozenset({PORTFOLIO, "not-yet"}))


def app_of(history: ListedHistory | None, grants: dict[str, Grants] | None = None) -> tuple[App, Floor]:
    """A gateway that knows two portfolios."""
    floor = Floor(grants)
    floor.create(PORTFOLIO, THEIRS)
    return App(hub=floor.hub, history=None if history is None else history.as_history()), floor


@pytest.mark.parametrize("path", ["valuations", "day-ends"])
def test_valuations_are_read_page_by_page(path: str) -> None:
    history = ListedHistory(*(make_valuation(number, equity=None, day_end_at=START) for number in range(5)))
    app, _ = app_of(history)
    found, cursor = [], ""
    for _ in range(3):
        asked = f"/api/mtm/portfolio/{PORTFOLIO}/{path}?limit=2&since={START}&newest_first=false{cursor}"
        status, page = app.get(asked)
        assert (status, page["metadata"]["portfolio_id"]) == (200, PORTFOLIO)
        found += [(each["sequence"], each["equity"]) for each in page["data"]]
        cursor = f"&cursor={page['metadata']['cursor']}"
    assert found == [(number, None) for number in range(5)]
    assert page["metadata"]["cursor"] is None
    assert not page["data"][0].keys() & {"board", "replies_offset", "limits"}  # which no store keeps
    question, about, span = history.asked[0]
    assert (question, about) == (path.replace("-", "_"), PORTFOLIO)
    assert span[:4] == (START, span.until, 2, False)


def test_alerts_tell_exact_figures() -> None:
    known: Any = example(Alert)
    alert = known._replace(kind=LimitKind.DRAWDOWN, value=AMOUNT + 1, threshold=AMOUNT, clears_at=0)
    status, page = app_of(ListedHistory(alert, alert._replace(is_breached=False, value=None)))[0].get(
        f"/api/mtm/portfolio/{PORTFOLIO}/alerts"
    )
    assert status == 200
    figures = ("kind", "value", "threshold", "clears_at")
    assert [tuple(each[name] for name in figures) for each in page["data"]] == [
        ("DRAWDOWN", "1.000000000000000000000001", "1", "0"),
        ("DRAWDOWN", None, "1", "0"),
    ]


@pytest.mark.parametrize("path", PAGES)
def test_past_of_anothers_portfolio_is_as_that_of_none_and_not_asked_for(path: str) -> None:
    history = ListedHistory(make_valuation())
    app, floor = app_of(history, {"alice": ALICE})
    key = f"Bearer {floor.tokens['alice']}"
    answers = [app.get(f"/api/mtm/portfolio/{name}/{path}", Authorization=key) for name in (THEIRS, "not-yet", "nobodys")]
    assert {status for status, _ in answers} == {404}
    assert {str(answer) for _, answer in answers} == {str(answers[0][1])}
    assert answers[0][1]["error"]["name"] == "UNKNOWN_PORTFOLIO"
    assert app.get(f"/api/mtm/portfolio/{PORTFOLIO}/{path}")[0] == 401
    assert history.asked == []


@pytest.mark.parametrize("path", PAGES)
def test_trouble_is_told_as_with_the_markets_past(path: str) -> None:
    asked = f"/api/mtm/portfolio/{PORTFOLIO}/{path}"
    status, answer = app_of(None)[0].get(asked)
    assert (status, answer["error"]["name"]) == (503, "HISTORY_UNAVAILABLE")
    status, answer = app_of(ListedHistory(failure=HistoryTooSlow("10.1.2.3")))[0].get(asked)
    assert (status, answer["error"]["name"]) == (504, "HISTORY_TOO_SLOW")
    history = ListedHistory(make_valuation())
    app, _ = app_of(history)
    for wrong in ("limit=0", "limit=1001", "since=5", "cursor=x"):
        status, answer = app.get(f"{asked}?{wrong}")
        assert (status, answer["error"]["name"]) == (422, "INVALID_PARAMETER"), wrong
