"""How a benchmark on servers ends: its exit code, and what is wrong in one line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from benchmarks.stream.measure import Stalled
from benchmarks.stream.options import OptionError
from benchmarks.stream.processes import ProgramEnded

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


def exit_code(run: Callable[[], None], measured: str) -> int:
    """Run a benchmark: 0, 1 when what is measured fails (`measured` names it), 2 for a wrong setting, 130 when interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
    except OptionError as error:
        print(error, file=sys.stderr)
        return WRONG_USE
    except (Stalled, ProgramEnded) as error:
        print(f"{measured}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
