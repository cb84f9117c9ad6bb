"""The computations that the settings name, found in the open folder `agents`; without Faust, which is slow to import."""

from __future__ import annotations

import importlib
import pkgutil

import processors.agents
from processors.computation import Computation
from runtime.errors import ConfigurationError, Problem
from runtime.settings import Settings
from schemas.topics import DEAD_LETTERS, Topic, changelog


def agent_names() -> list[str]:
    """Every computation there is: the files of `agents/`."""
    return [module.name for module in pkgutil.iter_modules(processors.agents.__path__)]


def load_computations(settings: Settings) -> dict[str, Computation]:
    """The configured computations by name. Raises ConfigurationError for a name that is no file of `agents/`."""
    known = agent_names()
    for name in settings.processors.agents:
        if name not in known:
            raise ConfigurationError(
                Problem("processors.agents", f"there is no agent of this name; there are {', '.join(known)}", name)
            )
    return {
        name: importlib.import_module(f"processors.agents.{name}").build(settings.processors)
        for name in settings.processors.agents
    }


def stream_topics(settings: Settings) -> list[Topic]:
    """Topics that the configured computations read and write."""
    computations = load_computations(settings).values()
    found = (topic for computation in computations for topic in (*computation.sources, *computation.outputs))
    return [*dict.fromkeys(found), DEAD_LETTERS]


def source_names(settings: Settings) -> frozenset[str]:
    """Names of the topics that the configured computations read."""
    return frozenset(topic.name for computation in load_computations(settings).values() for topic in computation.sources)


def state_topics(settings: Settings) -> list[Topic]:
    """Changelog topics of all tables of the configured computations."""
    names = [table for computation in load_computations(settings).values() for table in computation.tables]
    return [changelog(settings.processors.application, name) for name in names]
