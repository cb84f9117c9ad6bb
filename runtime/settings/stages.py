"""Settings of the stages: ingest, processors, sinks, gateway, and what all of them show of themselves.

Names of feeds, agents, stores and channels are those of files in the stages' open folders; the stage checks them.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runtime.retry import Backoff
from runtime.settings.access import AccessSettings, QuotasSettings, TlsSettings
from runtime.settings.base import (
    Count,
    HttpUrl,
    Maybe,
    Name,
    Names,
    Port,
    ProxyUrl,
    Seconds,
    Section,
    Text,
    UserPath,
    WebSocketUrl,
)
from runtime.settings.valuation import ValuationSettings

__all__ = [
    "BookSettings",
    "CompositeSettings",
    "FailoverSettings",
    "FeedSettings",
    "GatewaySettings",
    "IngestSettings",
    "ObservabilitySettings",
    "OutlierSettings",
    "PriceChangeSettings",
    "ProcessorSettings",
    "PublisherSettings",
    "QualitySettings",
    "ReconnectSettings",
    "SignificanceSettings",
    "SinkSettings",
    "ThrottleSettings",
    "WorkerSettings",
]


class ReconnectSettings(Section):
    """Delays between attempts to connect again, without end."""

    initial_seconds: Seconds = 0.5
    """First delay."""
    maximum_seconds: Seconds = 4.0
    """Longest delay; a venue that is back is found after so many seconds at most."""
    factor: Annotated[float, Field(ge=1)] = 2.0
    """Growth from one delay to the next."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of each delay left to chance, so that clients do not return in step."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.initial_seconds > self.maximum_seconds:
            raise ValueError("initial_seconds is above maximum_seconds")
        return self

    def backoff(self) -> Backoff:
        """Return these delays as the policy that computes them."""
        return Backoff(self.initial_seconds, self.maximum_seconds, self.factor, self.jitter)


class FailoverSettings(Section):
    """What serves a feed's streams while the venue's WebSocket tells nothing: REST, then another feed; it returns by itself."""

    enabled: bool = True
    """Off leaves them unserved until the WebSocket tells something again."""
    fresh_seconds: Seconds = 10.0
    """Silence in market data after which the next way takes over."""
    poll_seconds: Seconds = 2.0
    """How often the venue is asked for the latest by REST meanwhile, within its quota."""
    backup: Maybe[Name] = None
    """Name of the feed below ingest.feeds that stands in where REST does not answer either; it connects only then."""


class FeedSettings(Section):
    """One connection to one venue."""

    feed: Name
    """Which feed speaks to the venue: the name of a file in ingest/feeds."""
    symbols: Annotated[Names, Field(min_length=1)]
    """Instrument ids, such as binance:BTC-USDT."""
    channels: Names = ()
    """Channels to subscribe to, by the venue's own names; none means those that the feed takes by itself."""
    websocket_url: Maybe[WebSocketUrl] = None
    """WebSocket address instead of the venue's public one."""
    rest_url: Maybe[HttpUrl] = None
    """REST address instead of the venue's public one."""
    proxy: Maybe[ProxyUrl] = None
    """URL of a proxy to connect through; it may hold credentials."""
    reconnect: ReconnectSettings = Field(default_factory=ReconnectSettings)
    heartbeat_seconds: Seconds = 30.0
    """How often the connection is probed by a ping."""
    stale_after_seconds: Seconds = 60.0
    """Silence in market data, heartbeats apart, after which the connection is opened anew."""
    stream_stale_seconds: Maybe[Seconds] = 60.0
    """Silence of one stream, while others of its connection tell, after which it is STALE, begun anew and asked for by REST;
    longer where it paused for long before; null: never."""
    lines: Annotated[int, Field(ge=1, le=2)] = 1
    """Connections that each stream is listened to on; of two, what either tells first is told, and what both tell once."""
    failover: FailoverSettings = Field(default_factory=FailoverSettings)
    definition_seconds: Maybe[Seconds] = 3600.0
    """How often the venue is asked for its list of instruments, for md.instruments; null: never."""
    capture_file: Maybe[UserPath] = None
    """File to which every frame is appended as received, for replay."""
    options: dict[str, object] = Field(default_factory=dict)
    """Further settings that only this feed knows and checks, such as the seed of the simulated one."""


