"""Valuations written by hand are the bytes of the codec's own writer, and so are refused what does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DataValidationError
from market.limits import Limit, LimitKind
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.codec import encode_body
from schemas.valuation_encoding import encode_line, encode_parts, encode_valuation
from tests.builders import START

longs = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**31 - 1)
amounts = st.integers(-(10**50) + 1, 10**50 - 1)
maybe = st.none() | amounts
names = st.lists(st.text(max_size=5), max_size=3).map(tuple)
rates = st.builds(UsedRate, st.text(), amounts, st.none() | longs, names, st.booleans())
limits = st.builds(Limit, st.sampled_from(LimitKind), amounts, amounts)
records = st.builds(
    Valuation,
    *(st.text(), st.text(), longs),
    *[maybe] * 10,
    *[counts] * 3,
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.none() | longs,
    *(names, names),
    st.lists(rates, max_size=3).map(tuple),
    st.lists(longs, max_size=5).map(tuple),
    *[longs] * 3,
    *[st.none() | longs] * 3,
    st.lists(limits, max_size=3).map(tuple),
)


figures = st.integers(-(10**38) + 1, 10**38 - 1)
lines = st.builds(
    ValuationLine,
    *(st.text(), st.text(), longs, st.text(), st.text()),
    *(figures, figures, amounts, st.sampled_from(LineState), st.text()),
    *(st.none() | figures, st.none() | st.text(), st.none() | st.text(), st.none() | longs),
    *(st.none() | figures, st.none() | st.text(), st.none() | rates),
    *[maybe] * 4,
    *[longs] * 3,
)


@given(lines)
def test_bytes_of_a_line_are_those_of_the_codecs_own_writer(line: ValuationLine) -> None:
    assert encode_line(line) == encode_body(line)


@given(records)
def test_bytes_are_those_of_the_codecs_own_writer(record: Valuation) -> None:
    assert encode_valuation(record) == encode_body(record)


MOMENT: dict[str, Any] = {
    "board": (1, 2, 3),
    "generation": 4,
    "sequence": 5,
    "valued_at": START,
    "replies_offset": 6,
    "as_of": START + 7,
}


@given(records)
def test_content_is_all_but_the_moment(record: Valuation) -> None:
    content = encode_parts(record).content
    assert encode_parts(record._replace(**MOMENT)).content == content
    assert encode_parts(record._replace(lines=record.lines ^ 1)).content != content
    assert encode_parts(record._replace(day_end_at=START if record.day_end_at is None else None)).content != content


@pytest.mark.parametrize(
    "wrong",
    [
        {"equity": 10**50},
        {"coverage_percent": 10**38},
        {"sequence": 2**63},
        {"rates": (UsedRate("CNY", 10**50, None, (), is_stale=False),)},
    ],
)
def test_figure_that_does_not_fit_its_field_is_refused(wrong: dict[str, Any]) -> None:
    names = ("net_exposure", "gross_exposure", "unrealised_pnl", "realised_pnl", "income", "cash", "equity")
    figures: dict[str, Any] = dict.fromkeys((*names, "day_pnl", "day_price_effect", "day_fx_effect", "oldest_price_at"))
    lists: dict[str, Any] = dict.fromkeys(("left_out", "without_rate", "rates", "board"), ())
    record = Valuation(
        "ours",
        "USD",
        1,
        lines=0,
        valued=0,
        stale=0,
        coverage_percent=0,
        generation=1,
        sequence=1,
        valued_at=START,
        **figures,
        **lists,
    )
    for encode in (encode_valuation, encode_body):
        encode(record)
        with pytest.raises(DataValidationError):
            encode(record._replace(**wrong))
