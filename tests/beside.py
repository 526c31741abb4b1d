"""What runs beside the cluster's tests: other parts of the suite and molecule's scenarios, one by one.

Each is a command of its own. It is begun ahead of the test that tells how it ended, so that it has the time
in which tests of the cluster wait for something. A test that measures waits until nothing runs beside it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.children import ended

ROOT = Path(__file__).parents[1]
# What each has said, and its record for whoever reads JUnit.
FOLDER = ROOT / "reports" / "tests"


@dataclass(frozen=True)
class Part:
    """A part of the suite that makes no cluster and measures nothing.

    Attributes:
        command: that runs it, but for pytest's options.
        nightly: whether it belongs to ``make test-all`` alone.
    """

    command: tuple[str, ...]
    nightly: bool = False

    def given(self, *options: str) -> tuple[str, ...]:
        """The command with more options of pytest's. Not by PYTEST_ADDOPTS, which make clears."""
        *words, last = self.command
        if last.startswith("ARGS="):
            return (*words, f"{last}{shlex.join(options)}")
        return (*words, *options, last)


PYTEST = (sys.executable, "-m", "pytest", "-q")
TWO = ("-n", "2", "--dist", "worksteal")
QUICK = ("tests/bad_input", "tests/lint", "tests/unit")
PARTS = {
    "quick": Part(("make", "--no-print-directory", "fast", "ARGS=")),
    "browser": Part((*PYTEST, "tests/browser")),
    # Counting lines takes half as long again: by day nobody waits for it.
    "cover": Part(("make", "--no-print-directory", "cover", "ARGS="), nightly=True),
    # What `make fast` leaves out of the same folders.
    "night": Part((*PYTEST, *TWO, "-m", "nightly", *QUICK), nightly=True),
    "pythons": Part((*PYTEST, "tests/pythons"), nightly=True),
    "toolchain": Part((*PYTEST, "tests/toolchain"), nightly=True),
}

SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
# They break nodes of the cluster that `default` makes.
SHARING = ("drain", "sudden")
# They measure nothing, and are run ahead beside tests that measure nothing either: the small ones beside
# some, the large one, which takes as long as all of those, beside others.
SMALL = ("default", "engine", "image", "registry", "toolchain")
LARGE = "alternative"


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it said."""

    returncode: int
    stdout: str

    @property
    def last_line(self) -> str:
        """What a test runner closes with."""
        return next((line for line in reversed(self.stdout.splitlines()) if line.strip()), "").strip("= ")


def _run(argv: Sequence[str | Path], timeout_s: float, **environment: str) -> Done:
    done = ended(*argv, cwd=ROOT, environment=os.environ | environment, timeout_s=timeout_s)
    return Done(done.returncode, done.stdout)


def molecule(*words: str) -> Done:
    """Run molecule to its end."""
    program = Path(sys.executable).with_name("molecule")
    return _run([program, *words], 1200, NO_COLOR="1", ANSIBLE_NOCOLOR="1", ANSIBLE_FORCE_COLOR="0")


def _part(name: str) -> Done:
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = _run(PARTS[name].given("--color=no", f"--junitxml={FOLDER / name}.xml"), 3000)
    (FOLDER / f"{name}.log").write_text(done.stdout, encoding="utf-8")
    return done


def _scenario(name: str) -> Done:
    # Two more break nodes of the cluster that `default` makes: it ends after them.
    keep = ["--destroy=never"] if name == "default" else []
    return molecule("test", f"--scenario-name={name}", *keep)


def failure(done: Done) -> str:
    """What the first failure says, and how it ended: what comes between is the clearing away."""
    end = done.stdout[-6000:]
    first = re.search(r"^(fatal|failed): \[", done.stdout, re.MULTILINE)
    if first is None or len(done.stdout) - first.start() <= len(end):
        return end
    return f"{done.stdout[max(first.start() - 1500, 0) :][:5000]}\n[...]\n{end[-1500:]}"


def wanted(items: Iterable[pytest.Item]) -> set[str]:
    """The parts and scenarios that tests among these tell of."""
    found = set[str]()
    for item in items:
        if isinstance(item, pytest.Function) and "beside" in item.fixturenames:
            params = item.callspec.params if hasattr(item, "callspec") else {}
            found |= {str(params[key]) for key in ("part", "scenario") if key in params}
            found |= {"default"} if "whole" in item.fixturenames else set()
            found |= {LARGE} if item.path.stem == "test_alternative" else set()
    return found


class Beside:
    """Each is run once, and never two at a time."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        """Nothing runs yet; nothing is run ahead but what these tests tell of."""
        items = [*items]
        self.wanted = wanted(items)
        # Whoever asks for all of it wants to know all of it.
        self.gives_up = not any(item.get_closest_marker("nightly") for item in items)
        self.waited_s = 0.0
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._runs: dict[str, Future[Done]] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Have them run, in this order, after those that were begun before."""
        for name in names:
            if name not in self._runs:
                self._runs[name] = self._worker.submit(_part if name in PARTS else _scenario, name)

    def ahead(self, names: Iterable[str]) -> None:
        """Likewise, as far as a test tells of them."""
        self.begin(name for name in names if name in self.wanted)

    def ended(self, name: str) -> Done:
        """How one has ended; it is waited for."""
        self.begin([name])
        return self._runs[name].result()

    def done(self) -> dict[str, Done]:
        """Those that have ended."""
        return {name: run.result() for name, run in self._runs.items() if run.done() and not run.cancelled()}

    def failed(self) -> list[str]:
        """Those that have ended badly."""
        return [name for name, done in self.done().items() if done.returncode != 0]

    def quiet(self) -> None:
        """Wait until nothing runs beside the next test."""
        began = time.monotonic()
        for run in [*self._runs.values()]:
            run.exception()
        self.waited_s += time.monotonic() - began

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
