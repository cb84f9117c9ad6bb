"""The ingest benchmark: its load is one that both contestants read, and its ratios are of the same load."""

from itertools import islice

import pytest

from benchmarks.ingest.frames import INSTRUMENT, LOADS, recorded, repeated
from benchmarks.ingest.options import read_options
from benchmarks.ingest.report import FRAMES_RATE, ratios
from benchmarks.stream.options import OptionError
from ingest import feeds
from ingest.session import Session
from market.quality import MAX_CLOCK_SKEW
from market.quote import Quote
from market.trade import Trade

AT = 1_800_000_000_000_000


@pytest.mark.parametrize("load", LOADS)
def test_every_frame_gives_one_record_however_often_the_recording_is_repeated(load: str) -> None:
    once = recorded(LOADS[load])[:1_500]
    session = Session("binance", (), once=True)
    session.add_line("line", feeds.load("binance").parser("spot", {}, MAX_CLOCK_SKEW))
    told = [record for frame in islice(repeated(once), 4_000) for record in session.received("line", frame, AT)]
    ticks = [record for record in told if isinstance(record, Trade | Quote)]
    assert len(ticks) == 4_000
    assert {record.instrument for record in ticks} == {INSTRUMENT}
    ids = [record.sequence for record in ticks if isinstance(record, Trade)]
    assert ids == list(range(len(ids)))


def test_ratios_are_of_one_load_and_of_those_that_ran() -> None:
    rates = {
        "compiled/mixed": 300.0,
        "cryptofeed_confluent/mixed": 200.0,
        "plain/trades": 50.0,
        "cryptofeed_confluent/trades": 100.0,
    }
    found = ratios({name: {FRAMES_RATE: rate} for name, rate in rates.items()})
    assert found == {"vs_cryptofeed_confluent": 1.5, "plain_vs_cryptofeed_confluent_trades": 0.5}


def test_a_load_that_there_is_not_is_named() -> None:
    with pytest.raises(OptionError, match=r"BENCH_LOADS has 'depth'; there are trades, quotes, mixed"):
        read_options({"BENCH_LOADS": "trades,depth"}, ("compiled",), tuple(LOADS))
