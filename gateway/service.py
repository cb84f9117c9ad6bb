"""The gateway put together: every part is made here and given what it needs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

import uvicorn

from gateway.admission import Admission
from gateway.authentication import Authenticator
from gateway.background import watch_keys, watch_time
from gateway.channel import ChannelOptions, find_channels
from gateway.connections import Connections
from gateway.door import Door, check_exposure, check_origins
from gateway.flusher import Flusher, FlushPolicy
from gateway.http_guard import GuardedHttp
from gateway.hub import Hub, ResumeOptions
from gateway.instruments import Instruments
from gateway.intake import Deliver, Intake, Origin
from gateway.kafka_records import topic_ids
from gateway.key_files import KeyFile, open_keys
from gateway.messages import Arrival
from gateway.outbox import OutboxLimits
from gateway.outcome import SessionLimits
from gateway.past import Past
from gateway.portfolios.desk import Desk, Sender
from gateway.portfolios.producer import DELIVERY_SECONDS, QUEUE_BYTES, CommandProducer
from gateway.portfolios.waiter import ReplyWaiter
from gateway.quotas import ADDRESS, USER, Quota, Usages
from gateway.recent import RecentLimits
from gateway.replay.archive import Archive
from gateway.replay.replays import ReplayLimits, Replays
from gateway.replay.topics import TopicArchive
from gateway.rest.app import make_app
from gateway.rest.context import CalendarOf, Context, SendControl, never_closes
from gateway.tail import Tail
from gateway.topic_past import TopicPast
from gateway.websocket import MarketSocket, SocketLimits, frame_on
from history.database import Database
from history.reader import History
from runtime.errors import AddressUnavailable, ConfigurationError, Problem
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, producer_options, registry_options, tail_options
from runtime.logs import get_logger
from runtime.memory import spare_the_collector
from runtime.open_files import allow_files
from runtime.settings import Settings
from runtime.settings.access import TlsSettings
from schemas.contract import open_contract
from schemas.control_writer import send
from schemas.tick_decoding import read_ticks
from schemas.topics import (
    BOOKS,
    CANDLES,
    COMMANDS,
    CONTROL,
    DEPTH,
    POSITIONS,
    PRICES,
    QUALITY,
    QUOTES,
    STATUS,
    TRADES,
    VALUATION_LINES,
    VALUATIONS,
)

log = get_logger(__name__)

CHECKS = ("topics",)

LOOK_BACKS: dict[str, int | None] = {
    STATUS.name: None,
    PRICES.name: None,
    CANDLES.name: 50_000,
    QUOTES.name: 2_000,
    TRADES.name: 2_000,
    BOOKS.name: 2_000,
    DEPTH.name: 5_000,
    QUALITY.name: 2_000,
    POSITIONS.name: None,
    VALUATIONS.name: None,
    VALUATION_LINES.name: None,
}
"""Records of each partition read first, None for all; other topics from their end."""

_SHUTDOWN_SECONDS = 11
"""Clients are told over five seconds and have five to answer; a service has 14 in all."""
_RECONNECT_MS = 2_000
"""Over how long clients are asked to spread their return, which each begins when it is closed."""

_SPARE_CONNECTIONS = 500
"""HTTP connections besides the WebSocket clients."""

_OTHER_FILES = 200
"""Files and sockets besides those of clients."""

Listening = Callable[[str, int], None]
"""Told the address once the gateway accepts connections."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Everything that can be chosen; times in seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    origins: frozenset[str] = frozenset()
    max_clients: int = 10_000
    instruments: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("quote", "trade", "kline", "depth", "book", "price", "status", "quality", "portfolio")
    channel_options: ChannelOptions = field(default_factory=ChannelOptions)
    session_limits: SessionLimits = field(default_factory=SessionLimits)
    outbox_limits: OutboxLimits = field(default_factory=OutboxLimits)
    socket_limits: SocketLimits = field(default_factory=SocketLimits)
    compression: bool = False
    flush: FlushPolicy = field(default_factory=FlushPolicy)
    request_seconds: float = 10.0
    command_seconds: float = 5.0
    authenticator: Authenticator = field(default_factory=Authenticator)
    key_files: tuple[KeyFile, ...] = ()
    reload_seconds: float = 2.0
    user_quota: Quota = USER
    address_quota: Quota = ADDRESS
    tls: ssl.SSLContext | None = None
    resume_key: bytes | None = None
    recent: RecentLimits = field(default_factory=RecentLimits)
    replays: ReplayLimits = field(default_factory=ReplayLimits)


