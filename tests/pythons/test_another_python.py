"""Under another Python, which brings another Ansible, the plugins, modules and roles do the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.children import output_of

ROOT = Path(__file__).parents[2]
# Python 3.11 has the last Ansible that it can have; all newer ones share another.
OTHERS = ("python3.13", "python3.12") if sys.version_info[:2] == (3, 11) else ("python3.11",)
BEHAVIOUR = [f"tests/unit/{what}" for what in ("faults", "host", "kube", "nodes", "plugins", "roles", "run")]
LEFT_OUT = (".git", ".venv*", ".ansible", ".molecule", ".*_cache", "__pycache__", "reports")


def interpreter() -> Path | None:
    """One of the others, if the machine has one: on the path, or among pyenv's."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for name in OTHERS:
        found = [
            shutil.which(name),
            *sorted(map(str, versions.glob(f"{name.removeprefix('python')}.*/bin/{name}"))),
        ]
        for path in filter(None, found):
            # pyenv puts commands on the path that only say where the real one is.
            if subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
                return Path(path)
    return None


def run(directory: Path, *command: str | Path) -> str:
    """Run a command in a checkout, without what its caller's environment hands on; what it said."""
    mine = str(Path(sys.executable).parent)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_", "VIRTUAL_ENV"))
    } | {"PATH": os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != mine)}
    return output_of(*command, cwd=directory, environment=environment)


def ansible(checkout: Path) -> str:
    """The version of an environment's ansible-core, without its last number."""
    found = re.search(r"core (\d+\.\d+)", run(checkout, checkout / ".venv/bin/ansible", "--version"))
    assert found
    return found[1]


def test_the_lab_behaves_the_same_under_another_python(tmp_path: Path) -> None:
    python = interpreter()
    if python is None:
        pytest.skip(f"this machine has none of {', '.join(OTHERS)}")
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    run(checkout, "make", "env", f"PYTHON={python}")
    assert ansible(checkout) != ansible(ROOT)
    said = run(checkout, checkout / ".venv/bin/pytest", "-q", "-n", "2", "--dist", "worksteal", *BEHAVIOUR)
    assert re.search(r"^\d{3,} passed", said, re.MULTILINE), said[-2000:]
