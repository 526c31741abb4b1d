"""The package as a wheel, in an environment of its own outside any checkout: it brings all that it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.shares

REPO = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).parent / "failing_server.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy: what making it leaves behind belongs into no checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    shutil.copytree(REPO / "src" / "failover_lab", source / "src" / "failover_lab")
    uv = Path(sys.executable).with_name("uv")
    built = subprocess.run(
        [uv, "build", "--wheel", "--quiet", "--out-dir", folder, source],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed program."""
    there = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(there, symlinks=True)
    python = there / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel], check=True, timeout=300
    )
    # What it requires is here already, as the lock has it; this project itself is not among it.
    (site,) = there.glob("lib/python*/site-packages")
    (site / "required.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return there / "bin" / "failover-lab"


def ran(program: Path, *argv: str | Path) -> str:
    """Run it in a folder of its own, with no way to the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [program, *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=program.parent,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    package = REPO / "src" / "failover_lab"
    wanted = {
        str(Path("failover_lab") / path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_it_probes_and_reports_where_it_is_installed(program: Path, tmp_path: Path) -> None:
    python = program.with_name("python")
    where = subprocess.run(
        [python, "-c", "import failover_lab; print(failover_lab.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    assert where.startswith(str(program.parents[1]))
    server = subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/whoami"
        found = json.loads(ran(program, "probe", url, "-n", "40", "--json"))
        assert (found["requests"], found["lost"]) == (40, 0)
        assert "requests   40" in ran(program, "probe", url, "-n", "40", "--out", tmp_path / "run")
        server.stdin.close()
        server.stdout.read()
    ran(program, "report", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "report.json").read_text())["requests"]["total"] == 40
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