def options_of(settings: Settings) -> GatewayOptions:
    """The options that the settings give. Raises ConfigurationError for those that cannot work or would expose the gateway."""
    gateway = settings.gateway
    authenticator, key_files = open_keys(gateway.access)
    tls = tls_context(gateway.tls)
    check_exposure(gateway.host, keys=authenticator.required, tls=tls is not None, allow_remote=gateway.allow_remote)
    symbols = (symbol for feed in settings.ingest.feeds.values() for symbol in feed.symbols)
    return GatewayOptions(
        host=gateway.host,
        port=gateway.port,
        origins=check_origins(gateway.origins),
        max_clients=gateway.max_clients,
        instruments=tuple(dict.fromkeys(symbols)),
        channels=gateway.channels,
        channel_options=ChannelOptions(history_size=gateway.history_size, intervals=settings.processors.intervals),
        outbox_limits=OutboxLimits(gateway.outbox_messages, gateway.outbox_bytes),
        socket_limits=SocketLimits(
            token_seconds=gateway.access.first_message_seconds,
            slow_replay_seconds=gateway.replays.slow_seconds,
            ping_seconds=gateway.ping_seconds,
        ),
        compression=gateway.compression,
        command_seconds=gateway.command_seconds,
        authenticator=authenticator,
        key_files=tuple(key_files),
        reload_seconds=gateway.access.reload_seconds,
        user_quota=Quota(**gateway.quotas.user.model_dump()),
        address_quota=Quota(**gateway.quotas.address.model_dump()),
        tls=tls,
        resume_key=None if (key := gateway.access.resume_key) is None else key.get_secret_value().encode(),
        recent=RecentLimits(gateway.resume_messages, gateway.resume_messages_in_all),
        replays=ReplayLimits(gateway.replays.in_all, gateway.replays.of_user, gateway.replays.share),
    )


def tls_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """How the port is encrypted, None for not at all. Raises ConfigurationError for files that cannot be used."""
    if settings.certificate_file is None:
        return None
    password = settings.key_password.get_secret_value() if settings.key_password else ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file, password)
    except (ssl.SSLError, OSError) as error:
        text = f"the certificate and its key cannot be used: {error.strerror or error}"
        raise ConfigurationError(Problem("gateway.tls", text)) from error
    return context


