"""Whether a record that decodes is one that its topic carries: its kind, its figures and its key. Pure.

What decodes may still be nonsense: a price of zero, a time that never was, a trade under the key of another instrument. Who
reads topics to keep or to serve what they hold asks here first.
"""

from __future__ import annotations

from market.book_top import BookTop, check_book_top
from market.candle import CandleEvent
from market.control import ControlCommand, check_control
from market.dead_letter import DeadLetter, LetterReplay
from market.depth import Depth, check_depth
from market.derived import check_candle, check_price_change
from market.errors import DataValidationError
from market.feed_status import FeedStatus, check_status
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition, check_definition
from market.open_interest import OpenInterest
from market.portfolio import Portfolio
from market.portfolio_alert import Alert, check_alert
from market.portfolio_checks import check_portfolio
from market.portfolio_commands import check_command
from market.portfolio_reply import PortfolioReply, check_reply
from market.price import PriceRecord, check_price
from market.price_change import PriceChangedEvent
from market.quality import MAX_CLOCK_SKEW
from market.quality_event import QualityEvent, check_quality_event
from market.quality_score import QualityScore, check_quality_score
from market.quote import Kline, Quote
from market.stated import check_funding, check_kline, check_open_interest, check_quote
from market.trade import GapMark, TimeMark, Trade, check_mark, check_trade
from market.valuation_record import Valuation, ValuationLine, check_valuation
from schemas.records import Record
from schemas.topics import TOPICS


def check_carried(
    topic: str, key: bytes | None, record: Record, *, max_skew: int = MAX_CLOCK_SKEW, appended_at: int | None = None
) -> Record:
    """Return a record unchanged that a topic may hold under this key; `max_skew` as ingest grants exchanges' clocks.

    With `appended_at`, the broker's time (microseconds), no mark and no receive time of what a venue told may be later
    than `max_skew` after it; an exchange's time may be later than the receive time by `max_skew` in turn, and a candle's time
    than the broker's by both.

    Raises DataValidationError naming what is wrong, KeyError when the topic is none of ours.
    """
    declared = TOPICS[topic]
    if not isinstance(record, declared.records):
        raise DataValidationError("unexpected_record", f"{topic} does not carry a {type(record).__name__}")
    _check_figures(record, max_skew, None if appended_at is None else appended_at + max_skew)
    if key != (wanted := declared.key(record).encode()):
        raise DataValidationError("wrong_key", f"key {key!r:.80} is not the {wanted!r:.80} of the record", field="key")
    return record


def _check_figures(record: Record, max_skew: int, not_after: int | None) -> None:
    match record:
        case Trade():
            check_trade(record, max_skew=max_skew, not_after=not_after)
        case TimeMark() | GapMark():
            check_mark(record, not_after=not_after)
        case Quote():
            check_quote(record, max_skew=max_skew, not_after=not_after)
        case Kline():
            check_kline(record, max_skew=max_skew, not_after=not_after)
        case Funding():
            check_funding(record, max_skew=max_skew, not_after=not_after)
        case OpenInterest():
            check_open_interest(record, max_skew=max_skew, not_after=not_after)
        case InstrumentDefinition():
            check_definition(record)
        case Depth():
            check_depth(record, max_skew=max_skew)
        case BookTop():
            check_book_top(record)
        case CandleEvent():
            # Event times may be ahead of receive times, and those ahead of the broker's.
            check_candle(record, not_after=None if not_after is None else not_after + max_skew)
        case PriceChangedEvent():
            check_price_change(record)
        case PriceRecord():
            check_price(record)
        case QualityEvent():
            check_quality_event(record)
        case QualityScore():
            check_quality_score(record)
        case FeedStatus():
            check_status(record)
        case ControlCommand():
            check_control(record)
        case PortfolioReply():
            check_reply(record)
        case Portfolio():
            check_portfolio(record)
        case Valuation() | ValuationLine():
            check_valuation(record)
        case Alert():
            check_alert(record)
        case DeadLetter() | LetterReplay():
            pass
        case _:
            check_command(record)
