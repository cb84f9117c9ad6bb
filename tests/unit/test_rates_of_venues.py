"""Rates between currencies out of recorded traffic of exchanges: frames to records, to latest prices, to a rate."""

import gzip
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ingest import feeds
from ingest.feed import Subscription
from market.fx import FxRate
from market.price import PriceRecord
from market.quote import Quote
from market.trade import Trade
from processors.agents import prices
from processors.valuing.configured import rate_sources
from runtime.settings import ProcessorSettings, ValuationSettings
from schemas.records import Record
from schemas.topics import QUOTES, TRADES
from tests.builders import START
from tests.folding import Runner, told
from tests.price_parts import newest
from tests.venue_data import BITSTAMP, COINBASE, KRAKEN, recorded


def latest(records: Sequence[Record]) -> Mapping[str, PriceRecord]:
    """What the agent `prices` makes of records, as `md.prices` has it in the end."""
    runs = Runner(prices.build(ProcessorSettings()))
    effects = [
        runs.batch([record for record in records if isinstance(record, kind)], topic)
        for topic, kind in ((QUOTES.name, Quote), (TRADES.name, Trade))
    ]
    return newest(told(*effects))


def rate(records: Sequence[Record], source: str, target: str, *instruments: str) -> FxRate | None:
    """What a currency is in another one by these instruments, at the time of the last of their prices."""
    board = latest(records)
    now = max(board[instrument].received_at for instrument in instruments)
    settings = ValuationSettings(rate_instruments=instruments)
    return rate_sources(settings).rates(board, now, lambda _instrument: None).now.rate(source, target)


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def kraken_mean(pair: str) -> Fraction:
    """Mean of the last recorded ticker of a pair, read without any code of ours."""
    line = [line for line in lines(KRAKEN[1]) + lines(KRAKEN[2]) + lines(KRAKEN[3]) if f'"ticker","{pair}"' in line][-1]
    ticker: Any = json.loads(line.partition(" ")[2])[1]
    return (Fraction(ticker["a"][0]) + Fraction(ticker["b"][0])) / 2


def coinbase_mean(pair: str) -> Fraction:
    line = [line for line in lines(COINBASE[1]) if '"type":"ticker"' in line and f'"product_id":"{pair}"' in line][-1]
    ticker = json.loads(line.partition(" ")[2])
    return (Fraction(ticker["best_bid"]) + Fraction(ticker["best_ask"])) / 2


def test_recorded_tickers_of_kraken_give_a_rate_and_two_of_them_another() -> None:
    records, _ = recorded("kraken", *KRAKEN)
    instruments = ("kraken:BTC-CHF", "kraken:ADA-BTC")
    direct, through = rate(records, "BTC", "CHF", *instruments), rate(records, "ADA", "CHF", *instruments)
    assert direct is not None
    assert through is not None
    assert (direct.rate, direct.sources) == (kraken_mean("XBT/CHF"), ("kraken:BTC-CHF",))
    assert (through.rate, through.sources) == (kraken_mean("ADA/XBT") * direct.rate, ("kraken:ADA-BTC", "kraken:BTC-CHF"))
    assert not through.is_stale
    assert rate(records, "ADA", "EUR", *instruments) is None


def test_recorded_tickers_of_coinbase_give_the_rate_of_two_currencies_that_both_price_one_asset() -> None:
    records, _ = recorded("coinbase", *COINBASE)
    found = rate(records, "GBP", "USD", "coinbase:SKL-USD", "coinbase:SKL-GBP")
    assert found is not None
    assert found.rate == coinbase_mean("SKL-USD") / coinbase_mean("SKL-GBP")
    assert found.sources == ("coinbase:SKL-GBP", "coinbase:SKL-USD")


def test_recorded_trades_alone_give_the_rate_of_the_last_of_them() -> None:
    records, _ = recorded("bitstamp", *BITSTAMP)
    trades = [record for record in records if isinstance(record, Trade) and record.instrument == "bitstamp:ETH-USD"]
    last = max(trades, key=lambda trade: (trade.event_time, trade.sequence))
    found = rate(records, "ETH", "USD", "bitstamp:ETH-USD")
    assert found is not None
    assert (found.rate, found.as_of) == (Fraction(last.price, 10**12), min(last.event_time, last.received_at))


def test_pair_of_currencies_is_an_instrument_like_any_other() -> None:
    """A ticker of Kraken's as it was recorded, under the name of a pair of currencies."""
    venue = feeds.load("kraken")
    venue.check([Subscription("kraken:EUR-USD", "ticker")])
    (line,) = [line for line in lines(KRAKEN[2]) + lines(KRAKEN[1]) + lines(KRAKEN[3]) if '"ticker","XBT/CHF"' in line]
    frame = (
        line.partition(" ")[2].replace("XBT/CHF", "EUR/USD").replace("56218.30000", "1.19850").replace("56119.10000", "1.19830")
    )
    parsed = venue.parser(None, {}, 5_000_000).parse(frame.encode(), START)
    there, back = (rate(parsed.records, *pair, "kraken:EUR-USD") for pair in (("EUR", "USD"), ("USD", "EUR")))
    assert there is not None
    assert back is not None
    assert (there.rate, back.rate) == (Fraction("1.1984"), 1 / Fraction("1.1984"))
    assert there.as_of == START