async def run(
    settings: Settings,
    stop: asyncio.Event,
    listening: Listening | None = None,
    calendar_of: CalendarOf = never_closes,
) -> None:
    """Serve the topics until `stop` is set. Raises when a server cannot be reached or an address not be had at the start."""
    options = options_of(settings)
    check_broker(settings.kafka)
    topics = {topic.name: topic for channel in find_channels(options.channels) for topic in (*channel.topics, STATUS)}
    has_portfolios = POSITIONS.name in topics
    codec = open_contract(
        admin_options(settings.kafka, "gateway-admin"),
        registry_options(settings.registry),
        settings.topics.partitions,
        [*topics.values(), CONTROL, *([COMMANDS] if has_portfolios else [])],
    )
    read_ticks(codec)
    kafka = tail_options(settings.kafka, "gateway", without_offset="error")
    look_backs = {name: LOOK_BACKS.get(name, 0) for name in topics}
    max_skew = settings.ingest.max_clock_skew
    ids = partial(topic_ids, admin_options(settings.kafka, "gateway-admin"))
    tail = Tail(kafka, settings.kafka.bootstrap, look_backs, codec.decode, max_skew=max_skew, topic_ids=ids)
    past = TopicPast(tail_options(settings.kafka, "gateway-past", without_offset="error"), codec.decode, max_skew)
    past_options = tail_options(settings.kafka, "gateway-replay", without_offset="error")
    archive = TopicArchive(past_options, codec.decode, max_skew, options.replays.in_all)
    control_options = producer_options(settings.kafka, "gateway-control", delivery_timeout_seconds=DELIVERY_SECONDS)
    send_control = partial(send, options=control_options, codec=codec, delivery_seconds=DELIVERY_SECONDS + 1)
    health = Health(CHECKS)
    async with contextlib.AsyncExitStack() as opened:
        opened.enter_context(serving(health, settings.observability))
        history = await opened.enter_async_context(_history(settings))
        sender = None
        if has_portfolios:
            producer = producer_options(
                settings.kafka,
                "gateway-commands",
                queue_bytes=QUEUE_BYTES,
                linger_seconds=0,
                delivery_timeout_seconds=DELIVERY_SECONDS,
            )
            sender = opened.enter_context(CommandProducer(producer, codec, settings.topics.partitions))
        spare_the_collector()
        await serve(options, tail, health, stop, listening, past, history, calendar_of, sender, archive, send_control)


@contextlib.asynccontextmanager
async def _history(settings: Settings) -> AsyncIterator[History | None]:
    """What PostgreSQL keeps, None where it is not to be served. A database that is not there is told of when it is asked."""
    if not settings.gateway.history:
        yield None
        return
    postgres = settings.postgres
    async with Database(postgres.dsn.get_secret_value(), connect_timeout=postgres.connect_timeout_seconds) as database:
        yield History(database)


async def serve(
    options: GatewayOptions,
    intake: Intake,
    health: Health,
    stop: asyncio.Event,
    listening: Listening | None = None,
    past: Past | None = None,
    history: History | None = None,
    calendar_of: CalendarOf = never_closes,
    sender: Sender | None = None,
    archive: Archive | None = None,
    send_control: SendControl | None = None,
) -> None:
    """Serve what the intake delivers until `stop` is set; raises the error of an intake that fails.

    Without a `sender` of commands there are no portfolios, without an `archive` no replays, without
    `send_control` no commands to feeds.
    """
    _allow_clients(options.max_clients)
    hub = _hub(options, intake.origin, past, archive)
    if sender is not None and hub.portfolios is not None:
        waiter = ReplyWaiter(asyncio.get_running_loop(), options.command_seconds)
        hub.desk = Desk(sender, waiter, _now, hub.portfolios.book)
    source = _Source(hub, health)
    door = Door(options.host, options.origins, options.max_clients, hub.desk is not None, source.not_ready)
    listener = _listen(options.host, options.port)
    server = _server(options, Context(hub, health, intake, door, _now, history, calendar_of, send_control))
    host, port = listener.getsockname()[:2]
    _announce(options, host, port)
    tasks = [
        asyncio.create_task(intake.run(_deliver_to(hub), source.report), name="intake"),
        asyncio.create_task(stop.wait(), name="stop"),
        asyncio.create_task(keep_beating(health), name="beat"),
        asyncio.create_task(watch_keys(hub, options.key_files, options.reload_seconds), name="keys"),
        asyncio.create_task(watch_time(hub, _now), name="time"),
    ]
    web = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    if listening is not None:
        listening(host, port)
    try:
        await asyncio.wait([*tasks, web], return_when=asyncio.FIRST_COMPLETED)
    finally:
        Connections(hub).announce("the gateway stops", hub.everyone(), reconnect_ms=_RECONNECT_MS)
        await _end(server, web, tasks)


