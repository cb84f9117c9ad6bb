"""Our ingest where no extension was built; as `tapeline_ingest`."""

from __future__ import annotations

import sys
from pathlib import Path

for _name in (
    "ingest._handover_compiled",
    "ingest._steady_compiled",
    "ingest.feeds._binance_compiled",
    "schemas._ticks_compiled",
):
    sys.modules[_name] = None  # type: ignore[assignment]  # importing it fails then, as where it is not there

from benchmarks.ingest.programs.tapeline_ingest import main  # noqa: E402  # behind what it must not find

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
