"""Scenarios of molecule, one after the other: as a test asks for one, or ahead of it beside other tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Done = subprocess.CompletedProcess[str]

NAMES = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
# They break nodes of the cluster that `default` makes.
SHARING = ("drain", "sudden")
# They measure nothing, and are run ahead beside tests that measure nothing either: the small ones beside
# some, the large one, which takes as long as all of those, beside others.
SMALL = ("default", "engine", "image", "registry", "toolchain")
LARGE = "alternative"


def ahead(items: Iterable[pytest.Item]) -> list[str]:
    """The small ones to be run ahead, as far as tests among these want them."""
    wanted = {
        name
        for item in items
        if isinstance(item, pytest.Function) and "scenarios" in item.fixturenames
        for name in (
            item.callspec.params.get("scenario") if hasattr(item, "callspec") else None,
            "default" if "whole" in item.fixturenames else None,
        )
    }
    return [name for name in SMALL if name in wanted]


def molecule(*words: str) -> Done:
    """Run molecule to its end."""
    return subprocess.run(
        [Path(sys.executable).with_name("molecule"), *words],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )


def failure(done: Done) -> str:
    """What the first failure says, and how it ended: what comes between is the clearing away."""
    end = done.stdout[-6000:]
    first = re.search(r"^(fatal|failed): \[", done.stdout, re.MULTILINE)
    if first is None or len(done.stdout) - first.start() <= len(end):
        return end
    return f"{done.stdout[max(first.start() - 1500, 0) :][:5000]}\n[...]\n{end[-1500:]}"


class Scenarios:
    """Each is run once, and never two at a time."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._runs: dict[str, Future[Done]] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Have them run, in this order, after those that were begun before."""
        for name in names:
            if name not in self._runs:
                # Two more break nodes of the cluster that `default` makes: it ends after them.
                keep = ["--destroy=never"] if name == "default" else []
                self._runs[name] = self._worker.submit(molecule, "test", f"--scenario-name={name}", *keep)

    def ended(self, name: str) -> Done:
        """How one has ended; it is waited for."""
        self.begin([name])
        return self._runs[name].result()

    def destroy_default(self) -> None:
        """Remove the cluster of `default`, if it was made."""
        if self._runs.pop("default", None) is not None:
            gone = molecule("destroy", "--scenario-name=default")
            assert gone.returncode == 0, failure(gone)

    def close(self) -> None:
        """Let what runs come to its end, and nothing more."""
        for name, run in [*self._runs.items()]:
            if run.cancel():
                del self._runs[name]
        self._worker.shutdown()
        self.destroy_default()
