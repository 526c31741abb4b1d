"""Marks of what happened a moment ago, by the wall clock."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from failover_lab import cli
from failover_lab.run import instants, marks


def test_an_instant_that_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = time.time() - 3.5
    for given in (f"{at:.6f}", instants.text(at)):
        assert cli.main(["mark", f"--out={tmp_path}", f"--at={given}", "injected", "kind=kill"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert instants.parse(said["at"]) == pytest.approx(at, abs=0.1)
        assert (said["event"], said["kind"]) == ("injected", "kill")
    assert marks.instant_of(tmp_path, marks.INJECTED) == pytest.approx(at, abs=0.1)


def test_it_is_told_on_the_run_s_clock_though_the_wall_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = instants.shared_clock(tmp_path)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    marks.append(tmp_path, [marks.INJECTED], at=time.time() - 2)
    assert marks.instant_of(tmp_path, marks.INJECTED) == pytest.approx(clock.now() - 2, abs=0.1)


@pytest.mark.parametrize("given", ["soon", "99999999999", "2999-01-01T00:00:00Z", "-5"])
def test_what_is_no_such_instant(tmp_path: Path, given: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["mark", f"--out={tmp_path}", f"--at={given}", "injected"])
    assert ended.value.code == 2
