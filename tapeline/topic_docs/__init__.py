"""The contract of the topics as a page: what is on it follows from the topic table, the schemas and real records.

`page` puts it together, `fields` reads the schemas, `examples` has a real record of every kind, `bytes_shown` takes values
apart, `notes` and `wire.md` are the prose that no declaration says.
"""

from tapeline.topic_docs.page import page

__all__ = ["page"]
