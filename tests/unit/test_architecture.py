"""The layers and open folders, read from the code itself."""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("gateway", "history", "ingest", "market", "processors", "runtime", "schemas", "sinks", "tapeline")
STAGE = {"market", "schemas", "runtime"}
MAY_IMPORT = {
    "market": set[str](),
    "schemas": {"market"},
    "runtime": set[str](),
    "ingest": STAGE,
    "processors": STAGE,
    "sinks": STAGE,
    "gateway": STAGE | {"history"},
    "history": STAGE,
    "tapeline": set(PACKAGES),
}
HANDS_OVER = {"ingest/__main__.py": {"tapeline"}}
"""What is run by its name alone may import what it hands over to."""
ONLY_IN = {
    "faust": ("processors",),
    "mode": ("processors",),
    "exchange_calendars": ("processors/calendars.py",),
    "influxdb_client": ("sinks/stores",),
    "pandas": (),
    "redis": ("sinks/stores/redis.py",),
    "psycopg": ("sinks/stores", "history", "tapeline/embedded/postgres.py"),
    "psycopg_pool": ("history",),
    "aiohttp": ("ingest/rest.py",),
    "websockets": ("ingest/connection.py", "gateway/websocket.py", "gateway/client.py"),
}
OPEN_FOLDERS = {
    "ingest/feeds": (),
    "processors/agents": ("build",),
    "sinks/stores": (),
    "gateway/channels": (),
    "tapeline/embedded": ("PORTS", "NEEDS"),
    "tapeline/commands": ("register",),
}


def sources(package: str) -> Iterator[Path]:
    return (path for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def modules(folder: str) -> list[str]:
    return [name for _, name, _ in pkgutil.iter_modules([str(ROOT / folder)]) if not name.startswith("_")]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_the_layers_below_it(package: str) -> None:
    for path in sources(package):
        ours = {name.partition(".")[0] for name in imports(path)} & set(PACKAGES)
        handed = HANDS_OVER.get(path.relative_to(ROOT).as_posix(), set())
        assert ours <= MAY_IMPORT[package] | {package} | handed, path


def test_the_domain_imports_the_standard_library_alone() -> None:
    for path in sources("market"):
        assert {name.partition(".")[0] for name in imports(path)} <= sys.stdlib_module_names | {"market"}, path


def test_the_domain_reads_no_clock_and_logs_nothing() -> None:
    for path in sources("market"):
        read = {name.partition(".")[0] for name in imports(path)} & {"time", "datetime", "logging", "random", "os"}
        if path.name == "day_end.py":  # time zones are known to datetime alone
            read -= {"datetime"}
            called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            assert not called & {"now", "utcnow", "today"}, path
        assert not read, path


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_at_its_place_only(library: str) -> None:
    for package in PACKAGES:
        for path in sources(package):
            if library in {name.partition(".")[0] for name in imports(path)}:
                place = path.relative_to(ROOT).as_posix()
                assert place.startswith(ONLY_IN[library]), f"{place} imports {library}"


@pytest.mark.parametrize("folder", OPEN_FOLDERS)
def test_every_file_of_an_open_folder_can_be_imported_and_keeps_its_protocol(folder: str) -> None:
    names = modules(folder)
    assert names
    for name in names:
        module = importlib.import_module(f"{folder.replace('/', '.')}.{name}")
        for wanted in OPEN_FOLDERS[folder]:
            assert hasattr(module, wanted), f"{folder}/{name}.py has no {wanted}"


@pytest.mark.parametrize("folder", [folder for folder in OPEN_FOLDERS if folder != "tapeline/commands"])
def test_every_file_of_an_open_folder_brings_its_test(folder: str) -> None:
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    )
    dotted = folder.replace("/", ".")
    for name in modules(folder):
        mentioned = (f"{dotted}.{name}", f"from {dotted} import {name}", f'"{name}"')
        assert any(text in tests for text in mentioned), f"no test names {folder}/{name}.py"


def test_no_other_distribution_owns_our_package_names() -> None:
    owners = packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["tapeline"])) == {"tapeline"}, package
