"""How a subscriber wants to hear of a room: which fields, which messages, how many levels, how often.

Subscribers who want the same share a view, so that each message is filtered, cut and framed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from gateway.filters import check_filter, compile_filter, read_filter, write_filter
from gateway.packing import encode_packed
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request
from gateway.wire import PLAIN, Wire

Show = Callable[[bytes], bytes | None]
"""Makes of a rendered message what a view shows of it; None when it shows nothing."""


class View(NamedTuple):
    """What is wanted; None everywhere is all there is."""

    fields: tuple[str, ...] | None = None
    filter: bytes | None = None
    """As `write_filter` has it."""
    levels: int | None = None
    max_rate: float | None = None
    """At most so many messages a second for each key: the latest ones."""
    wire: Wire = PLAIN
    """What the client has agreed on when it connected; not chosen by a request."""

    def describe(self) -> dict[str, Any]:
        """The settings as they are echoed."""
        settings = self._asdict() | {"filter": None if self.filter is None else orjson.loads(self.filter)}
        return {name: value for name, value in settings.items() if value is not None and name != "wire"}


_WHOLE = View()


def wanted_view(request: Request, *, delivery: str, fields: Sequence[str]) -> View | None:
    """The view a request asks for, None for all there is. Raises Refusal for what these messages do not offer."""
    if delivery == "deltas" and (request.levels, request.filter, request.max_rate) != (None, None, None):
        raise Refusal(ErrorCode.INVALID_SETTING, "levels, filter, max_rate: a book with changes left out is wrong")
    if request.max_rate is not None and delivery == "all":
        raise Refusal(ErrorCode.INVALID_SETTING, "max_rate would leave some out, and this data type tells every one")
    if request.levels is not None and not {"bids", "asks"} <= set(fields):
        raise Refusal(ErrorCode.INVALID_SETTING, "levels: there are none in this data type")
    for name in request.fields or ():
        if name not in fields:
            raise Refusal(
                ErrorCode.INVALID_SETTING, f"there is no field {name!r}; there are {', '.join(fields)}", candidates=[*fields]
            )
    condition = None
    if request.filter is not None:
        check_filter(request.filter, fields)
        condition = write_filter(request.filter)
    chosen = None if request.fields is None else tuple(name for name in fields if name in request.fields)
    view = View(chosen, condition, request.levels, request.max_rate)
    return None if view == _WHOLE else view


@lru_cache(maxsize=4096)
def compile_view(view: View) -> Show:
    """The function that makes what the view shows. Data always names its instrument."""
    write = encode_packed if view.wire.packed else orjson.dumps
    holds = None if view.filter is None else compile_filter(read_filter(view.filter))
    kept = None if view.fields is None else ("instrument", *(name for name in view.fields if name != "instrument"))

    def show(payload: bytes) -> bytes | None:
        message = orjson.loads(payload)
        data = message["data"]
        if holds is not None and not holds(data):
            return None
        if view.levels is not None:
            data["bids"], data["asks"] = data["bids"][: view.levels], data["asks"][: view.levels]
        if kept is not None:
            message["data"] = {name: data[name] for name in kept if name in data}
        return write(message)

    changes = holds is not None or kept is not None or view.levels is not None or view.wire.packed
    return show if changes else lambda payload: payload
