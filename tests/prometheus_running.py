"""A real Prometheus for tests: `prometheus` on the PATH, else Debian's package, unpacked into the cache."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tapeline.embedded._folders import cache_folder
from tests.cluster import wait_for

_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: tapeline, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


class Prometheus:
    """A server that answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def series(self, query: str, begin: float, end: float) -> list[dict[str, Any]]:
        """The time series that a query gives between two times, in seconds. Raises HTTPError where it is none."""
        values = {"query": query, "start": begin, "end": end, "step": 1}
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(values)}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus_of(port: int) -> Iterator[Prometheus]:
    """A Prometheus that reads the metrics at a port of this machine every second."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-prometheus-"))
    (folder / "prometheus.yml").write_text(_CONFIG.format(port=port), encoding="utf-8")
    address = f"127.0.0.1:{_free_port()}"
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data", "web.listen-address": address}
    words = [f"--{name}={value}" for name, value in options.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([_program(), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        found = Prometheus(f"http://{address}")
        wait_for(found.is_ready, "Prometheus", timeout=60, every=0.1)
        yield found
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _program() -> Path:
    if found := shutil.which("prometheus"):
        return Path(found)
    folder = cache_folder() / "prometheus-debian"
    program = folder / "usr" / "bin" / "prometheus"
    if not program.exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache_folder(), prefix="prometheus-"))
        try:
            subprocess.run(["apt-get", "download", "prometheus"], cwd=draft, check=True, capture_output=True, timeout=120)
            [package] = draft.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, draft], check=True, capture_output=True, timeout=120)
            package.unlink()
            draft.rename(folder)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            pytest.fail(f"no Prometheus for the tests: put `prometheus` on the PATH ({error})", pytrace=False)
    return program


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
