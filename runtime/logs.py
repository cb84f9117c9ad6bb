"""Structured logs, uniform over our own events and those of the libraries.

Each line has `timestamp` (UTC, microseconds), `level`, `logger`, `service` and `event`, then what the caller adds:
`log = get_logger(__name__)`, `log.info("connected", feed="binance")`. Secrets are masked. Lines go to standard error,
as standard output belongs to what a command prints.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from runtime.redaction import redact

__all__ = ["configure", "get_logger", "tell_in_one_line"]

Format = Literal["auto", "json", "console"]

# Libraries that bring handlers of their own would print their lines twice or in another form.
_LOGGERS_WITH_HANDLERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "faust", "mode")

# Libraries that say the same thing many times a second while a broker is away: one line of a kind in so many seconds.
_REPETITIVE_LOGGERS = ("aiokafka", "librdkafka")
_REPEATED_AFTER_SECONDS = 15.0

_TOLD_IN_ONE_LINE: set[type[BaseException]] = set()

# Libraries that tell of every step they take: heard only at DEBUG, except when something is wrong.
_TALKATIVE_LOGGERS = ("aiokafka", "faust", "httpx2", "mode", "uvicorn")


class _Handler(logging.StreamHandler[TextIO]):
    """The handler `configure` installs; the class is how a second call finds the first one's."""


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; it may be taken at import, before `configure`."""
    return cast("FilteringBoundLogger", structlog.stdlib.get_logger(name))


def tell_in_one_line(*errors: type[BaseException]) -> None:
    """Log these exceptions without a traceback: where they come from is known, and somebody says what to do about them.

    Those that bring an `exit_code` are told so anyway.
    """
    _TOLD_IN_ONE_LINE.update(errors)


def configure(
    service: str,
    level: str = "INFO",
    log_format: Format = "auto",
    stream: TextIO | None = None,
    fields: Mapping[str, object] | None = None,
) -> None:
    """Set up logging for the process; a second call replaces the first.

    `service` names the process in each line, and `fields` tell it from others of that name, whichever thread a line is from;
    `log_format` auto means console on a terminal and JSON elsewhere.
    """
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format == "auto" else log_format == "console"
    shared = _shared_processors({"service": service, **(fields or {})})
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.addFilter(_Repetitions())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _drop_known_tracebacks,
                structlog.processors.format_exc_info,
                _mask_secrets,
                _console(stream) if as_text else structlog.processors.JSONRenderer(serializer=_to_json),
            ],
        )
    )
    _install(handler, level)


class _Repetitions(logging.Filter):
    """Lets a line of a talkative library through once in a while, and then says how many like it were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[tuple[str, str], float] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is told."""
        if not record.name.startswith(_REPETITIVE_LOGGERS):
            return True
        kind = record.name, str(record.msg).partition(" ")[0]
        if record.created - self._told_at.get(kind, float("-inf")) < _REPEATED_AFTER_SECONDS:
            self._left_out[kind] += 1
            return False
        self._told_at[kind] = record.created
        if left_out := self._left_out.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} lines like this left out)", ()
        return True


def _drop_known_tracebacks(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    found = event.get("exc_info")
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(error, tuple(_TOLD_IN_ONE_LINE)) or hasattr(error, "exit_code"):
        event.pop("exc_info")
    return event


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _LOGGERS_WITH_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _TALKATIVE_LOGGERS:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else logging.WARNING)
    logging.captureWarnings(True)


def _shared_processors(fields: Mapping[str, object]) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        _constant(fields),
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
    ]


def _constant(fields: Mapping[str, object]) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in fields.items():
            event.setdefault(name, value)
        return event

    return add


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: redact(value, name) for name, value in event.items()}


def _to_json(event: Any, *, default: Callable[[Any], Any] = repr, **_options: Any) -> str:
    return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def _console(stream: TextIO) -> Processor:
    # The renderer's own tracebacks would show local variables, and secrets in them.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=30
    )
