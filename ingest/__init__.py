"""Feeds to topics: what venues send becomes checked records on the md.* topics.

A *venue* (`ingest.feeds`) is declarations and a pure parser; `session` turns frames and events of its lines into records,
marks and states without touching a socket or a clock; `connection` (live), `replay` (recorded) and the simulated feed drive
it; `publisher` hands the records to the broker.
"""
