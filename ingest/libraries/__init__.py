"""What Python libraries of Chinese quotes return, as our quotes: one module a library, for programs that call it already.

Each has `parse`, for one instrument, and `parse_batch`, for a whole answer, in which what cannot be read spoils nothing else.
They are pure and import no library: rows are its dicts, a table is its DataFrame or a list of records.

The libraries make binary floats of the sources' figures. Such a figure becomes the shortest decimal that makes the same float
(1301.5, not 1301.50): right as long as the source told it in 15 digits, and the library did not reckon with it. The feeds
`sina`, `tencent` and `eastmoney` ask the same sources and keep every figure as it was written; the feeds `efinance` and
`akshare` call these libraries (`ingest.feeds._cn_library`).

Quotes have prices and amounts in the currency (yuan, Hong Kong dollars) and volumes and sizes in shares, whatever the library
has; `open_24h` is the close of the trading day before; see `ingest.feeds._cn_snapshots`.
"""
