"""The scenarios of molecule: roles alone, the whole lab, and nodes of it that are lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
# They break nodes of the cluster that `default` makes.
SHARING = ["drain", "sudden"]
ALONE = [name for name in SCENARIOS if name not in ("default", *SHARING)]


def molecule(*words: str) -> subprocess.CompletedProcess[str]:
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


def test_there_are_scenarios() -> None:
    assert {"default", *SHARING, "alternative", "engine", "image", "registry", "toolchain"} <= set(SCENARIOS)


@pytest.mark.parametrize("scenario", ALONE)
def test_scenario(scenario: str) -> None:
    done = molecule("test", f"--scenario-name={scenario}")
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.fixture(scope="module")
def whole() -> Iterator[subprocess.CompletedProcess[str]]:
    """The scenario default, but for its end, which comes after those that share its cluster."""
    try:
        yield molecule("test", "--scenario-name=default", "--destroy=never")
    finally:
        gone = molecule("destroy", "--scenario-name=default")
        assert gone.returncode == 0, gone.stdout[-6000:]


def test_the_whole_lab(whole: subprocess.CompletedProcess[str]) -> None:
    assert whole.returncode == 0, whole.stdout[-6000:]


@pytest.mark.parametrize("scenario", SHARING)
def test_a_node_of_it_is_lost(whole: subprocess.CompletedProcess[str], scenario: str) -> None:
    if whole.returncode != 0:
        pytest.skip("there is no whole lab to break")
    done = molecule("test", f"--scenario-name={scenario}")
    assert done.returncode == 0, done.stdout[-6000:]


def test_what_the_cluster_says_of_a_failure_is_kept(whole: subprocess.CompletedProcess[str]) -> None:
    if whole.returncode != 0:
        pytest.skip("there is no whole lab to fail in")
    evidence = ROOT / "reports" / "molecule" / "drain"
    shutil.rmtree(evidence, ignore_errors=True)
    done = molecule("test", "--scenario-name=drain", "--", "--extra-vars=fault_kind=nonsense")
    assert done.returncode != 0
    assert "nonsense" in done.stdout
    assert "Name:             site-" in (evidence / "pods.txt").read_text()
    assert (evidence / "events.txt").read_text().count("\n") > 3
