"""Write `artifacts.lock` anew after a server's version was changed: `python -m tapeline.embedded._relock`.

Resolves what each server names in `MAVEN` with all it depends on at run time, downloads it from Maven Central and sums it up.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from tapeline.embedded import _server
from tapeline.embedded._artifacts import LOCK, split

_HEADER = """\
# Files the embedded servers are made of, from Maven Central. Written by `python -m tapeline.embedded._relock`.
# server group:artifact[:packaging:classifier]:version size sha256
"""


def main() -> None:
    """Replace the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), timeout=60)
        found = [line for server in _server.names() for line in lines(maven, server, _server.load(server).MAVEN)]
    LOCK.write_text(_HEADER + "".join(f"{line}\n" for line in found))


def lines(maven: MavenContext, user: str, roots: Sequence[str]) -> list[str]:
    """The lines of a lock for whoever needs these artifacts, with all they depend on at run time."""
    return [f"{user} {_coordinates(artifact)} {_size_and_sum(artifact.resolve())}" for artifact in _artifacts(maven, roots)]


def _artifacts(maven: MavenContext, roots: Sequence[str]) -> list[Artifact]:
    archives = [root for root in roots if split(root)[2] != "jar"]
    jars = [root for root in roots if root not in archives]
    found = [_artifact(maven, root) for root in archives]
    if jars:
        inputs, others = maven.resolver.resolve([maven.create_dependency(jar) for jar in jars])
        found += [dependency.artifact for dependency in (*inputs, *others) if dependency.scope in (None, "compile", "runtime")]
    return found


def _artifact(maven: MavenContext, coordinates: str) -> Artifact:
    group, name, packaging, classifier, version = split(coordinates)
    return maven.project(group, name).at_version(version).artifact(classifier, packaging)


def _coordinates(artifact: Artifact) -> str:
    special = [artifact.packaging, artifact.classifier] if artifact.packaging != "jar" or artifact.classifier else []
    return ":".join([artifact.groupId, artifact.artifactId, *special, artifact.version])


def _size_and_sum(path: Path) -> str:
    content = path.read_bytes()
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    main()
