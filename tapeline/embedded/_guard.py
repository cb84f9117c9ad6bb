"""The process that outlives the owner of a stack by as long as it takes to stop the servers.

Started by the owner as `python -m tapeline.embedded._guard FOLDER PID CREATED`, in a session of its own, so that neither
Ctrl-C nor the end of a terminal reaches it. The owner ends it when it has stopped its servers itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tapeline.embedded import _state
from tapeline.embedded._claim import claimed
from tapeline.embedded._folders import DataFolder
from tapeline.embedded._progress import Progress
from tapeline.embedded._state import ProcessRecord

_LOOK_EVERY = 0.2


def main(arguments: list[str]) -> None:
    """Wait for the owner's end, then stop what it left; nothing when somebody else has done so and owns the folder now."""
    folder, owner = DataFolder(Path(arguments[0])), ProcessRecord(int(arguments[1]), float(arguments[2]))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while os.getppid() == owner.pid:
        time.sleep(_LOOK_EVERY)
    if _state.load(folder.state).owner == owner:
        with claimed(folder, Progress()):
            pass  # claiming a folder whose owner is dead stops its servers


if __name__ == "__main__":
    main(sys.argv[1:])
