"""The Java example, compiled and run with the Java runtime of the embedded servers, so that no JDK and no Maven is needed.

That runtime has no compiler: Eclipse's is one, a jar. It and what `examples/java/pom.xml` asks for are in a lock as the
servers' files are, and come into the same cache. `python -m tests.java_example` writes the lock anew.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tapeline.embedded import Progress, _cache, _java
from tapeline.embedded._artifacts import Artifact, locked, missing, verify
from tapeline.embedded._folders import cache_folder

FOLDER = Path(__file__).parent.parent / "examples" / "java"
LOCK = Path(__file__).with_name("java_example.lock")
COMPILER = "org.eclipse.jdt:ecj:3.43.0"
_MAVEN = {"": "http://maven.apache.org/POM/4.0.0"}


def dependencies() -> list[str]:
    """What the example's project asks for, as coordinates."""
    found = ElementTree.parse(FOLDER / "pom.xml").findall("./dependencies/dependency", _MAVEN)
    return [
        ":".join(str(one.findtext(part, namespaces=_MAVEN)) for part in ("groupId", "artifactId", "version")) for one in found
    ]


def artifacts() -> list[Artifact]:
    """Everything it is compiled and run with."""
    return locked(lock=LOCK)


def compiled(target: Path) -> list[str]:
    """Compile it to `target`; the command that runs it, without its arguments. Raises EmbeddedError, CalledProcessError."""
    jars = os.pathsep.join(_provided(artifacts()))
    java = str(_java.java())
    compiler = [java, "-cp", jars, "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-proc:none", "-failOnWarning"]
    source = str(FOLDER / "Consumer.java")
    subprocess.run([*compiler, "-cp", jars, "-d", str(target), source], check=True, env=_java.environment())
    options = [
        "-XX:+UseSerialGC",
        "-Xmx128m",
        "--enable-native-access=ALL-UNNAMED",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ]
    return [java, *options, "-cp", os.pathsep.join([str(target), jars]), "Consumer"]


def _provided(wanted: list[Artifact]) -> list[str]:
    cache = cache_folder()
    with _cache._alone(cache, Progress()) as scratch:
        if absent := missing(wanted, cache):
            _cache._download(absent, cache, scratch, Progress())
        verify(wanted, cache)
    return [str(artifact.path(cache)) for artifact in wanted]


def _relock() -> None:
    from jgo.maven import MavenContext

    from tapeline.embedded._relock import lines

    with tempfile.TemporaryDirectory() as folder:
        found = lines(MavenContext(repo_cache=Path(folder), timeout=60), "java-example", [COMPILER, *dependencies()])
    LOCK.write_text(
        "# As tapeline/embedded/artifacts.lock. Written by `python -m tests.java_example`.\n" + "\n".join(found) + "\n"
    )


if __name__ == "__main__":
    _relock()
