"""What goes wrong on the worker's own machine: folders, files, limits and the clock."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import rocksdict

from tests.faults.rig import TAPELINE, Rig, Worker
from tests.faults.trading import Shape

ENDED_WITHIN = 30.0
MEMORY_KIB = 4 << 20
"""Address space; what a worker maps and never touches counts too."""

DAMAGED = ("CURRENT", "MANIFEST-*", "*.sst")


def ended(worker: Worker, mark: int = 0) -> str:
    """What a worker said that ended by itself, and not in good order."""
    assert worker.process.wait(ENDED_WITHIN) not in (0, None)
    last = worker.text_since(mark).splitlines()[-1]  # the line for the operator; what ends before it may say more
    assert "Traceback" not in last, last
    return last


def test_folder_that_cannot_be_written_is_named(rig: Rig) -> None:
    if rig.seed % 2:
        (rig.folder / "file").touch()
        place = rig.folder / "file" / f"state{rig.seed}"
    else:
        place = Path(f"/proc/{rig.seed}/state")  # nobody, not even root, makes files there
    worker = rig.worker(processors={"store": "rocksdict", "state_dir": str(place)})
    assert str(place) in ended(worker)


def test_folder_of_another_worker_is_refused_by_name_and_left_alone(rig: Rig) -> None:
    story, folder = rig.story(Shape(trades=600)), {"store": "rocksdict", "state_dir": str(rig.folder / "one-state")}
    first = rig.worker("first", processors=folder)
    half = len(story.records) // 2
    rig.publish(story.records[:half])
    rig.wait_done(first)
    second = rig.worker("second", processors=folder)
    assert folder["state_dir"] in ended(second)
    rig.publish(story.records[half:])
    rig.wait_done(first)
    rig.judge(story)


def test_damaged_tables_are_named_and_rebuilt_once_their_folder_is_removed(rig: Rig) -> None:
    story, chance = rig.story(Shape(trades=600)), random.Random(rig.seed)
    half = len(story.records) // 2
    worker = rig.worker(processors={"store": "rocksdict"})
    rig.publish(story.records[:half])
    rig.wait_done(worker)
    assert worker.terminate() == 0
    state = rig.folder / "state-worker"
    damage(state, DAMAGED[rig.seed % 3], chance)
    mark = len(worker.log.read_bytes())
    rig.publish(story.records[half:])
    worker.start()
    assert str(state) in ended(worker, mark)
    shutil.rmtree(state)
    worker.start()
    rig.wait_done(worker)
    rig.judge(story)


def damage(state: Path, pattern: str, chance: random.Random) -> None:
    """Overwrite bytes of every such file of every database below a folder."""
    databases = sorted(path.parent for path in state.rglob("CURRENT"))
    assert databases, f"no database below {state}"
    for folder in databases:
        if pattern == "*.sst":
            database = rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))
            database.flush()
            database.close()
        for path in folder.glob(pattern):
            content = bytearray(path.read_bytes())
            for _ in range(max(1, len(content) // 4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            path.write_bytes(content)


def test_worker_of_few_files_and_little_memory_does_its_work(rig: Rig) -> None:
    story = rig.story(Shape(instruments=24, trades=2_000))
    launcher = ("/bin/sh", "-c", f'ulimit -n 256 && ulimit -v {MEMORY_KIB} && exec "$@"', "sh", *TAPELINE)
    worker = rig.worker(launcher=launcher, processors={"store": "rocksdict"})
    with rig.load(story.records, per_second=1_000):
        rig.wait_progress(worker)
    rig.wait_done(worker)
    assert worker.terminate() == 0
    rig.judge(story)


def test_wall_clock_that_steps_by_an_hour_changes_no_result(rig: Rig) -> None:
    story, seconds = rig.story(Shape(trades=1_500)), 3_600 if rig.seed % 2 else -3_600
    worker = rig.worker(
        launcher=(sys.executable, "-m", "tests.faults.rigged_worker", "clock", str(seconds)), processors={"store": "rocksdict"}
    )
    with rig.load(story.records, per_second=400):
        rig.wait_progress(worker)
    rig.wait_done(worker)
    assert worker.terminate() == 0
    rig.judge(story)
