"""A run's report is made false on purpose, or its witness blind, and whoever judges the run names it.

The judge is molecule's: molecule/drain/verify.yml.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import BUSY, ROOT, SHORT
from .judge import judged
from .planted import agrees, planted

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.shares]


@pytest.fixture(scope="session")
def run(lab: Lab) -> Path:
    """The folder of a drain that passed."""
    played = lab.play("failover", *SHORT, *BUSY, "-e", "fault_node=other")
    assert played.returncode == 0, played.output[-4000:]
    return (lab.reports / "latest").resolve()


@pytest.fixture
def any_run(lab: Lab, request: pytest.FixtureRequest) -> Path:
    """The same; the pods that it tells of need not be those of now."""
    if lab.drains:
        return lab.drains[-1]
    made: Path = request.getfixturevalue("run")
    return made


@contextlib.contextmanager
def changed(path: Path, change: Callable[[str], str]) -> Iterator[None]:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    try:
        yield
    finally:
        path.write_text(before)


@pytest.mark.nightly
def test_a_true_report_is_called_true(lab: Lab, run: Path, tmp_path: Path) -> None:
    assert run.exists()
    assert judged(lab, "drain", tmp_path) == ""


def test_a_report_with_a_false_count_is_named(lab: Lab, any_run: Path, tmp_path: Path) -> None:
    # Apart from its folder: what has run since is the latest there.
    run = tmp_path / "reports" / "latest"
    run.parent.mkdir()
    run.symlink_to(any_run)
    report = json.loads((run / "report.json").read_text())
    total = report["requests"]["total"]
    with changed(
        run / "report.json", lambda text: text.replace(f'"total": {total}', f'"total": {total + 1}', 1)
    ):
        assert judged(lab, "drain", tmp_path, run.parent) == "After | The report counts them so"


@pytest.mark.nightly
def test_a_report_that_calls_an_old_pod_a_replacement_is_named(lab: Lab, run: Path, tmp_path: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    old, new = report["displaced"][0]["uid"], report["replacements"][0]["uid"]
    with changed(run / "report.json", lambda text: text.replace(new, old)):
        assert judged(lab, "drain", tmp_path) == (
            "After | The replacements are pods that were not there before, and answered"
        )


@pytest.mark.nightly
def test_a_witness_that_always_says_ok_is_named(lab: Lab, tmp_path: Path) -> None:
    """The kernel that refused its requests counted them too."""
    blind = tmp_path / "src"
    shutil.copytree(ROOT / "src", blind)
    engine = blind / "failover_lab" / "probe" / "engine.py"
    here = "        assert e.outcome is not None  # noqa: S101\n        pod, node"
    assert here in engine.read_text()
    engine.write_text(engine.read_text().replace(here, f"        e.outcome = type(e.outcome)('ok')\n{here}"))
    (tmp_path / "run").mkdir()
    refused, report = planted(lab, tmp_path / "run", blind)
    with pytest.raises(AssertionError, match=f"the node refused {refused} connections, the witness saw 0"):
        agrees(refused, report)