class PublisherSettings(Section):
    """The producer of ingest."""

    queue_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Most bytes waiting for the broker; when they are reached, reading from the venue waits."""
    linger_seconds: Annotated[float, Field(ge=0, le=1)] = 0.005
    """How long a record may wait for others to be sent with it."""
    delivery_timeout_seconds: Seconds = 3600.0
    """How long a record is tried before its delivery has failed for good, which ends the process."""


class CompositeSettings(Section):
    """The best bid and offer of several venues as a quote of an instrument of its own."""

    sources: Annotated[Names, Field(min_length=2)]
    """Instrument ids of which this process has feeds, of one asset in one currency."""
    stale_after_seconds: Seconds = 5.0
    """Silence of a venue after which it is left out."""


class IngestSettings(Section):
    """Feeds to topics."""

    feeds: dict[Name, FeedSettings] = Field(default_factory=dict)
    """Connections by a name of one's choice."""
    composites: dict[Name, CompositeSettings] = Field(default_factory=dict)
    """Composite quotes by the code of their instrument: btc_usdt is composite:BTC-USDT."""
    max_clock_skew_seconds: Seconds = 5.0
    """How far clocks may differ before a record is refused, by any stage: an exchange time ahead of the receive time, and a
    time of ingest ahead of the broker's."""
    publisher: PublisherSettings = Field(default_factory=PublisherSettings)

    @property
    def max_clock_skew(self) -> int:
        """The clock skew in microseconds, the unit of all times in records."""
        return round(self.max_clock_skew_seconds * 1e6)


class ThrottleSettings(Section):
    """How many price changes are let through."""

    enabled: bool = True
    """Off lets every change through."""
    events: Count = 100
    """After so many changes since the last one let through, the next one is."""
    seconds: Seconds = 0.1
    """After so much time (of the records) since the last one let through, the next one is."""


class SignificanceSettings(Section):
    """When a price change is marked as significant: when any threshold given is reached."""

    absolute: Maybe[Annotated[Decimal, Field(gt=0)]] = None
    """Change in the quote currency."""
    percent: Maybe[Annotated[Decimal, Field(gt=0)]] = None
    """Change in per cent of the old price."""
    ticks: Maybe[Count] = None
    """Change in price steps of the instrument, each of which is `tick_size`."""
    tick_size: Maybe[Annotated[Decimal, Field(gt=0)]] = None
    """The instrument's least price step, in the quote currency; must be given where `ticks` is."""


class PriceChangeSettings(Section):
    """The price-change agent."""

    throttle: ThrottleSettings = Field(default_factory=ThrottleSettings)
    significance: SignificanceSettings = Field(default_factory=SignificanceSettings)
    instruments: dict[str, SignificanceSettings] = Field(default_factory=dict)
    """Thresholds of instruments by their ids (venue:CODE): what is given for one holds instead of that in `significance`."""


class OutlierSettings(Section):
    """When a price is far from those before it: beyond both distances from their median."""

    window: Annotated[int, Field(ge=2, le=1000)] = 60
    """Prices that are remembered; none is judged before half of them are there."""
    deviations: Annotated[Decimal, Field(gt=0)] = Decimal(10)
    """Distance as a multiple of 1.4826 times their median absolute deviation (a standard deviation of normal values)."""
    percent: Annotated[Decimal, Field(ge=0)] = Decimal("0.5")
    """Distance in per cent of their median."""


