"""scripts/env.sh: an environment from the locks, each package by its hash, and only if there is need of it.

Its packages are made here, small and without a network; pip and uv are the real ones.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.proxy import proxy

REPO = Path(__file__).resolve().parents[3]
UV = Path(sys.executable).with_name("uv")

Script = Callable[..., subprocess.CompletedProcess[str]]


def wheel(folder: Path, name: str, program: str = "") -> str:
    """Make a package, with a program if wanted; the line by which a lock names it."""
    plain = name.replace("-", "_")
    files = {
        f"{plain}.py": "ANSWER = 42\n",
        f"{plain}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{plain}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if program:
        files[f"{plain}-1.0.data/scripts/{name}"] = program
    record = f"{plain}-1.0.dist-info/RECORD"
    files[record] = "".join(f"{path},{digest(text)},{len(text)}\n" for path, text in files.items())
    files[record] += f"{record},,\n"
    path = folder / f"{plain}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            entry = zipfile.ZipInfo(inner)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This interpreter, but that the environments which it makes are copies of one, which took its time."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", folder / "made"], check=True)
    python = folder / "python3"
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$*" != "-m venv --clear .venv" ] || {{ rm -rf .venv; exec cp -a {folder}/made .venv; }}\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return python


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Where they are; pip takes a list of such folders, with blanks between them."""
    path = tmp_path / "packages"
    path.mkdir()
    return path


@pytest.fixture
def checkout(tmp_path: Path, packages: Path) -> Path:
    """The script and two small locks: a uv that hands on to the real one, and a package."""
    folder = tmp_path / "with blank é"
    (folder / "src" / "failover_lab" / "host").mkdir(parents=True)
    (folder / "scripts").mkdir()
    for name in ("scripts/env.sh", "scripts/surroundings.sh", "src/failover_lab/host/surroundings.txt"):
        shutil.copy(REPO / name, folder / name)
    handing_on = f'#!/bin/sh\nexec {UV} "$@"\n'
    (folder / "requirements-bootstrap.lock").write_text(wheel(packages, "uv", handing_on))
    (folder / "requirements.lock").write_text(wheel(packages, "ansible-core"))
    return folder


@pytest.fixture
def script(checkout: Path, packages: Path, quick_python: Path) -> Script:
    """Run it, with these additions to the environment."""

    def run(
        *, name: str = str(checkout / "scripts" / "env.sh"), cwd: str | Path = "/", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages), "PIP_CONFIG_FILE": os.devnull}
        offline |= {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(packages)}
        offline |= {"UV_CACHE_DIR": str(checkout / "cache"), "PYTHON": str(quick_python)}
        return subprocess.run(
            [name],
            cwd=cwd,
            env=os.environ | offline | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve a folder on loopback; where."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def fake_python(checkout: Path) -> Path:
    """One that is too old for everything."""
    path = checkout / "python3.9"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


@pytest.mark.nightly
def test_an_unsupported_python_is_refused_in_a_sentence(checkout: Path, script: Script) -> None:
    python = fake_python(checkout)
    done = script(PYTHON=str(python))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"make env: PYTHON={python} is no Python 3.11, 3.12 or 3.13; name one that is."
    ]
    assert not (checkout / ".venv").exists()


