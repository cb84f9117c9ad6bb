"""`/api/mtm` on a running gateway: what is answered of portfolios, what becomes of commands, what nobody else finds out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from gateway.api_keys import ApiKeys, make_key
from gateway.authentication import Authenticator
from gateway.identity import Grants
from gateway.service import GatewayOptions
from market.portfolio_commands import CreatePortfolio, Deposit
from schemas.topics import VALUATION_LINES, VALUATIONS
from tests.gateway_history import ListedHistory
from tests.gateway_portfolios import POSITION, PRICES, Processor, make_line, make_valuation
from tests.gateway_running import HandFedIntake, Running, eventually, in_loop, running
from tests.portfolio_parts import AMOUNT, BTC, PERP, PORTFOLIO, command

THEIRS = "their-fund"
PATH = f"/api/mtm/portfolio/{PORTFOLIO}"
REGISTER = {"command": "register_position", **POSITION}
ALICE = Grants(roles=frozenset({"trader"}), portfolios=frozenset({PORTFOLIO, "not-yet"}))
EVERYTHING = Grants(roles=frozenset({"trader", "pricing"}), portfolios=frozenset({"*"}))
ALICES, OWNERS = make_key("alice", ALICE), make_key("owner", EVERYTHING)


class Desk:
    """A gateway with a processor behind it, and short words to ask it."""

    def __init__(self, gateway: Running, processor: Processor) -> None:
        self.gateway = gateway
        self.processor = processor

    async def ask(
        self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Authorization"] = f"Bearer {key}"
        if body is not None:
            named["Content-Type"] = "application/json"
        content = None if body is None else orjson.dumps(body)
        status, told, answer = await self.gateway.send(method, path, content, named)
        return status, told, orjson.loads(answer)

    def create(self, *portfolio_ids: str) -> None:
        """Begin portfolios with some cash."""
        for portfolio_id in portfolio_ids:
            self.processor.send(command(CreatePortfolio, "begin", portfolio=portfolio_id), print)
            self.processor.send(command(Deposit, "cash", portfolio=portfolio_id, amount=1000 * AMOUNT), print)


@asynccontextmanager
async def desk_of(*, keys: bool = False, history: ListedHistory | None = None, **options: Any) -> AsyncIterator[Desk]:
    """A gateway that knows the two keys, or that has none."""
    authenticator = Authenticator(api_keys=ApiKeys([ALICES[1], OWNERS[1]]) if keys else None)
    made: list[Processor] = []

    def sender(intake: HandFedIntake) -> Processor:
        made.append(Processor(intake.feed, lambda: time.time_ns() // 1000))
        return made[0]

    past = None if history is None else history.as_history()
    async with running(GatewayOptions(authenticator=authenticator, **options), sender=sender, history=past) as gateway:
        yield Desk(gateway, made[0])


@in_loop
async def test_portfolio_from_its_beginning_to_what_it_is_worth() -> None:
    async with desk_of() as desk:
        body = {"portfolio_id": PORTFOLIO, "base_currency": "USDT", "policy": {"accounting": "FIFO"}}
        status, headers, answer = await desk.ask("POST", "/api/mtm/portfolio", body)
        assert (status, headers["etag"], answer["data"]["version"]) == (201, '"1"', 1)
        status, _, answer = await desk.ask("POST", "/api/mtm/portfolio", body)
        assert (status, answer["error"]["name"], answer["error"]["reason"]) == (409, "COMMAND_REFUSED", "PORTFOLIO_EXISTS")
        status, headers, answer = await desk.ask("POST", f"{PATH}/commands", REGISTER, If_Match='"1"')
        assert (status, answer["data"]["position_id"], headers["etag"]) == (200, "p1", '"2"')

        status, headers, answer = await desk.ask("GET", PATH)
        assert (status, headers["etag"], answer["data"]["policy"]["accounting"]) == (200, '"2"', "FIFO")
        (line,) = answer["data"]["lines"]
        assert (line["state"], line["value"], answer["data"]["totals"]) == ("UNPRICED", None, None)
        assert answer["metadata"]["valuation_age_micros"] is None

        totals = make_valuation(position_version=2, equity=None, left_out=("p1",), valued_at=time.time_ns() // 1000)
        desk.gateway.intake.feed(VALUATIONS.name, totals)
        desk.gateway.intake.feed(VALUATION_LINES.name, make_line(position_version=2))
        status, _, answer = await desk.ask("GET", PATH)
        assert (answer["data"]["totals"]["equity"], answer["data"]["totals"]["left_out"]) == (None, ["p1"])
        assert answer["data"]["lines"][0]["reason"] == make_line().reason
        assert 0 <= answer["metadata"]["valuation_age_micros"] < 60_000_000
        status, _, answer = await desk.ask("GET", "/api/mtm/position/p1")
        assert (status, answer["data"]["position"]["cost"]) == (200, "200.5")

        status, _, answer = await desk.ask("DELETE", f"{PATH}/position/p1", If_Match="2")
        assert (status, answer["error"]["reason"]) == (409, "POSITION_OPEN")
        flat = {"command": "update_position", "position_id": "p1", "quantity": "0", "cost": "0"}
        assert (await desk.ask("POST", f"{PATH}/commands", flat, If_Match="*"))[0] == 200
        assert (await desk.ask("DELETE", f"{PATH}/position/p1", If_Match="3"))[0] == 200
        assert (await desk.ask("GET", "/api/mtm/position/p1"))[0] == 404
        status, _, answer = await desk.ask("GET", "/api/mtm/stats")
        assert answer["data"]["commands"]["accepted"] == 4
        assert answer["data"]["commands"]["refused"] == {"PORTFOLIO_EXISTS": 1, "POSITION_OPEN": 1}
        assert answer["data"]["valuations"]["incomplete"] + answer["data"]["valuations"]["valued"] >= 1


@in_loop
async def test_command_is_refused_by_what_is_wrong_with_it() -> None:
    async with desk_of() as desk:
        desk.create(PORTFOLIO)
        path = f"{PATH}/commands"
        status, _, answer = await desk.ask("POST", path, REGISTER)
        assert (status, answer["error"]["name"]) == (428, "VERSION_REQUIRED")
        assert (await desk.ask("DELETE", f"{PATH}/position/p1"))[0] == 428
        status, _, answer = await desk.ask("POST", path, REGISTER, If_Match='"1"')
        assert (status, answer["error"]["name"], answer["error"]["version"]) == (409, "VERSION_CONFLICT", 2)
        for wrong, field in (
            (REGISTER | {"quantity": "two"}, "quantity"),
            (REGISTER | {"quantity": 2}, "quantity"),
            (REGISTER | {"cost": "1e-40"}, "cost"),
            (REGISTER | {"instrument": "BTC"}, "instrument"),
            (REGISTER | {"currency": "usdt"}, "currency"),
            ({"command": "sell_everything"}, "body"),
        ):
            status, _, answer = await desk.ask("POST", path, wrong, If_Match="2")
            assert status == 422, wrong
            assert field in str(answer["error"]["field"]) or field == "body"
        assert (await desk.ask("POST", path, REGISTER, If_Match="two"))[0] == 422
        assert (await desk.ask("DELETE", f"{PATH}/position/none", If_Match="2"))[0] == 404
        assert desk.processor.portfolio().version == 2


@in_loop
async def test_command_is_done_once_however_often_it_is_sent() -> None:
    async with desk_of(command_seconds=0.3) as desk:
        desk.create(PORTFOLIO)
        path, again = f"{PATH}/commands", {"If_Match": '"2"', "Idempotency_Key": "one"}
        desk.processor.is_unreachable = True
        status, headers, answer = await desk.ask("POST", path, REGISTER, **again)
        assert (status, answer["error"]["name"], answer["error"]["command_id"]) == (503, "BROKER_UNAVAILABLE", "one")
        assert headers["retry-after"] == "1"
        desk.processor.is_unreachable, desk.processor.is_silent = False, True
        status, _, answer = await desk.ask("POST", path, REGISTER, **again)
        assert (status, answer["error"]["name"], answer["error"]["command_id"]) == (504, "NO_ANSWER", "one")
        desk.processor.is_silent = False
        answers = [await desk.ask("POST", path, REGISTER, **again) for _ in range(2)]
        assert [(status, answer["data"]["version"]) for status, _, answer in answers] == [(200, 3)] * 2
        status, _, answer = await desk.ask("POST", path, REGISTER | {"quantity": "3"}, **again)
        assert (status, answer["error"]["reason"]) == (422, "COMMAND_ID_REUSED")
        assert desk.processor.portfolio().version == 3


REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "/api/mtm/portfolio/{}", None, {}),
    ("GET", "/api/mtm/position/p1?portfolio_id={}", None, {}),
    ("GET", "/api/mtm/position/only-in-{}", None, {}),
    ("GET", "/api/mtm/stats", None, {}),
    ("POST", "/api/mtm/portfolio/{}/commands", REGISTER, {"If_Match": "2", "Idempotency_Key": "x"}),
    ("POST", "/api/mtm/portfolio/{}/commands", REGISTER | {"quantity": "two"}, {"If_Match": "2", "Idempotency_Key": "x"}),
    ("DELETE", "/api/mtm/portfolio/{}/position/p1", None, {"If_Match": "2", "Idempotency_Key": "x"}),
    ("POST", "/api/mtm/portfolio/{}/revalue", None, {"Idempotency_Key": "x"}),
    ("POST", "/api/mtm/portfolio", {"portfolio_id": "{}", "base_currency": "USDT"}, {"Idempotency_Key": "x"}),
    ("POST", "/api/mtm/revalue", {"portfolio_ids": ["{}"]}, {"Idempotency_Key": "x"}),
    ("GET", "/api/mtm/portfolio/{}/valuations", None, {}),
    ("GET", "/api/mtm/portfolio/{}/day-ends", None, {}),
    ("GET", "/api/mtm/portfolio/{}/alerts", None, {}),
    ("POST", "/api/mtm/portfolio/{}/commands", REGISTER, {"Idempotency_Key": "x"}),
    ("POST", "/api/mtm/portfolio/{}/commands", {"command": "sell"}, {"If_Match": "2", "Idempotency_Key": "x"}),
    ("DELETE", "/api/mtm/portfolio/{}/position/p1", None, {"Idempotency_Key": "x"}),
]
"""Every endpoint of portfolios (a test holds it), and what can be wrong with a request before it is done."""


@in_loop
async def test_portfolio_of_another_is_as_one_that_does_not_exist() -> None:
    told: list[list[Any]] = []
    for exists in (False, True):
        async with desk_of(keys=True, history=ListedHistory(make_valuation())) as desk:
            desk.create(PORTFOLIO, *([THEIRS] if exists else []))
            if exists:
                register = f"/api/mtm/portfolio/{THEIRS}/commands"
                for name in ("p1", f"only-in-{THEIRS}"):
                    body = REGISTER | {"position_id": name}
                    assert (await desk.ask("POST", register, body, OWNERS[0], If_Match="*"))[0] == 200
            taken = len(desk.processor.taken)
            answers = []
            for method, path, body, headers in REQUESTS:
                named = body if body is None else orjson.loads(orjson.dumps(body).replace(b"{}", THEIRS.encode()))
                status, told_headers, answer = await desk.ask(method, path.format(THEIRS), named, ALICES[0], **headers)
                if "data" in answer:  # statistics of the own portfolio alone, or what is wrong with each to be revalued
                    answer["metadata"] |= {"timestamp": 0, "elapsed_micros": 0}
                    if "commands" in answer["data"]:
                        answer["data"]["commands"] |= {"since": 0, "latency_micros": {}}
                else:
                    told_headers.pop("date")
                    answer["headers"] = told_headers
                answers.append((method, path, status, answer))
            assert len(desk.processor.taken) == taken
            told.append(answers)
    assert told[0] == told[1]
    statuses = [404, 404, 404, 200, 404, 404, 404, 404, 404, 200, 404, 404, 404, 428, 422, 428]
    assert [status for _, _, status, _ in told[0]] == statuses
    unknown = {str(answer["error"]) for _, path, status, answer in told[0] if status == 404 and "/position/" not in path}
    assert len(unknown) == 1
    assert THEIRS not in str(told).replace(f"'portfolio_id': '{THEIRS}'", "")  # but for the name that was given


@in_loop
async def test_every_endpoint_of_portfolios_is_asked_of_anothers() -> None:
    async with desk_of() as desk:
        _, _, document = await desk.ask("GET", "/openapi.json")
    there = {(method.upper(), path) for path, each in document["paths"].items() for method in each if "/mtm/" in path}
    asked = {(method, path.partition("?")[0].format("x")) for method, path, _, _ in REQUESTS}
    missing = {
        (method, path)
        for method, path in there
        if not any(method == one and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), other) for one, other in asked)
    }
    assert missing == set()


@in_loop
async def test_who_loses_a_portfolio_is_not_told_what_became_of_its_command() -> None:
    keys = ApiKeys([ALICES[1]])
    made: list[Processor] = []

    def sender(intake: HandFedIntake) -> Processor:
        made.append(Processor(intake.feed, lambda: time.time_ns() // 1000))
        return made[0]

    options = GatewayOptions(authenticator=Authenticator(api_keys=keys))
    async with running(options, sender=sender) as gateway:
        desk = Desk(gateway, made[0])
        desk.create(PORTFOLIO)
        made[0].is_silent = True
        asked = asyncio.create_task(desk.ask("POST", f"{PATH}/commands", REGISTER, ALICES[0], If_Match="2"))
        await eventually(lambda: len(made[0].taken) == 3)
        keys.replace([])
        made[0].is_silent = False
        made[0].send(made[0].taken[-1], print)
        status, _, answer = await asked
        assert (status, answer["error"]["name"]) == (404, "UNKNOWN_PORTFOLIO")


@in_loop
async def test_position_in_several_portfolios_names_those_that_may_be_seen() -> None:
    async with desk_of(keys=True) as desk:
        desk.create(PORTFOLIO, "not-yet", THEIRS)
        for name in (PORTFOLIO, "not-yet", THEIRS):
            path = f"/api/mtm/portfolio/{name}/commands"
            assert (await desk.ask("POST", path, REGISTER, OWNERS[0], If_Match="2"))[0] == 200
        status, _, answer = await desk.ask("GET", "/api/mtm/position/p1", None, ALICES[0])
        assert (status, answer["error"]["candidates"]) == (409, [PORTFOLIO, "not-yet"])
        _, _, answer = await desk.ask("GET", "/api/mtm/position/p1", None, OWNERS[0])
        assert answer["error"]["candidates"] == [PORTFOLIO, "not-yet", THEIRS]
        status, _, answer = await desk.ask("GET", f"/api/mtm/position/p1?portfolio_id={PORTFOLIO}", None, ALICES[0])
        assert (status, answer["data"]["portfolio_id"]) == (200, PORTFOLIO)


@in_loop
async def test_roles_are_needed_and_pages_of_others_kept_out() -> None:
    async with desk_of(keys=True) as desk:
        desk.create(PORTFOLIO)
        price = {
            "command": "override_price",
            "instrument": POSITION["instrument"],
            "price": "1",
            "reason": "x",
            "expires_at": 1,
        }
        status, _, answer = await desk.ask("POST", f"{PATH}/commands", price, ALICES[0], If_Match="*")
        assert (status, answer["error"]["name"]) == (403, "NOT_ENTITLED")
        prices = {name: value for name, value in PRICES.items() if name not in ("action", "expected_version")}
        batch = prices | {"command": "override_prices", "expires_at": time.time_ns() // 1000 + 10**9}
        assert (await desk.ask("POST", f"{PATH}/commands", batch, ALICES[0], If_Match="*"))[0] == 403
        status, _, answer = await desk.ask("POST", f"{PATH}/commands", batch, OWNERS[0], If_Match='"2"')
        assert (status, answer["data"]["version"], answer["data"]["instruments"]) == (200, 3, [BTC, PERP])
        assert (await desk.ask("POST", f"{PATH}/commands", REGISTER, If_Match="*"))[0] == 401
        status, _, answer = await desk.ask("GET", "/api/v1/realtime/status", None, ALICES[0])
        assert not [one for one in answer["data"]["partitions"] if one["topic"].startswith("pf.")]
    async with desk_of() as desk:
        desk.create(PORTFOLIO)
        status, _, answer = await desk.ask("POST", f"{PATH}/commands", REGISTER, If_Match="*", Origin="https://evil.example")
        assert (status, answer["error"]["name"]) == (403, "ORIGIN_NOT_ALLOWED")
        assert desk.processor.portfolio().version == 2


@in_loop
async def test_nothing_is_answered_before_the_topics_were_read() -> None:
    made: list[Processor] = []

    def sender(intake: HandFedIntake) -> Processor:
        made.append(Processor(intake.feed))
        return made[0]

    async with running(GatewayOptions(), caught_up=False, sender=sender) as gateway:
        desk = Desk(gateway, made[0])
        for method, path, body, headers in REQUESTS:
            status, _, _ = await desk.ask(method, path.format(PORTFOLIO), body, **headers)
            assert status in (422, 428, 503), path
        assert made[0].taken == []


@in_loop
async def test_every_answer_is_described() -> None:
    async with desk_of() as desk:
        _, _, document = await desk.ask("GET", "/openapi.json")
        described = {
            (method, path): set(each["responses"])
            for path, methods in document["paths"].items()
            if path.startswith("/api/mtm")
            for method, each in methods.items()
        }
        commands = {"200", "401", "403", "404", "409", "413", "422", "428", "429", "500", "503", "504"}
        assert described[("post", "/api/mtm/portfolio/{portfolio_id}/commands")] == commands
        assert described[("delete", "/api/mtm/portfolio/{portfolio_id}/position/{position_id}")] == commands
        assert described[("post", "/api/mtm/portfolio")] == (commands - {"200", "428"}) | {"201"}
        assert {"200", "404", "503"} <= described[("get", "/api/mtm/portfolio/{portfolio_id}")]
        assert {"200", "404", "409"} <= described[("get", "/api/mtm/position/{position_id}")]


@in_loop
async def test_many_portfolios_are_revalued_by_one_request() -> None:
    async with desk_of(keys=True, command_seconds=1.0) as desk:
        desk.create(PORTFOLIO, "not-yet", THEIRS)
        before = len(desk.processor.taken)
        body = {"portfolio_ids": [PORTFOLIO, THEIRS, "nobodys", "not-yet", PORTFOLIO]}
        asked = asyncio.create_task(desk.ask("POST", "/api/mtm/revalue", body, ALICES[0], Idempotency_Key="all"))
        await eventually(lambda: len(desk.processor.taken) == before + 2)
        totals = make_valuation(1, portfolio_id=PORTFOLIO, position_version=2, replies_offset=1 << 40)
        desk.gateway.intake.feed(VALUATIONS.name, totals)
        status, _, answer = await asked
        assert (status, [each["portfolio_id"] for each in answer["data"]]) == (200, [PORTFOLIO])
        errors = {each.pop("portfolio_id"): each for each in answer["metadata"]["errors"]}
        assert {name: each["name"] for name, each in errors.items()} == {
            THEIRS: "UNKNOWN_PORTFOLIO",
            "nobodys": "UNKNOWN_PORTFOLIO",
            "not-yet": "NO_ANSWER",
        }
        assert errors[THEIRS] == errors["nobodys"]
        assert (answer["metadata"]["valued"], answer["metadata"]["conflicts"]) == (1, 0)
        _, _, answer = await desk.ask("GET", "/api/mtm/stats", None, ALICES[0])
        revaluations = answer["data"]["revaluations"]
        assert (revaluations["valued"], revaluations["failed"], revaluations["measured"]) == (1, 1, 1)
        assert revaluations["latency_micros"]["p50"] > 0
        wrongs: list[dict[str, Any]] = [{"portfolio_ids": []}, {"portfolio_ids": ["a"] * 501}, {}]
        for wrong in wrongs:
            assert (await desk.ask("POST", "/api/mtm/revalue", wrong, ALICES[0]))[0] == 422
