"""Shared by all tests: the real servers, fresh topics on them, and how property tests are run."""

import signal

from hypothesis import settings

pytest_plugins = ["tests.servers", "tests.cluster", "tests.databases", "tests.forked", "tests.influx_running"]

# A shell has its background jobs ignore Ctrl-C, and what a test starts would inherit that: a handler is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("untimed")