class QualitySettings(Section):
    """The quality agent."""

    stale_after_seconds: Seconds = 60.0
    """Time without a trade, in a stream that is live by its time marks, after which it is stale."""
    clock_tolerance_seconds: Annotated[float, Field(ge=0)] = 2.0
    """How far a venue's time may be ahead of the receiver's; beyond `ingest.max_clock_skew_seconds` it is refused anyway."""
    event_period_seconds: Annotated[float, Field(ge=0)] = 1.0
    """At most one event of a rule in that time (of the records), for each instrument and topic, sums up those between."""
    outlier: OutlierSettings = Field(default_factory=OutlierSettings)


class BookSettings(Section):
    """The agent of order books."""

    levels: Annotated[int, Field(ge=1, le=1000)] = 20
    """Levels of each side to publish."""
    seconds: Annotated[float, Field(ge=0.000001)] = 0.1
    """Period (of the records' receive times, beginning at multiples of its length) in which a book is published at most once,
    but for changes of its state."""


class WorkerSettings(Section):
    """Membership of a worker in its group."""

    session_timeout_seconds: Seconds = 30.0
    """Silence after which the group gives a worker's partitions to others. A worker whose own heartbeats were not answered for
    half of it writes nothing until one is, and no record it sends is tried for longer than the other half."""
    heartbeat_seconds: Seconds = 3.0
    """How often a worker tells the group that it is there."""
    stalled_after_seconds: Seconds = 120.0
    """A worker with a lag whose committed offset has not moved for so long ends itself; so does one that rebuilds tables and
    has read no record of a changelog for so long. Time in which it waits for the broker, the schema registry or a topic that
    takes no records does not count."""
    instance_id: Maybe[Text] = None
    """Name by which its group knows a worker that is started again, so that it takes its partitions back at once and the others
    keep theirs. No other worker of the group may have it; `tapeline process --workers` adds the worker's number to it."""
    on_expired: Literal["fail", "continue"] = "fail"
    """When records were deleted from a topic before they were processed: end and say so, or log an error and go on with the
    oldest there are, as is always done with quotes and order books, which later records make up for. A topic that ends before
    the offset wanted next always ends the worker."""

    @model_validator(mode="after")
    def _in_proportion(self) -> Self:
        if self.heartbeat_seconds * 3 > self.session_timeout_seconds:
            raise ValueError("heartbeat_seconds must be at most a third of session_timeout_seconds")
        return self


class ProcessorSettings(Section):
    """Topics to topics."""

    application: Name = "tapeline_processors"
    """Name of the consumer group and beginning of the names of its changelog topics."""
    state_dir: UserPath = Path("~/.local/share/tapeline/state")
    """Folder for the tables of a worker; two workers on one machine need two."""
    store: Literal["memory", "rocksdict"] = "rocksdict"
    """Where tables live: on disk, or in memory to be rebuilt from the changelog at each start."""
    agents: Names = ("candles", "price_changes")
    """Computations to run: names of files in processors/agents."""
    intervals: Annotated[Names, Field(min_length=1)] = ("1m",)
    """Candle intervals to publish."""
    grace_seconds: Annotated[float, Field(ge=0)] = 2.0
    """How long after its end, in event time, a candle waits for late trades before it closes."""
    empty_intervals: Literal["none", "carry"] = "none"
    """Candles of intervals without a trade: none, or one that carries the close before it. Those of more than a day that pass
    at once are left out. With carry, candles are folded by the full rules, which are slower."""
    calendars: dict[Name, Text] = Field(default_factory=dict)
    """Trading calendars of venues that close, by their names in exchange_calendars, besides XSHG of sse, szse and bse and XHKG
    of hkex; candles of all other venues divide the UTC day. Where a venue's calendar changes, open candles of the old one close
    by themselves."""
    commit_interval_seconds: Annotated[float, Field(ge=0, le=10)] = 0.1
    """How often results are published: an open candle is told once in that time however many trades it had. 0 is for the lowest
    latency: as soon as the results before were acknowledged, at the cost of more records and processor time. The tables behind
    them are stored at most ten times a second. Commands to portfolios are always answered at once."""
    compiled: Literal["auto", "off"] = "auto"
    """Fold by compiled code where it was built; off takes the plain Python of the same results, about ten times slower."""
    price_changes: PriceChangeSettings = Field(default_factory=PriceChangeSettings)
    quality: QualitySettings = Field(default_factory=QualitySettings)
    books: BookSettings = Field(default_factory=BookSettings)
    valuation: ValuationSettings = Field(default_factory=ValuationSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)


