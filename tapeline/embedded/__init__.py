"""The embedded stack: real servers as child processes, with nothing to install but Python packages.

An open folder: a server is one file here, and the file's name is its name (`_server` says what it must have). The stack gives
each a folder, ports on loopback and checked downloads, starts and stops it and asks for its health.
"""

from tapeline.embedded._detached import ServerStatus, Started, addresses, down, status, up
from tapeline.embedded._doctor import Finding, Verdict, examine
from tapeline.embedded._errors import EmbeddedError, PortBusy, ServerFailed, StackBusy
from tapeline.embedded._folders import DataFolder, data_folder
from tapeline.embedded._progress import ConsoleProgress, Progress
from tapeline.embedded._server import Addresses
from tapeline.embedded._stack import EmbeddedStack

__all__ = [
    "Addresses",
    "ConsoleProgress",
    "DataFolder",
    "EmbeddedError",
    "EmbeddedStack",
    "Finding",
    "PortBusy",
    "Progress",
    "ServerFailed",
    "ServerStatus",
    "StackBusy",
    "Started",
    "Verdict",
    "addresses",
    "data_folder",
    "down",
    "examine",
    "status",
    "up",
]
