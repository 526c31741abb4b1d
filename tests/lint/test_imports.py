"""Who imports whom within the package: no circle, no arrow back up; nodes by their driver's name alone."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "failover_lab"

# From the ground up: a room imports those before it, and itself.
ROOMS = [
    "errors", "door", "waiting", "run.layout", "run.instants", "arguments", "run", "kube", "nodes", "host",
    "application", "observe", "trace", "probe", "faults", "report", "live", "watchdog", "cli", "__main__",
]  # fmt: skip
# What the watchdog works with, for it is the part that acts while everything else is down.
WATCHDOG = {"errors", "arguments", "door", "waiting", "run", "kube", "nodes", "host.priority"}
# Arrows that still lead back up, each with what would turn it round.
DEBTS: dict[tuple[str, str], str] = {}


def module(path: Path, source: Path) -> str:
    parts = path.relative_to(source / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: Path) -> dict[str, set[str]]:
    """What each module imports of the package, wherever it does so, even for its types alone."""
    paths = {module(path, source): path for path in (source / PACKAGE).rglob("*.py")}
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                words = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                words = [alias.name for alias in node.names]
            for word in words:
                whole, _, rest = word.removeprefix(f"{PACKAGE}.").rpartition(".")
                inner = f"{whole}.{rest}".strip(".")
                if word.startswith(f"{PACKAGE}."):
                    found[name].add(inner if inner in paths else whole)
    return {name: {one for one in ones if one != name} for name, ones in found.items()}


IMPORTED = imported(SOURCE)


def storey(name: str) -> int:
    """How high up a module is; those of a room are as high as the room."""
    return ROOMS.index(name if name in ROOMS else name.split(".", maxsplit=1)[0])


def is_of(name: str, rooms: set[str]) -> bool:
    return name in rooms or name.split(".", maxsplit=1)[0] in rooms


def arrows_up(found: dict[str, set[str]]) -> set[tuple[str, str]]:
    return {
        (name, other)
        for name, others in found.items()
        for other in others
        if name and other and storey(other) > storey(name)
    }


def circle(found: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, if there is one."""
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_the_search_finds_them() -> None:
    assert "errors" in IMPORTED["nodes.driver"]
    assert "nodes.driver" in IMPORTED["nodes.state"]
    assert "watchdog.act" in IMPORTED["watchdog.by_hand"], "within a function as well"


def test_no_module_imports_itself_by_others() -> None:
    assert circle(IMPORTED) == []


def test_no_arrow_leads_back_up() -> None:
    assert arrows_up(IMPORTED) - set(DEBTS) == set()


def test_nobody_but_the_command_line_imports_the_watchdog() -> None:
    assert {
        (name, other)
        for name, others in IMPORTED.items()
        for other in others
        if is_of(other, {"watchdog"}) and not is_of(name, {"watchdog", "cli"})
    } == set()


def test_the_watchdog_imports_what_it_acts_by_and_no_more() -> None:
    assert {
        other
        for name, others in IMPORTED.items()
        for other in others
        if is_of(name, {"watchdog"}) and other and not is_of(other, WATCHDOG | {"watchdog"})
    } == set()


def test_nobody_imports_a_driver_but_asks_for_it_by_name() -> None:
    from failover_lab import nodes

    drivers = {made.partition(":")[0].removeprefix(f"{PACKAGE}.") for made in nodes.DRIVERS.values()}
    assert "nodes.docker" in drivers
    assert {(name, other) for name, others in IMPORTED.items() for other in others & drivers} == set()


# Shown what they must find


def planted(tmp_path: Path, **modules: str) -> dict[str, set[str]]:
    for name, text in modules.items():
        path = tmp_path / PACKAGE / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return imported(tmp_path)


def test_a_circle_is_found(tmp_path: Path) -> None:
    found = planted(
        tmp_path,
        run__a="from failover_lab.run import b",
        run__b="def f():\n    from failover_lab.run.c import g",
        run__c="import failover_lab.run.a",
    )
    assert set(circle(found)) == {"run.a", "run.b", "run.c"}


@pytest.mark.parametrize(
    "text", ["from failover_lab.report import stats", "if T:\n    from failover_lab.report.stats import x"]
)
def test_an_arrow_back_up_is_found(tmp_path: Path, text: str) -> None:
    found = planted(tmp_path, kube__a=text, report__stats="from failover_lab.kube import b", kube__b="")
    assert arrows_up(found) == {("kube.a", "report.stats")}
