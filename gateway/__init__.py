"""Topics to clients, over REST and WebSocket on one port.

The gateway tails the topics without a consumer group, keeps the latest state in memory and answers from it alone.

A record takes this way: `tail` (a thread) → `hub` → a channel's state → the channel renders it once → every client in the
room → the client's bounded outbox → one write per client and flush. The core (`session`, `rooms`, `outbox`, `hub`,
`flusher`, `channels`) takes data and returns data; sockets live in `websocket` and `http_guard`, Kafka in `tail`.

A client that asks for the past has channels and rooms of its own (`replay`), fed from the retained topics at its own speed.
"""
