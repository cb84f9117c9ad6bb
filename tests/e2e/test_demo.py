"""The demo as a newcomer runs it: it moves, sums up what it did, and leaves nothing behind however it ends."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster import ROOT, wait_for

START_SECONDS = 120
END_SECONDS = 40


class Demo:
    """A running `tapeline demo` and everything it started."""

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        with log.open("wb") as output:
            command = [sys.executable, "-m", "tapeline", "demo", *options]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.seen: dict[int, psutil.Process] = {}

    def text(self) -> str:
        """What it printed so far."""
        return self.log.read_text(encoding="utf-8")

    def wait_until_it_moves(self) -> None:
        """Wait until trades went through; remember what it has started."""
        wait_for(lambda: self.has_ended() or re.search(r"[1-9]\d* trades", self.text()), "trades", timeout=START_SECONDS)
        assert not self.has_ended(), self.text()
        self.seen = {child.pid: child for child in psutil.Process(self.process.pid).children(recursive=True)}
        assert len(self.seen) >= len(("process", "sink", "gateway", "replay", "kafka", "registry", "postgres"))

    def has_ended(self) -> bool:
        """Whether the demo itself is gone."""
        return self.process.poll() is not None

    def left_behind(self) -> list[str]:
        """Processes it started that still run."""
        found: list[str] = []
        for child in self.seen.values():
            with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(child.cmdline()))
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*options: str) -> Demo:
        started.append(Demo(tmp_path / "demo.log", *options))
        return started[-1]

    yield start
    for one in started:
        if not one.has_ended():
            one.process.kill()
            one.process.wait(10)


def figures(text: str, label: str) -> dict[str, int]:
    """The named counts of a line of the summary; lines that were wrapped count as one."""
    found = re.search(rf"^{label}  +(.*(?:\n {{4,}}.*)*)", text, re.MULTILINE)
    assert found, text
    return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", found[1])}


def number(text: str, label: str) -> int:
    found = re.search(rf"^{label}  +(\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def test_demo_ends_by_itself_with_a_summary_in_which_the_figures_agree(demo: Callable[..., Demo]) -> None:
    running = demo("--seconds", "35")
    running.wait_until_it_moves()
    assert running.process.wait(35 + END_SECONDS) == 0, running.text()
    text = running.text()
    events, rows, messages = (figures(text, label) for label in ("candle events", "rows stored", "messages delivered"))
    trades = number(text, "trades in")
    assert trades > 0
    assert events["CLOSE"] >= 1
    assert rows["trades"] == trades
    assert rows["price_changes"] == number(text, "price changes") > 0
    assert messages["kline_data"] >= events["CLOSE"]
    assert 0 < messages["trade_data"] <= trades
    assert number(text, "dead letters") == 0
    assert re.search(r"^latency, received → client  +p50 \d+\.\d ms, p99 \d+\.\d ms", text, re.MULTILINE), text
    assert running.left_behind() == []


@pytest.fixture
def kept() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_demo_on_kept_data_goes_on_where_it_ended(demo: Callable[..., Demo], kept: Path) -> None:
    for _ in range(2):
        running = demo("--seconds", "8", "--keep", str(kept))
        assert running.process.wait(START_SECONDS) == 0, running.text()
        assert number(running.text(), "price changes") > 0
    assert {"process.log", "sink.log", "gateway.log", "ingest.log"} <= {path.name for path in (kept / "logs").iterdir()}


def test_interrupted_demo_sums_up_and_leaves_nothing_behind(demo: Callable[..., Demo]) -> None:
    running = demo("--simulate")
    running.wait_until_it_moves()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(END_SECONDS) == 0, running.text()
    assert number(running.text(), "trades in") > 0
    assert running.left_behind() == []


def test_killed_demo_takes_everything_with_it(demo: Callable[..., Demo]) -> None:
    running = demo("--simulate")
    running.wait_until_it_moves()
    running.process.kill()
    running.process.wait(10)
    wait_for(lambda: not running.left_behind(), "everything it started to end", timeout=END_SECONDS)
