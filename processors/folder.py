"""The folder of a worker's tables: this application's, on this cluster, and while the worker runs its alone.

Stored tables remember offsets: beside the topics of another cluster they would be wrong. Each worker of a machine has a folder
by its number, so that a worker started again finds the tables it had.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runtime import file_lock
from runtime.errors import ConfigurationError, Problem, RuntimeFault
from runtime.settings import Settings


class FolderInUse(RuntimeFault):
    """Another worker holds the folder; it may be one that is just ending."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"the folder {self.folder} is in use by another worker; "
            "start several by `tapeline process --workers N`, or give each its own processors.state_dir"
        )


@contextmanager
def own_folder(settings: Settings, cluster: str, worker: int) -> Iterator[Settings]:
    """The settings with the folder of worker number `worker`, which exists and is nobody else's within the block.

    Raises ConfigurationError when it cannot be made, FolderInUse.
    """
    processors = settings.processors
    folder = processors.state_dir / cluster / processors.application / f"worker-{worker}"

    def refuse() -> None:
        raise FolderInUse(folder)

    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock.held(folder / "lock", refuse))
        except OSError as error:
            text = f"the folder {folder} cannot be used: {error.strerror}"
            raise ConfigurationError(Problem("processors.state_dir", text, str(processors.state_dir))) from error
        yield settings.model_copy(update={"processors": processors.model_copy(update={"state_dir": folder})})