class SinkSettings(Section):
    """Topics to stores."""

    group_id: Text = "tapeline-sink"
    """Beginning of the names of the consumer groups; each store has its own."""
    batch_rows: Count = 1000
    """Records after which a batch is written."""
    catch_up_rows: Count = 5000
    """Records a batch may have when more than `batch_rows` are waiting, so that a store that fell behind comes level again."""
    batch_seconds: Seconds = 0.2
    """Age at which a batch is written even if it is small."""
    apply_migrations: bool = False
    """Bring the database up to date at the start, instead of refusing one that `tapeline sink migrate` has not."""


class ReplaysSettings(Section):
    """Replays of the retained topics, which a client asks for by `?replay=TIME`."""

    in_all: Annotated[int, Field(ge=0)] = 8
    """Replays at a time; 0 for none, where other replicas serve them."""
    of_user: Count = 2
    """Replays of one user at a time."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the gateway's time that all replays together may take, so that live clients do not wait for them."""
    slow_seconds: Seconds = 300.0
    """How long a replay waits for a client that does not read."""


class GatewaySettings(Section):
    """Topics to clients."""

    host: Text = "127.0.0.1"
    """Address to listen on; loopback unless told otherwise."""
    port: Port = 8080
    """Port for REST and WebSocket; 0 takes a free one."""
    allow_remote: bool = False
    """Listen on other than loopback addresses without TLS of its own, because a proxy before it has it."""
    access: AccessSettings = Field(default_factory=AccessSettings)
    quotas: QuotasSettings = Field(default_factory=QuotasSettings)
    replays: ReplaysSettings = Field(default_factory=ReplaysSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    origins: Names = ()
    """Web origins, such as https://app.example.com, whose pages may connect besides the gateway's own."""
    channels: Annotated[Names, Field(min_length=1)] = (
        *("quote", "trade", "kline", "depth", "book", "price", "status", "quality"),
        "portfolio",
    )
    """Kinds of messages to serve: names of files in gateway/channels."""
    max_clients: Count = 10_000
    """WebSocket clients at a time; more are refused."""
    outbox_messages: Count = 1000
    """Messages waiting for one client before it is told of a gap."""
    outbox_bytes: Annotated[int, Field(ge=4096)] = 1024 * 1024
    """Bytes waiting for one client before it is disconnected."""
    compression: bool = False
    """Compress messages for WebSocket clients that offer permessage-deflate: a quarter fewer bytes of small messages and three
    of snapshots, for some 7 microseconds of processor time a message, however many clients get it."""
    ping_seconds: Seconds = 30.0
    """How often a client is probed."""
    history_size: Count = 1000
    """Latest candles kept in memory for each instrument and interval."""
    command_seconds: Seconds = 5.0
    """How long a command to a portfolio may take to be answered before the client is told that it was not."""
    history: bool = True
    """Answer questions about the past by REST, from PostgreSQL."""
    resume_messages: Count = 2_000
    """Latest trades, closed candles or findings kept of each instrument (and interval) for clients that come back."""
    resume_messages_in_all: Count = 50_000
    """The same for all together; older ones are read from the topics."""


class ObservabilitySettings(Section):
    """Logs, metrics and health of every service."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """JSON lines, or text for a person; auto means text on a terminal and JSON elsewhere."""
    metrics_enabled: bool = True
    """Serve /metrics, /healthz and /readyz."""
    metrics_host: Text = "127.0.0.1"
    """Address to serve them on; loopback unless told otherwise."""
    metrics_port: Port = 0
    """Port to serve them on; 0 takes a free one and logs it."""
