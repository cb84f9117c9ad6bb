"""Every recorded capture, from the first line to the last: what became of each frame, and that figures are the frames' own."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from ingest import feeds
from ingest.book_replay import BookFold
from ingest.feed import SequencedParser
from ingest.parsing import summary
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.decimals import SCALE
from market.quote import Quote
from market.trade import Trade
from schemas.records import Record
from tests.counted import show
from tests.ingest_parts import ALL_DATA, CRYPTOFEED, SAMPLE
from tests.venue_data import NO_WHOLE

BOOKS = "books {0} ({0} live at the end); messages {1}, missed 0; checksums compared {2}, matched {2}"
TABLE = {
    "BINANCE-20211012": (
        *("frames 265", "records 1963 (depth 180, instrument_definition 1695, kline 2, quote 84, trade 2)"),
        *("ignored 1 (depth@100ms, old 1)", "rejected 0"),
        *("not frames 7 (REST depth 4, REST exchangeInfo 1, configuration 1, connection 1)", BOOKS.format(4, 180, 0)),
    ),
    "BINANCE_FUTURES-20210722": (
        *("frames 1535", "records 1653 (depth 760, instrument_definition 122, kline 67, quote 613, trade 91)"),
        *("ignored 8 (depth@100ms, old 8)", "rejected 0"),
        *("not frames 7 (REST depth 4, REST exchangeInfo 1, configuration 1, connection 1)", BOOKS.format(4, 760, 0)),
    ),
    "BITFINEX-20210417": (
        *(
            "frames 1693",
            "records 1831 (depth 1600, quote 21, trade 210)",
            "ignored 65 (hb 42, info 1, reply 22)",
            "rejected 0",
        ),
        "not frames 27 (REST pub:list:currency 1, REST pub:list:pair:exchange 1, REST pub:list:pair:future 1, "
        "configuration 1, connection 1, sent 22)",
        BOOKS.format(7, 1600, 0),
    ),
    "BITGET-20220407": (
        "frames 1157",
        "records 12335 (depth 637, funding 217, instrument_definition 304, kline 10060, open_interest 217, quote 345, "
        "trade 555)",
        *("ignored 40 (reply 40)", "rejected 0"),
        *(
            "not frames 8 (REST contracts 2, REST products 1, configuration 1, connection 2, sent 2)",
            BOOKS.format(10, 637, 637),
        ),
    ),
    "BITSTAMP-20220105": (
        *("frames 747", "records 774 (depth 624, instrument_definition 140, trade 10)"),
        *("ignored 122 (diff_order_book, old 102, reply 20)", "rejected 0"),
        "not frames 33 (REST adaeur 1, REST batbtc 1, REST bateur 1, REST ethusd 1, REST galaeur 1, "
        "REST https://www.bitstamp.net/api/v2/trading-pairs-info/ 1, REST sgbeur 1, REST usdteur 1, REST usdtusd 1, "
        "REST xlmgbp 1, REST xrpeur 1, configuration 1, connection 1, sent 20)",
        BOOKS.format(9, 624, 0),
    ),
    "COINBASE-20210417": (
        *("frames 9946", "records 10105 (depth 9729, instrument_definition 162, quote 107, trade 107)"),
        *("ignored 3 (reply 3)", "rejected 0"),
        *("not frames 6 (REST products 1, configuration 1, connection 1, sent 3)", BOOKS.format(10, 9729, 0)),
    ),
    "DERIBIT-20210722": (
        *("frames 136", "records 224 (depth 46, open_interest 89, quote 89)", "ignored 1 (reply 1)", "rejected 0"),
        *("not frames 2 (connection 1, sent 1)", BOOKS.format(10, 46, 0)),
    ),
    "GATEIO-20210422": (
        *("frames 239", "records 1681 (depth 178, instrument_definition 1458, kline 14, quote 22, trade 9)"),
        *("ignored 26 (reply 22, spot.order_book_update, old 4)", "rejected 0"),
        "not frames 35 (REST currency_pairs 1, REST order_book 10, configuration 1, connection 1, sent 22)",
        BOOKS.format(10, 178, 0),
    ),
    "GATEIO_FUTURES-20230524": (
        *("frames 450", "records 714 (depth 336, instrument_definition 302, kline 1, quote 75)"),
        *("ignored 48 (futures.order_book_update, old 26, reply 22)", "rejected 0"),
        "not frames 35 (REST contracts 1, REST order_book 10, configuration 1, connection 1, sent 22)",
        BOOKS.format(10, 336, 0),
    ),
    "KRAKEN-20210417": (
        *("frames 4430", "records 4600 (depth 4279, instrument_definition 293, quote 18, trade 10)"),
        *("ignored 125 (heartbeat 92, reply 30, systemStatus 3)", "rejected 0"),
        "not frames 8 (REST AssetPairs 1, configuration 1, connection 3, sent 3)",
        BOOKS.format(10, 4279, 4269),
    ),
    "KRAKEN_FUTURES-20210722": (
        *("frames 7175", "records 8151 (depth 7024, instrument_definition 17, quote 107, trade 1003)"),
        *("ignored 31 (info 1, reply 30)", "rejected 0"),
        *("not frames 6 (REST instruments 1, configuration 1, connection 1, sent 3)", BOOKS.format(10, 7024, 0)),
    ),
    "OKX-20220513": (
        *("frames 410", "records 1175 (depth 290, instrument_definition 783, quote 28, trade 74)"),
        *("ignored 18 (reply 18)", "rejected 0"),
        *("not frames 30 (REST instruments 25, configuration 1, connection 1, sent 3)", BOOKS.format(3, 290, 290)),
    ),
    "BYBIT-20260809-linear-BTC-SOL": (
        "frames 1312",
        "records 2328 (depth 797, funding 3, instrument_definition 800, kline 49, open_interest 80, quote 378, trade 221)",
        *("ignored 17 (reply 17)", "rejected 0"),
        *("not frames 11 (REST instruments-info 1, connection 1, header 1, sent 8)", BOOKS.format(2, 797, 0)),
    ),
}
"""What `tapeline parse --books` says of each whole capture."""

VENUES = {"BINANCE_FUTURES": "binance", "GATEIO_FUTURES": "gateio"}


def files_of(capture: str) -> list[Path]:
    """The files of a whole capture, from the folder of all data where the tests' own has excerpts."""
    own = sorted((CRYPTOFEED / capture).glob("*.gz"))
    if own and not any("excerpt" in path.name for path in own) and not capture.startswith("OKX"):
        return own
    return sorted([*(ALL_DATA / "cryptofeed" / capture).glob("*.gz"), *(ALL_DATA / "cryptofeed-v3").glob(f"{capture}*.gz")])


