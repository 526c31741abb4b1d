"""Applications that know nothing of the lab: set up, drained, killed under, or refused with a reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import BUSY, ROOT, SHORT, Lab, Played
from .sudden import nothing_is_left

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

# From the pods' being asked for until it is said why they do not serve.
TOLD_WITHIN_S = 20
PODS = "TASK [site : Serve | Rolled out"


@dataclass(frozen=True)
class Example:
    """A folder of examples/.

    Attributes:
        says: something on its first page.
        port: that its image or its base image exposes.
    """

    says: str
    port: int


EXAMPLES = {
    "shop": Example("<h1>Corner shop</h1>", 80),
    "club": Example("<h1>Chess club</h1>", 80),
    "notes": Example("<h1>Notes</h1>", 5000),
}


@pytest.fixture(scope="module")
def theirs(lab: Lab) -> Iterator[Lab]:
    """The lab, which serves its own site again afterwards."""
    yield lab
    lab.put_back()


def failover(lab: Lab, *options: str) -> dict[str, Any]:
    played = lab.play("failover", *options, *SHORT, *BUSY)
    assert played.returncode == 0, played.output[-6000:]
    found: dict[str, Any] = json.loads((lab.reports / "latest" / "report.json").read_text())
    return found


def replaced(report: dict[str, Any]) -> None:
    """The nodes' kernels alone say who answered: the application does not."""
    assert report["trace"]["answers"]["compared"] == 0
    assert report["replacements"]
    assert all(pod["answers"] > 0 for pod in report["replacements"]), report["replacements"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_set_up_drained_and_killed_under(theirs: Lab, name: str) -> None:
    example = EXAMPLES[name]
    played = theirs.play("setup", "-e", f"image_context={ROOT / 'examples' / name}")
    assert played.returncode == 0, played.output[-6000:]
    assert f"The application: port {example.port} (EXPOSE)" in played.output
    page, _ = theirs.ask("/")
    assert example.says in page

    drained = failover(theirs)
    assert drained["requests"]["failed"] == 0, drained["failures"]
    assert drained["requests"]["total"] > 2000
    replaced(drained)

    killed = failover(theirs, "-e", "fault_kind=kill fault_recovery=watchdog")
    assert killed["fault"]["node"] is not None
    replaced(killed)
    for group in killed["failures"]:
        assert group["traced"] or not group["received_by"], group
    nothing_is_left(theirs)


def refused(lab: Lab, *settings: str) -> tuple[str, float]:
    """Why a setup ends, on one line, and how long after the pods were asked for it does."""
    log = lab.home / "given.log"
    with log.open("w") as output:
        play = lab.start("setup", *settings, output=output)
        asked = None
        while play.poll() is None:
            time.sleep(0.1)
            if asked is None and PODS in log.read_text():
                asked = time.monotonic()
    ended = time.monotonic()
    done = Played(play.returncode, log.read_text(), ended - (asked or ended))
    assert done.returncode == 2, done.output[-6000:]
    assert asked is not None, done.output[-6000:]
    return done.error, done.took_s


def own(folder: Path, command: str) -> Path:
    """A folder with an image that does just this."""
    folder.mkdir()
    lines = ("FROM python:3.13-slim", "EXPOSE 5000", f"CMD {json.dumps(command.split())}", "")
    (folder / "Dockerfile").write_text("\n".join(lines))
    return folder


def test_a_port_at_which_nobody_listens(theirs: Lab) -> None:
    told, took_s = refused(theirs, "-e", f"image_context={ROOT / 'examples' / 'shop'} site_container_port=81")
    assert took_s < TOLD_WITHIN_S, told
    assert "site_container_port" in told
    # The last lines of its log, which say that it is up, and where.
    assert "nginx" in told or "start worker process" in told, told


def test_a_program_that_ends_as_it_starts(theirs: Lab, tmp_path: Path) -> None:
    folder = own(tmp_path / "crash", "python -c raise(SystemExit('no-database-at-db:5432'))")
    told, took_s = refused(theirs, "-e", f"image_context={folder}")
    assert took_s < TOLD_WITHIN_S, told
    assert "no-database-at-db:5432" in told
    assert "status 1" in told


def test_an_image_that_does_not_exist(theirs: Lab) -> None:
    """That is known before any pod is asked for."""
    image = f"127.0.0.1:{theirs.registry_port()}/failover-lab/nothing:9"
    before = theirs.pods()
    played = theirs.play("setup", "-e", f"site_image={image} site_container_port=80")
    assert played.returncode == 2, played.output[-6000:]
    assert f"site_image is '{image}', which cannot be pulled" in played.error
    assert "not found" in played.error or "unknown" in played.error, played.error
    assert PODS not in played.output
    assert theirs.pods() == before


def test_no_room_for_its_memory(theirs: Lab) -> None:
    settings = {
        "image_context": str(ROOT / "examples" / "shop"),
        "site_resources": {"requests": {"memory": "999Gi"}},
    }
    told, took_s = refused(theirs, "-e", json.dumps(settings))
    assert took_s < TOLD_WITHIN_S, told
    assert "memory" in told
    assert "site_resources" in told
