"""Apicurio Registry with its Confluent-compatible API; it keeps the schemas in a Kafka topic."""

from __future__ import annotations

import http.client
import shutil
import signal
import tarfile
from pathlib import Path

from tapeline.embedded import _java
from tapeline.embedded._artifacts import locked, split
from tapeline.embedded._ports import HOST
from tapeline.embedded._process import Command
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site

PORTS: tuple[str, ...] = ("registry",)
NEEDS: tuple[str, ...] = ("kafka",)
MAVEN: tuple[str, ...] = ("io.apicurio:apicurio-registry-app:tar.gz:all:3.0.9",)
STOP_SIGNAL: signal.Signals = signal.SIGTERM


def check(home: Path) -> str:
    """The Java runtime's version; `home` needs nothing special."""
    return _java.version()


def lacks(cache: Path) -> str:
    """Nothing: what it is made of is downloaded in seconds."""
    return ""


def build(cache: Path, progress: Progress) -> None:
    """Nothing is made from source."""


def install(cache: Path, scratch: Path) -> None:
    """Unpack the archive; the folder appears as a whole."""
    _java.install(cache, scratch)
    program = _program(cache)
    if program.exists():
        return
    draft = scratch / program.name
    [archive] = locked(["registry"])
    with tarfile.open(archive.path(cache)) as tar:
        for member in tar:
            if (source := tar.extractfile(member)) is not None:
                target = draft / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    draft.replace(program)


def prepare(site: Site) -> None:
    """Nothing: it creates its topics itself."""
    (site.home / "data").mkdir()


def command(site: Site) -> Command:
    """The server; it starts while Kafka does and waits for it."""
    scratch = site.home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    [jar] = _program(site.cache).glob("*-runner.jar")
    settings = {
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(site.ports["registry"]),
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_BANNER_ENABLED": "false",
        "APICURIO_STORAGE_KIND": "kafkasql",
        "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": f"{HOST}:{site.ports['kafka']}",
        # At its start it waits this long (5 s by default) for a snapshot; without one it reads its whole journal, as here.
        "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "500",
        "APICURIO_STORAGE_SNAPSHOT_LOCATION": "data",
        "APICURIO_IMPORT_WORK_DIR": "tmp",
    }
    # C1 alone: it answers few requests and is in use long before the optimising compiler would pay.
    options = [*_java.options(site.cache, scratch, heap="300m"), "-XX:TieredStopAtLevel=1"]
    return Command([_java.java(), *options, "-jar", jar], _java.environment() | settings)


def answer(site: Site) -> None:
    """Its readiness: it has read all schemas back from Kafka."""
    connection = http.client.HTTPConnection(HOST, site.ports["registry"], timeout=5)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise NotReady(f"answers {response.status} when asked whether it is ready")


def address(site: Site) -> str:
    """Base address for Confluent's clients."""
    return f"http://{HOST}:{site.ports['registry']}/apis/ccompat/v7"


def _program(cache: Path) -> Path:
    *_, version = split(MAVEN[0])
    return cache / f"apicurio-registry-{version}"
