"""Shared by all tests: the real servers, and fresh topics on them."""

pytest_plugins = ["tests.servers", "tests.cluster", "tests.databases"]
