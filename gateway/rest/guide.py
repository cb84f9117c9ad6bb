"""What the OpenAPI document says in words: the WebSocket's messages and codes, put together from the parts that define them."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.channel import Channel
from gateway.close_codes import CloseCode
from gateway.door import MARKET_PATH, PORTFOLIO_PATH, REALTIME_PATH
from gateway.refusals import ErrorCode

_DELIVERY = {
    "latest": "every change; who falls behind gets the latest only",
    "all": "every one; who falls behind gets a `gap` message that counts what is left out",
    "deltas": "a snapshot, then each change, which names the one before it; who missed one subscribes again",
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

WebSocket {path}?client_id=NAME, or {realtime_path}
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

An answer of `subscribe` and `pong`, and every REST answer about the market but those about the past, carries a token \
(`metadata.resume`). After a loss, subscribe with `resume` and that token, and with `seen`, the metadata of the last message \
of each partition since: what was missed comes first, then live messages; or the grant says `reset`, why, and a snapshot \
comes. {{"action": "subscriptions"}} tells what became of the messages of each subscription. With the subprotocol \
`tapeline.msgpack` messages are MessagePack, of the same content.

A subscription may name `fields` of the data, a `filter` on it (eq, in, gt, lt, starts_with, joined by and, or, not), the \
`levels` of a book, and `max_rate`, messages a second for each quote, book or candle; the answer says what was granted, and \
subscribing again with other settings changes them. `venue:*` means all instruments of a venue that you may see, those as \
well that come later, and `portfolio:ID` what a portfolio that you may see holds, at any time what it holds then.

WebSocket {path}?replay=TIME&speed=N
The same messages from the retained topics: TIME is ISO 8601 with a time zone, or 16 digits of microseconds since the epoch, \
and is the broker's; N is a factor (1 where it is not given), `max` or 0 as fast as you read. Time stands still until the \
first subscription was granted. `metadata.replay_time` says when a record was stored, `replay_end` that all was told, with a \
token to go on live. A TIME that is not retained is answered by TIME_NOT_RETAINED with the `earliest` one.

Data types
{channels}

WebSocket {portfolio_path}?portfolio_id=ID&client_id=NAME
  {{"action": "subscribe", "id": 1}}   answered; then `portfolio_snapshot`, and `portfolio_update` at each change
  {{"action": "register_position", "expected_version": 1, "position_id": "p1", "instrument": "binance:BTC-USDT",
    "currency": "USDT", "quantity": "2", "cost": "120000", "command_id": "a UUID"}}
  {{"action": "update_price", "expected_version": "*", "instrument": "binance:BTC-USDT", "price": "61000",
    "reason": "feed is down", "expires_at": 1800000000000000}}
  {{"action": "update_price_batch", "expected_version": "*", "prices": [{{"instrument": "binance:BTC-USDT", "price": "61000"}},
    {{"instrument": "binance:ETH-USDT", "price": null}}], "reason": "feed is down", "expires_at": 1800000000000000}}
  {{"action": "get_snapshot"}}, {{"action": "unsubscribe"}}, {{"action": "ping"}}
A message may name another `portfolio_id`. A command is answered when it is known what came of it: of several that were made \
for one version of a portfolio one is accepted, the others get VERSION_CONFLICT with the current version. Sent again with the \
same `command_id` (`Idempotency-Key` over REST) it is done once. Commands need the role `trader`, prices of one's own the role \
`pricing`. A portfolio that may not be seen is as one that does not exist.

Error codes: {errors}.

Close codes
{closings}"""


def guide(channels: Iterable[Channel]) -> str:
    """The description of the API."""
    return _GUIDE.format(
        path=MARKET_PATH,
        realtime_path=REALTIME_PATH,
        portfolio_path=PORTFOLIO_PATH,
        channels="\n".join(f"  {each.data_type}, as `{each.message_type}`: {_DELIVERY[each.delivery]}" for each in channels),
        errors=", ".join(f"{int(code)} {code.name}" for code in ErrorCode),
        closings="\n".join(
            f"  {int(code)} {code.name}: {'connect again' if code.reconnect else 'do not connect again as it is'}"
            for code in CloseCode
        ),
    )
