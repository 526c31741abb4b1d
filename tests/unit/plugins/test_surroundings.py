"""Variables that programs obey: each is honoured on purpose, cleared, set or refused.

The lists are from the programs' own documentation. What they leave out is not obeyed by what the lab calls.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible import constants

from failover_lab.host import surroundings

REPO = Path(__file__).resolve().parents[3]

TABLE = Path(__file__).with_name("variables.txt")
ROWS = [
    (tool, "" if fate == "neutral" else fate, name)
    for tool, fate, *names in map(str.split, filter(None, TABLE.read_text().splitlines()))
    if tool not in ("#", "ansible")
    for name in names
]
BEGINNING = ["set -eu", "here=${0%/*}", '[ "$here" != "$0" ] || here=.', '. "$here/surroundings.sh"']
TOOLS = sorted({tool for tool, _, _ in ROWS})


@pytest.mark.parametrize("tool", TOOLS)
def test_what_becomes_of_a_tools_variables(tool: str) -> None:
    wanted = {name: fate for of, fate, name in ROWS if of == tool}
    assert {name: surroundings.fate(name) for name in wanted} == wanted


def test_the_environment_of_a_play() -> None:
    before = {name: "x" for _, _, name in ROWS}
    after = dict(before)
    gone = surroundings.settle(after)
    assert set(gone) == {name for _, fate, name in ROWS if fate in ("clear", "tcp")}
    assert set(after) == set(before) - set(gone)
    assert after["BUILDX_BUILDER"] == "default"
    assert surroundings.settle(after) == []


@pytest.mark.parametrize(
    ("host", "kept"), [("", False), ("unix:///run/docker.sock", False), ("tcp://127.0.0.1:2376", True)]
)
def test_certificates_belong_to_an_address(host: str, *, kept: bool) -> None:
    environment = {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}
    surroundings.settle(environment)
    assert ("DOCKER_TLS_VERIFY" in environment, "DOCKER_CERT_PATH" in environment) == (kept, kept)


def test_the_shell_reads_the_same_table(tmp_path: Path) -> None:
    """scripts/surroundings.sh takes away what surroundings.py does, but for what only plays call for."""
    snippet = REPO / "scripts" / "surroundings.sh"
    (tmp_path / "src" / "failover_lab" / "host").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "src/failover_lab/host/surroundings.txt").write_text(surroundings.TABLE.read_text())
    script = tmp_path / "scripts" / "script.sh"
    script.write_text("\n".join(["#!/bin/sh", *BEGINNING, "exec env"]))
    (tmp_path / "scripts" / "surroundings.sh").write_text(snippet.read_text())
    shells_own = {
        "PATH",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
        "BASH_FUNC_cd%%",
        "IFS",
        "PS4",
        "SHELLOPTS",
        "BASHOPTS",
    }
    names = {name for _, _, name in ROWS} - shells_own
    done = subprocess.run(
        ["/bin/sh", str(script)],
        env=dict.fromkeys(names, "x") | {"PATH": os.environ["PATH"], "CDPATH": "/tmp", "LD_LIBRARY_PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    kept = {line.partition("=")[0] for line in done.stdout.splitlines()} - shells_own
    wanted = {name for _, fate, name in ROWS if fate != "clear"} - shells_own
    assert kept == wanted, done.stderr


def test_every_script_begins_with_it() -> None:
    for path in sorted((REPO / "scripts").glob("*.sh")):
        if path.name != "surroundings.sh":
            code = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
            assert path.read_text().startswith("#!/bin/sh\n"), (
                f"{path}: another shell would read BASH_ENV first"
            )
            assert code[: len(BEGINNING)] == BEGINNING, path


def test_each_of_ansibles_settings_was_thought_of() -> None:
    """A new one of theirs has to be."""
    from tests.unit.plugins.lab_callback import lab_callback

    unchanged = lab_callback().UNCHANGED
    known = constants.config.get_configuration_definitions()
    by_variable = [name for name, definition in known.items() if definition.get("env")]
    assert len(by_variable) > 150
    lines = [line.split() for line in TABLE.read_text().splitlines() if line.startswith("ansible ")]
    sorted_out = tuple(beginning for _, _, *beginnings in lines for beginning in beginnings)
    left = [name for name in by_variable if name not in unchanged and not name.startswith(sorted_out)]
    assert left == []
    assert [name for name in unchanged if name not in known] == []
