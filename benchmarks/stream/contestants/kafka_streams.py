"""Kafka Streams: the Java program in `kafka-streams`, built by Maven."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from benchmarks.stream.launch import Launch
from benchmarks.stream.outputs import decode_fixed
from benchmarks.stream.servers import Server
from schemas.topics import TRADES

PROJECT = Path(__file__).parent.parent / "kafka-streams"
JVM = ("-XX:+UseParallelGC", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
"""Of the collectors (G1, parallel, serial) and heaps tried: none was faster, and larger heaps only took more memory."""
_TARGET = PROJECT / "target"


class ToolMissing(Exception):
    """What building or running a Java program needs is not on this machine."""


def check_tools() -> None:
    """Raises ToolMissing naming what is not there."""
    missing = [name for name in ("mvn", "javac", "java") if shutil.which(name) is None]
    if missing:
        raise ToolMissing(f"Kafka Streams needs Maven and a JDK: {', '.join(missing)} not found")


@cache
def build() -> None:
    """Build the program; its dependencies come from Maven Central. Raises ToolMissing, CalledProcessError."""
    check_tools()
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=PROJECT, check=True)


def kafka_streams(server: Server, group: str) -> Launch:
    """As many threads as cores, committing each 100 ms."""
    build()
    output = f"benchmark.{group}"
    server.create_topic(output)
    classes = f"{_TARGET / 'candles.jar'}{os.pathsep}{_TARGET / 'libraries'}/*"
    ids, threads = server.schema_ids, len(os.sched_getaffinity(0))
    arguments = [server.bootstrap, group, TRADES.name, output, server.folder / group, threads, ids.trade, ids.mark]
    command = ["java", *JVM, "-cp", classes, "benchmark.Candles", *map(str, arguments)]
    return Launch(command, group, output, decode_fixed)
