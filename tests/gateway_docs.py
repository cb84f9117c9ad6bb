"""The description of the gateway's messages, as tests ask it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

FILE = Path(__file__).parent.parent / "docs" / "gateway.yaml"


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def validator(name: str) -> Draft7Validator:
    """Checks a message of this name."""
    payload = document()["components"]["messages"][name]["payload"]
    return Draft7Validator({**payload, "components": document()["components"]})


@cache
def sent_kinds(channel: str = "market") -> dict[str, str]:
    """The names of the messages that the gateway sends in a channel, by their type."""
    messages = document()["components"]["messages"]
    names = document()["channels"][channel]["messages"]
    return {messages[name]["name"]: name for name in names if not name.endswith("Request")}


def faults(message: dict[str, Any], channel: str = "market") -> list[str]:
    """What a message that was sent has that its description does not allow."""
    name = sent_kinds(channel).get(message["type"])
    if name is None:
        return [f"{message['type']} is not described"]
    return [f"{message['type']}: {error.message} at {error.json_path}" for error in validator(name).iter_errors(message)]
