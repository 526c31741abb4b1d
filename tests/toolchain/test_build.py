"""The source `modules`: a build that is killed goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.pinned import KUBERNETES, METALLB

REPO = Path(__file__).resolve().parents[2]


def compiled(cache: Path) -> dict[Path, int]:
    """What Go has compiled so far, with the time when it was written, in nanoseconds."""
    found = {}
    for path in cache.glob("go/build/*/*-d"):
        found[path] = path.stat().st_mtime_ns
    return found


def living(word: str) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            try:
                line = (directory / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(directory.name))
    return found


def wait_until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.1)


def test_a_killed_build_goes_on(
    built: Callable[[str], Path], play_file: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    # Compiler and sources are lent by the user's cache; the results of the compiler are this test's own.
    cache = tmp_path / "cache"
    (cache / "go").mkdir(parents=True)
    (cache / "go" / "mod").symlink_to(built("go/mod"))
    compiler = built("go/*/go/bin/go").parents[2]
    (cache / "go" / compiler.name).symlink_to(compiler)
    (cache / "release").mkdir()
    (cache / "release" / f"metallb-{METALLB}.yaml").touch()
    # A small command among minikube's dependencies stands for the modules, of which the smallest takes
    # minutes where two cores have other work; an extra variable wins over the role's own.
    result = cache / "modules" / "small"
    small = {
        "name": "minikube",
        "what": "a small command",
        "dir": str(result),
        "packages": ["google.golang.org/protobuf/cmd/protoc-gen-go"],
        "links": ["by-another-name"],
        "fetch_s": 1,
        "expected_s": 10,
    }
    there = small | {"name": "kubernetes", "dir": str(tmp_path)}
    only = json.dumps({"__toolchain_rows": [there, small]})
    settings = {
        "lab_cache_dir": str(cache),
        "toolchain_source": "modules",
        "toolchain_images_source": "release",
        "toolchain_min_free_gib": 1,
    }
    argv = ["ansible-playbook", str(play_file(settings)), "--extra-vars", only]
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1"}

    said = tmp_path / "said"
    with said.open("wb") as output:
        first = subprocess.Popen(argv, cwd=REPO, stdout=output, stderr=output, env=environment)
    try:
        wait_until(
            lambda: len(compiled(cache)) >= 40 or first.poll() is not None, 60, "forty packages compiled"
        )
        assert first.poll() is None, said.read_text(encoding="utf-8")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    wait_until(lambda: living(str(cache)) == [], 15, "the compiler ends with the play that started it")
    assert not result.exists()
    before = compiled(cache)

    second = subprocess.run(
        argv, cwd=REPO, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert second.returncode == 0, second.stdout + second.stderr
    after = compiled(cache)
    assert {path: after.get(path) for path in before} == before, "something was compiled again"
    assert len(after) > len(before)
    assert sorted(path.name for path in result.iterdir()) == ["by-another-name", "protoc-gen-go"]
    version = subprocess.run(
        [result / "by-another-name", "--version"], capture_output=True, text=True, check=True
    )
    # Commands tell by the name that they are called by which of them is meant.
    assert version.stdout.startswith("by-another-name v")
    shutil.rmtree(cache / "go" / "build")


def test_one_program_is_seven_commands(built: Callable[[str], Path], tmp_path: Path) -> None:
    asked = {name: ["--version"] for name in ("kubelet", "kube-apiserver", "kube-controller-manager")}
    asked |= {name: ["--version"] for name in ("kube-scheduler", "kube-proxy")}
    asked |= {"kubeadm": ["version", "--output=short"], "kubectl": ["version", "--client"]}
    folder = built(f"modules/kubernetes-{KUBERNETES}-*/kubernetes").parent
    assert {path.name for path in folder.iterdir()} == {"kubernetes", *asked}
    for name, arguments in asked.items():
        said = subprocess.run([folder / name, *arguments], capture_output=True, text=True, check=True)
        assert KUBERNETES in said.stdout, name
        usage = subprocess.run([folder / name, "--help"], capture_output=True, text=True, check=True)
        assert f"{name} [" in usage.stdout, "each is called by its own name"
        # kube-proxy takes any flag of the whole program, upstream's too; the kubelet's among them do nothing.
        if name not in {"kubelet", "kube-proxy"}:
            assert "housekeeping-interval" not in usage.stdout, "and has no flags of another"
    stranger = tmp_path / "kube-stranger"
    stranger.symlink_to(folder / "kubernetes")
    said = subprocess.run([stranger], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (2, "kube-stranger is none of Kubernetes' commands\n")
