"""What the OpenAPI document says in words: the WebSocket's messages and codes, put together from the parts that define them."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.channel import Channel
from gateway.close_codes import CloseCode
from gateway.door import MARKET_PATH
from gateway.refusals import ErrorCode

_DELIVERY = {
    "latest": "every change; who falls behind gets the latest only",
    "all": "every one; who falls behind gets a `gap` message that counts what is left out",
    "history": "past ones first (`history`: how many), then every new version; the highest (revision, source_offset) counts",
}

_GUIDE = """\
Latest market data. Prices and sizes are decimal text, times are integer microseconds since the epoch, UTC. Answers are \
{{data, metadata}}, errors {{error}}.

Where keys are configured, every request carries a token, which is a JWT of the identity provider or an API key: \
`Authorization: Bearer TOKEN`. It is never taken from a URL. A WebSocket may also offer the subprotocols `tapeline` and \
`bearer.TOKEN` (browsers cannot send headers), or send {{"action": "authenticate", "token": "TOKEN"}} first. The same \
message renews a connection before its token expires. What the token does not grant is refused by 403, or by the error \
NOT_ENTITLED; too much of anything by 429.

WebSocket {path}?client_id=NAME
Every message is JSON text {{type, timestamp, data, metadata}}; an answer has the `id` of its request. Send
  {{"action": "subscribe", "symbol": "BTC/USDT", "data_types": ["QUOTE", "TRADE"], "id": 1}}
  {{"action": "subscribe", "symbols": ["BTC/USDT"], "data_type": "KLINE", "interval": "1m", "history": 100}}
  {{"action": "subscribe", "symbol": "BTC/USDT", "data_type": "DEPTH", "levels": 5, "max_rate": 2}}
  {{"action": "subscribe", "symbol": "BTC/USDT", "data_type": "TRADE", "fields": ["price", "size"],
    "filter": {{"op": "gt", "field": "size", "value": "0.5"}}}}
  {{"action": "subscribe", "symbol": "binance:*"}}
  {{"action": "unsubscribe", "symbol": "BTC/USDT"}}
  {{"action": "ping"}}
The answer (`subscribe`, `unsubscribe`, `pong`, or `error`) says what was granted; messages with metadata.snapshot = true \
follow, then live ones without a gap. metadata names the record a message comes from. `status` tells whether the gateway's own \
source is undisturbed.

A subscription may name `fields` of the data, a `filter` on it (eq, in, gt, lt, starts_with, joined by and, or, not), the \
`levels` of a book, and `max_rate`, messages a second for each quote, book or candle; the answer says what was granted, and \
subscribing again with other settings changes them. `venue:*` means all instruments of a venue that you may see, those as \
well that come later.

Data types
{channels}

Error codes: {errors}.

Close codes
{closings}"""


def guide(channels: Iterable[Channel]) -> str:
    """The description of the API."""
    return _GUIDE.format(
        path=MARKET_PATH,
        channels="\n".join(f"  {each.data_type}, as `{each.message_type}`: {_DELIVERY[each.delivery]}" for each in channels),
        errors=", ".join(f"{int(code)} {code.name}" for code in ErrorCode),
        closings="\n".join(
            f"  {int(code)} {code.name}: {'connect again' if code.reconnect else 'do not connect again as it is'}"
            for code in CloseCode
        ),
    )
