"""Coinbase Advanced Trade live, as documented: what its connection left out shows, and is mended."""

import asyncio
from decimal import Decimal

import pytest

from ingest.feed import Subscription
from market.depth import BookState
from market.feed_status import FeedState
from tests.exchange.coinbase_advanced import CoinbaseAdvanced, NumberingExchange, frame
from tests.exchange.listener import Listener

pytestmark = pytest.mark.anyio

BTC = "coinbase_advanced:BTC-USD"
TRADES, BOOK = Subscription(BTC, "market_trades"), Subscription(BTC, "level2")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    """A change of the book after each trade; ids of trades have holes."""
    found = []
    for number in range(1, 400):
        time = f"2023-02-09T20:{number // 60:02}:{number % 60:02}.5Z"
        trade = {
            "trade_id": str(3 * number),
            "product_id": "BTC-USD",
            "price": "100.5",
            "size": "0.25",
            "side": "BUY",
            "time": time,
        }
        side, price = ("bid", 100 - number % 7) if number % 2 else ("offer", 101 + number % 7)
        level = {"side": side, "event_time": time, "price_level": str(price), "new_quantity": str(number)}
        found.append(frame("market_trades", {"type": "update", "trades": [trade]}))
        found.append(frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [level]}))
    return found


async def test_what_a_connection_left_out_shows_and_is_mended() -> None:
    exchange = NumberingExchange(CoinbaseAdvanced(), tape())
    async with exchange:
        await exchange.play(40)
        async with Listener("coinbase_advanced", exchange, [TRADES, BOOK]) as listener:
            await exchange.listened_to(3)  # and heartbeats
            await listener.until(lambda: listener.book_state(BTC) is BookState.LIVE)
            await exchange.play(40)
            await listener.until(lambda: listener.ids()[-1:] == ["120"])
            assert listener.gaps() == []

            exchange.leaves_out = 2  # a trade and a change of the book
            await exchange.play(2)
            assert exchange.leaves_out == 0
            await exchange.play(4)
            await listener.until(lambda: FeedState.GAP in listener.states(BOOK))
            await listener.until(lambda: listener.book_state(BTC) is BookState.LIVE)
            await listener.until(lambda: "123" in listener.ids())
            await listener.until(lambda: [gap.healed for gap in listener.gaps()] == [False, True])
            assert [trade.origin for trade in listener.trades() if trade.trade_id == "123"] == ["backfill"]

            await exchange.play(20)
            await listener.until(lambda: listener.ids()[-1:] == [str(3 * 53)])
            await asyncio.sleep(0.2)
            assert len(set(listener.ids())) == len(listener.ids())
            book = exchange.books["level2:BTC-USD"]
            wanted = tuple(
                [(Decimal(price), Decimal(size)) for price, size in side] for side in (book.best_bids(), book.best_asks())
            )
            assert tuple(listener.best(BTC, 100)) == wanted
            assert not listener.refused()
