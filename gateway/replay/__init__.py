"""Time travel: the protocol of the market served to one client from the retained topics, from a time on and at a speed.

A replay has channels and rooms of its own, and reads the topics with a consumer of its own; of the live hub it shares who the
client is and what it may see. Time is that of the broker (`LogAppendTime`): what was stored until then is what the platform
knew then. The times that records tell of themselves are no order (trades come late, are fetched afterwards, venues' clocks
differ), and a candle would be told before the trades it was made of.

`wish` reads what is asked for, `clock` and `lanes` say what is due, `share` bounds what all replays take of the process: all of
them without I/O. `archive` is the interface to the topics and `topics` what reads them; `replay` runs one, `replays` keeps
count of all.
"""
