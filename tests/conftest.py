"""Shared by all tests: the real servers, and fresh topics on them."""

import signal

pytest_plugins = ["tests.servers", "tests.cluster", "tests.databases"]

# A shell has its background jobs ignore Ctrl-C, and what a test starts would inherit that: a handler is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