def test_without_any_python_it_says_what_to_install(checkout: Path, script: Script) -> None:
    programs = checkout / "bin"
    programs.mkdir()
    for program in ("dirname", "cat", "id"):
        (programs / program).symlink_to(shutil.which(program) or "")
    done = script(PYTHON="", PATH=str(programs))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "found no python3" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("arguments", "taken"), [("--enable-optimizations", "own"), ("--prefix=/opt", "system")]
)
def test_a_python_that_was_not_optimized_yields_to_the_systems(
    checkout: Path, script: Script, quick_python: Path, arguments: str, taken: str
) -> None:
    """Both are this interpreter, and note that they were taken; the one on the path says how it was built."""
    for name, answer in (
        ("own", f"sysconfig.get_config_vars()['CONFIG_ARGS'] = '{arguments}'"),
        ("system", "pass"),
    ):
        (checkout / name).mkdir()
        python = checkout / name / "python3"
        python.write_text(
            "#!/bin/sh\n"
            f'[ "$1 $2" != "-m venv" ] || echo {name} >>"{checkout}/taken"\n'
            f'[ "$1" != -c ] || {{ code=$2; shift 2; set -- -c "import sysconfig; {answer}\n$code" "$@"; }}\n'
            f'exec {quick_python} "$@"\n'
        )
        python.chmod(0o755)
    env_sh = checkout / "scripts" / "env.sh"
    text = env_sh.read_text()
    assert text.count("/usr/bin/python3") == 1
    env_sh.write_text(text.replace("/usr/bin/python3", f'"{checkout}/system/python3"'))
    done = script(PYTHON="", PATH=f"{checkout / 'own'}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert (checkout / "taken").read_text().split() == [taken]


def test_what_was_installed_is_compiled_whatever_the_environment_says(checkout: Path, script: Script) -> None:
    done = script(PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (
        len(list((checkout / ".venv").glob("lib/python3*/site-packages/__pycache__/ansible_core.*.pyc"))) == 1
    )


def everything(checkout: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (checkout / ".venv").rglob("*")}


def with_another_hash(line: str) -> str:
    return line.rstrip()[:-8] + "00000000\n"


def test_it_is_made_once_and_takes_no_package_by_another_hash(checkout: Path, script: Script) -> None:
    # Made from nothing, as a user has it made.
    own = {"PYTHON": sys.executable}
    first = script(**own)
    assert first.returncode == 0, first.stderr
    assert ".venv is ready" in first.stdout
    made = everything(checkout)
    again = script(**own)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert everything(checkout) == made

    with (checkout / "requirements.lock").open("a") as lock:
        lock.write(with_another_hash(wheel(checkout.parent / "packages", "damaged")))
    refused = script(**own)
    assert refused.returncode == 1
    assert "Hash mismatch" in refused.stderr
    assert "make env: uv could not install requirements.lock" in refused.stderr
    assert not [path for path in everything(checkout) if "damaged" in path]
    assert not (checkout / ".venv" / ".complete").exists(), "the next run would take it for whole"


def test_uv_itself_is_not_taken_by_another_hash(checkout: Path, script: Script) -> None:
    lock = checkout / "requirements-bootstrap.lock"
    lock.write_text(with_another_hash(lock.read_text()))
    refused = script()
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert "make env: pip could not install uv" in refused.stderr
    assert not (checkout / ".venv" / "bin" / "uv").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("setting", ["target = {elsewhere}", "dry-run = true"])
def test_a_file_of_pips_that_leads_elsewhere(checkout: Path, script: Script, setting: str) -> None:
    file = checkout / "pip.conf"
    file.write_text("[install]\n" + setting.format(elsewhere=checkout / "elsewhere") + "\n")
    done = script(PIP_CONFIG_FILE=str(file))
    assert done.returncode == 1
    assert "pip put uv elsewhere than into .venv" in done.stderr
    assert "uv could not install" not in done.stderr


def test_an_index_that_only_a_proxy_can_reach(checkout: Path, script: Script) -> None:
    """pip and uv both ask it; the proxy alone knows the name of the index."""
    index = checkout / "index"
    for package in (checkout.parent / "packages").iterdir():
        folder = index / "simple" / package.name.partition("-")[0].replace("_", "-")
        folder.mkdir(parents=True)
        shutil.move(package, folder)
    with serving(index) as address, proxy({"packages.example.org": address}) as company:
        index_settings = {
            "PIP_INDEX_URL": "http://packages.example.org/simple",
            "PIP_TRUSTED_HOST": "packages.example.org",
            "UV_DEFAULT_INDEX": "",
            "UV_INDEX_URL": "",
        }
        online = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
        online |= {"UV_OFFLINE": "false", "UV_NO_INDEX": "false", "UV_FIND_LINKS": ""}
        done = script(**company.environment("localhost") | online | index_settings)
    assert done.returncode == 0, done.stderr
    assert company.asked.count("packages.example.org") >= 4, "each package's page and file"
    assert set(company.asked) == {"packages.example.org"}


@pytest.mark.nightly
def test_variables_that_lead_elsewhere(
    checkout: Path, script: Script, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another Python's packages, another folder's files: each variable alone would have had it so."""
    other = tmp_path_factory.mktemp("other")
    # What a CDPATH would lead to: a folder of the same name, with an environment of its own.
    (other / "scripts").mkdir()
    (other / ".venv").mkdir()
    (other / ".venv" / "precious").touch()
    elsewhere = {
        "CDPATH": str(other), "PIP_TARGET": str(other / "target"), "PIP_PREFIX": str(other / "prefix"),
        "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DRY_RUN": "1", "UV_PYTHON": sys.executable,
        "UV_SYSTEM_PYTHON": "1", "UV_WORKING_DIR": str(other), "UV_CONSTRAINT": str(other / "none"),
        "PYTHONHOME": str(other), "PYTHONPATH": str(other), "PYTHONINSPECT": "1", "PYTHONSAFEPATH": "1",
        "BASH_ENV": str(other / "none"), "GREP_OPTIONS": "--invert-match",
    }  # fmt: skip
    done = script(cwd=checkout, name="scripts/env.sh", **elsewhere)
    assert done.returncode == 0, done.stderr
    assert list(checkout.glob(".venv/lib/python*/site-packages/ansible_core.py"))
    assert sorted(path.name for path in other.rglob("*")) == [".venv", "precious", "scripts"]
