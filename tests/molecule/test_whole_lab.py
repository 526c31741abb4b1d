"""The scenario of the whole lab, and those that lose nodes of its cluster, which is gone after them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from tests.beside import ROOT, SHARING, Beside, Done, failure, molecule

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]


@pytest.fixture(scope="module")
def whole(beside: Beside) -> Iterator[Done]:
    """The scenario default, but for its end, which comes after those that share its cluster."""
    try:
        yield beside.ended("default")
    finally:
        beside.destroy_default()


def test_the_whole_lab(whole: Done) -> None:
    assert whole.returncode == 0, failure(whole)


@pytest.mark.parametrize("scenario", SHARING)
def test_a_node_of_it_is_lost(beside: Beside, whole: Done, scenario: str) -> None:
    if whole.returncode != 0:
        pytest.skip("there is no whole lab to break")
    done = beside.ended(scenario)
    assert done.returncode == 0, failure(done)


def test_what_the_cluster_says_of_a_failure_is_kept(whole: Done) -> None:
    if whole.returncode != 0:
        pytest.skip("there is no whole lab to fail in")
    evidence = ROOT / "reports" / "molecule" / "drain"
    shutil.rmtree(evidence, ignore_errors=True)
    done = molecule("test", "--scenario-name=drain", "--", "--extra-vars=fault_kind=nonsense")
    assert done.returncode != 0
    assert "nonsense" in done.stdout
    assert "Name:             site-" in (evidence / "pods.txt").read_text()
    assert (evidence / "events.txt").read_text().count("\n") > 3
