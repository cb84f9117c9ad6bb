"""README and CONTRIBUTING speak of what exists: commands, options, targets, paths, settings, variables.

Code is what stands in backquotes, in fenced blocks and in blocks indented by four spaces; links to files count as well.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from runtime.settings import describe, load
from runtime.settings.sources import PREFIX
from tapeline.cli import build
from tests.servers import INFLUXDB, VARIABLES

ROOT = Path(__file__).parent.parent.parent
DOCS = ("README.md", "CONTRIBUTING.md")
OPEN_FOLDERS = (
    "ingest/feeds",
    "processors/agents",
    "sinks/stores",
    "gateway/channels",
    "tapeline/embedded",
    "tapeline/commands",
)

OURS = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
SHOWN_ELSEWHERE = {"feeds.yaml", "today.gz", "my.yaml"}
"""Files that the reader makes."""
ENDINGS = (".py", ".md", ".yaml", ".toml", ".lock", ".gz", ".sql", ".avsc")
VARIABLES_OF_CODE = {"TAPELINE_CONFIG", "TAPELINE_HOME", "TAPELINE_CACHE", "TAPELINE_INFLUXD", INFLUXDB, *VARIABLES.values()}


def fenced(text: str) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def unfenced(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def code(text: str) -> list[str]:
    """Lines of commands, and inline code."""
    prose = unfenced(text)
    indented = re.findall(r"^    (\S.*)$", prose, re.MULTILINE)
    return [*indented, *re.findall(r"`([^`\n]+)`", re.sub(r"^    .*$", "", prose, flags=re.MULTILINE))]


def words(line: str) -> list[str]:
    """The words of a command line, without its comment and the variables set before it."""
    found = shlex.split(line, comments=True)
    while found and re.fullmatch(r"[A-Z_]+=.*", found[0]):
        found.pop(0)
    return found


def command_lines(text: str) -> Iterator[list[str]]:
    for line in code(text):
        found = words(line) if re.search(r"\btapeline\b", line) and "'" not in line else []
        if len(found) > 1 and found[0].rpartition("/")[2] == "tapeline":
            yield found[1:]


@cache
def application() -> Any:
    return typer.main.get_command(build())


def problem_of(arguments: list[str]) -> str | None:
    """What the program does not know of a command line; None when it knows all."""
    command = application()
    rest = list(arguments)
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            break
        name = rest.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    options = {name: parameter for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options |= dict.fromkeys(("--help", "-h"))
    given = iter(rest)
    for word in given:
        if not word.startswith("-"):
            continue
        name, equals, value = word.partition("=")
        if name not in options:
            return f"no option {name!r}"
        if options[name] is None or options[name].is_flag:
            continue
        value = value if equals else next(given, "")
        if not value:
            return f"{name} without a value"
        if name == "--set" and not is_setting(value.partition("=")[0]):
            return f"no setting {value!r}"
    return None


def all_commands(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from all_commands(below)


@cache
def settings() -> frozenset[str]:
    return frozenset(row.key for row in describe())


def is_setting(key: str) -> bool:
    """Whether a key is a setting or a section of settings."""
    pattern = [re.escape(part) for part in key.split(".")]
    return any(
        re.match(r"\.".join(pattern) + r"(\.|$)", known) or re.fullmatch(known.replace(".", r"\.").replace("NAME", r"\w+"), key)
        for known in settings()
    )


def targets() -> set[str]:
    named = set(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    return named | {path.stem.replace("_", "-") for path in ROOT.glob("benchmarks/bench_*.py")}


def paths(text: str) -> set[str]:
    """Words of the code, and links, that look like files or folders of this repository."""
    found = {target for target in re.findall(r"\]\(([^)#]+)\)", unfenced(text)) if "://" not in target}
    for piece in code(text):
        for word in re.split(r"[\s,]+", piece):
            top, slash, _ = word.partition("/")
            if (slash and top in OURS) or (word.endswith(ENDINGS) and "=" not in word and not word.startswith((".", "/", "~"))):
                found.add(word)
    return found - SHOWN_ELSEWHERE


@pytest.fixture(params=DOCS)
def text(request: pytest.FixtureRequest) -> str:
    return (ROOT / str(request.param)).read_text(encoding="utf-8")


def test_every_command_and_option_named_exists(text: str) -> None:
    lines = list(command_lines(text))
    assert lines
    assert {" ".join(line): problem for line in lines if (problem := problem_of(line))} == {}


def test_every_option_named_alone_is_one_of_some_command(text: str) -> None:
    known = {name for command in all_commands(application()) for parameter in command.params for name in parameter.opts}
    for piece in code(text):
        if piece.startswith("-"):
            assert piece.split()[0] in known | {"--help"}, piece


def test_the_readme_names_every_command() -> None:
    named = {tuple(word for word in line if not word.startswith("-"))[:2] for line in command_lines(read("README.md"))}
    first, pairs = {name[0] for name in named if name}, named
    for name, command in application().commands.items():
        assert name in first, name
        for below in getattr(command, "commands", ()):
            assert (name, below) in pairs, f"{name} {below}"


def test_every_make_target_named_exists(text: str) -> None:
    named = set()
    for line in code(text):
        if line.startswith("make "):
            named |= {word for word in words(line)[1:] if "=" not in word}
    assert len(named) > 1
    assert named <= targets(), named - targets()


def test_every_path_named_exists(text: str) -> None:
    named = paths(text)
    assert len(named) > 5
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_variable_named_is_read(text: str) -> None:
    for name in set(re.findall(r"\bTAPELINE_\w+", text)) - {"TAPELINE__SECTION__NAME"}:
        if name.startswith(PREFIX):
            assert is_setting(name.removeprefix(PREFIX).lower().replace("__", ".")), name
        else:
            assert name in VARIABLES_OF_CODE, name


def test_every_setting_named_exists(text: str) -> None:
    sections = {key.partition(".")[0] for key in settings()}
    for piece in code(text):
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", piece) and piece.partition(".")[0] in sections and not piece.endswith(ENDINGS):
            assert is_setting(piece), piece


def test_the_settings_shown_are_accepted(tmp_path: Path) -> None:
    shown = [content for language, content in fenced(read("README.md")) if language == "yaml"]
    assert shown
    for content in shown:
        file = tmp_path / "shown.yaml"
        file.write_text(content, encoding="utf-8")
        assert load(file, environ={}).ingest.feeds


def test_the_python_shown_is_python() -> None:
    shown = [content for language, content in fenced(read("README.md")) if language == "python"]
    assert len(shown) >= 2
    for content in shown:
        compile(content, "README.md", "exec")


def test_the_example_of_the_settings_is_accepted_and_names_every_setting() -> None:
    example = ROOT / "tapeline.example.yaml"
    load(example, environ={})
    content = example.read_text(encoding="utf-8")
    names = set(re.findall(r"^[\s#]*([a-z_]+):", content, re.MULTILINE))
    unnamed = {key for key in settings() if key.rpartition(".")[2] not in names}
    assert unnamed <= {"kafka.security.key_password", "kafka.security.allow_sasl_without_tls", "ingest.feeds.NAME.options"}
    assert yaml.safe_load(content)


@pytest.mark.parametrize("folder", OPEN_FOLDERS)
def test_every_open_folder_has_its_row(folder: str) -> None:
    assert f"| `{folder}` |" in read("CONTRIBUTING.md")


def test_every_package_has_its_row_in_the_readme() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {name for name in packages if f"| `{name}` |" not in read("README.md")} == set()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("up --prot kafka=1", "no option '--prot'"),
        ("topics aply", "no command 'aply'"),
        ("gateway --set gateway.prot=1", "no setting 'gateway.prot=1'"),
        ("up --data", "--data without a value"),
        ("gateway --set gateway.port=1", None),
        ("sink postgres --help", None),
    ],
)
def test_what_is_wrong_in_a_command_line_is_seen(line: str, problem: str | None) -> None:
    assert problem_of(line.split()) == problem


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
