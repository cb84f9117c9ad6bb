"""Dead letters looked at, sent again and thrown away: what `tapeline dlq` does.

`shelf` knows what became of each letter, from the topic's records alone; `topic` reads and deletes them, `replaying` sends
originals again, `shown` makes text of them.
"""
