"""Stores to queries: what PostgreSQL keeps, read page by page as the domain's types. Read-only.

`questions` says what can be asked of which table, `cursors` where the next page begins, `database` holds the connections, and
`reader` puts them together.
"""