def _deliver_to(hub: Hub) -> Deliver:
    """What is told of portfolios comes first, so that it is known to whom a command is answered."""
    desk = hub.desk
    if desk is None:
        return hub.take

    def deliver(arrivals: list[Arrival]) -> float:
        patience = hub.take(arrivals)
        desk.take(arrivals)
        return patience

    return deliver


async def _end(server: uvicorn.Server, web: asyncio.Task[None], tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Say goodbye to the clients, end all tasks, and raise the error of one that failed."""
    server.should_exit = True
    for task in tasks:
        task.cancel()
    await asyncio.wait([*tasks, web])
    for task in (*tasks, web):
        if not task.cancelled():
            task.result()


class _Source:
    """What the intake says of itself, passed on to the clients, the probes and the log.

    Clients are served from the moment the recent records were read, through later disturbances as well.
    """

    def __init__(self, hub: Hub, health: Health) -> None:
        self._hub = hub
        self._health = health
        self._waiting_for: str | None = "starting"

    def report(self, problem: str | None) -> None:
        if problem is None:
            log.info("up to date with the topics")
            self._health.ready("topics")
            self._waiting_for = None
            self._hub.publisher.measure_latency = True  # what was read before tells of the past
        else:
            log.warning("not up to date with the topics", reason=problem)
            self._health.not_ready("topics", problem)
            self._waiting_for = self._waiting_for and problem
        self._hub.set_problem(problem)

    def not_ready(self) -> str | None:
        return self._waiting_for


class _Server(uvicorn.Server):
    """Leaves signals to the service's own way of ending."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _server(options: GatewayOptions, context: Context) -> _Server:
    connections = options.max_clients + _SPARE_CONNECTIONS
    config = uvicorn.Config(
        make_app(context, version("tapeline")),
        http=GuardedHttp.bind(max_connections=connections, request_seconds=options.request_seconds),
        ws=MarketSocket.bind(context.hub, context.door, options.socket_limits, compression=options.compression),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        ssl_context_factory=None if (tls := options.tls) is None else lambda config, default: tls,
    )
    return _Server(config)


def _hub(options: GatewayOptions, origin: Callable[[], Origin], past: Past | None, archive: Archive | None) -> Hub:
    return Hub(
        [channel(options.channel_options) for channel in find_channels(options.channels)],
        Instruments(options.instruments),
        Flusher(asyncio.get_running_loop(), options.flush),
        frame=frame_on,
        clock=_now,
        session_limits=options.session_limits,
        outbox_limits=options.outbox_limits,
        admission=Admission(options.authenticator, Usages(options.user_quota, options.address_quota)),
        resume=ResumeOptions(options.resume_key, options.recent, origin, past, options.channel_options),
        replays=Replays(archive, options.replays),
    )


def _allow_clients(clients: int) -> None:
    wanted = clients + _SPARE_CONNECTIONS + _OTHER_FILES
    allowed = allow_files(wanted)
    if allowed < wanted:
        log.warning("the system allows too few open files for so many clients", clients=clients, files=wanted, allowed=allowed)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except socket.gaierror as error:
        raise AddressUnavailable("the gateway", host, port, error.strerror or str(error)) from error
    except OSError as error:  # whose text names the address once more
        raise AddressUnavailable("the gateway", host, port, os.strerror(error.errno or 0)) from error
    # Connections inherit it; asyncio sets it only where the protocol's number was given, which `create_server` does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _announce(options: GatewayOptions, host: str, port: int) -> None:
    address = f"{'http' if options.tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
    if options.authenticator.required:
        log.info("gateway listening; clients must show a token", address=address, encrypted=options.tls is not None)
    else:
        log.info("gateway listening; there are no keys to know clients by, so it serves this machine only", address=address)
    if options.resume_key is None:
        log.info("resume tokens are signed by a key of this process: after a restart clients get a reset and a snapshot")


def _now() -> int:
    return time.time_ns() // 1000