def venue_of(capture: str) -> str:
    name = capture.partition("-")[0]
    return VENUES.get(name, name.lower())


CAPTURES = [
    pytest.param(capture, files_of(capture), marks=pytest.mark.skipif(not files_of(capture), reason=NO_WHOLE), id=capture)
    for capture in TABLE
]


def played(venue: str, files: Sequence[Path]) -> Iterator[tuple[Frame, list[Record]]]:
    """Frames, and the records that came of each."""
    playback = Playback(feeds.load(venue))
    for item in read_recordings(files):
        records = playback.take(item)
        if isinstance(item, Frame):
            yield item, records


@pytest.mark.parametrize(("capture", "files"), CAPTURES)
def test_every_frame_of_a_capture_is_accounted_for(capsys: pytest.CaptureFixture[str], capture: str, files: list[Path]) -> None:
    playback, books = Playback(feeds.load(venue_of(capture))), BookFold()
    for item in read_recordings(files):
        for record in playback.take(item):
            books.take(record)
    told = summary(playback, books)
    show(capsys, f"{capture}: {told}")
    assert told == "; ".join(TABLE[capture])


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\d))?")


def is_told(frame: bytes, *figures: int | None) -> bool:
    """Whether each figure stands in a frame as the very same decimal."""
    numbers = {abs(Decimal(text.decode())) for text in NUMBER.findall(frame)}
    return all(figure is None or Decimal(figure).scaleb(-SCALE) in numbers for figure in figures)


@pytest.mark.parametrize(("capture", "files"), CAPTURES)
def test_prices_and_sizes_are_the_decimals_of_the_frame(capture: str, files: list[Path]) -> None:
    compared = 0
    for frame, records in played(venue_of(capture), files):
        for record in records:
            if isinstance(record, Trade):
                assert is_told(frame.data, record.price, record.size)
            elif isinstance(record, Quote) and not capture.startswith("BYBIT"):  # whose deltas leave out what stands
                assert is_told(frame.data, record.bid, record.bid_size, record.ask, record.ask_size, record.last)
            compared += isinstance(record, Trade | Quote)
    assert compared


UNBROKEN = ("BINANCE-20211012", "BINANCE_FUTURES-20210722", "COINBASE-20210417", "KRAKEN_FUTURES-20210722", "OKX-20220513")
CONTIGUOUS = [
    pytest.param("binance", SAMPLE, id="sample"),
    *(
        pytest.param(venue_of(name), files, marks=pytest.mark.skipif(not files, reason=NO_WHOLE), id=name)
        for name, files in ((name, files_of(name)) for name in UNBROKEN)
    ),
]


@pytest.mark.parametrize(("venue", "files"), CONTIGUOUS)
def test_trades_have_no_holes_where_the_venue_leaves_none_out(venue: str, files: list[Path]) -> None:
    speaker = feeds.load(venue)
    parser = speaker.parser(next(iter(speaker.markets)), {}, 0)
    numbers: dict[str, set[int]] = {}
    for _, records in played(venue, files):
        for record in records:
            if isinstance(record, Trade):
                is_sequenced = isinstance(parser, SequencedParser)
                last = record.sequence if is_sequenced else int(record.last_trade_id)
                first = last if is_sequenced else int(record.first_trade_id)
                numbers.setdefault(record.instrument, set()).update(range(first, last + 1))
    assert numbers
    for told in numbers.values():
        assert told == set(range(min(told), max(told) + 1))
