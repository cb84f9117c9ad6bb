"""Topics to topics: Faust agents on a transport that delivers whole batches.

An agent is a pure computation (`processors.computation`) in a file of its own in `agents/`; the loop around it
(`processors.loop`) fixes the order in which outputs, tables and offsets are acknowledged.
"""
