"""The contestants: one file a program, each saying how it is started and how its candles are read.

Each file has `prepare(server, group, folder)` (or several of this kind), which makes what topics the contestant needs and
returns how to run it on the trade stream under that consumer group.
"""
