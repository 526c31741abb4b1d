"""Whether a run can be recorded and measured, tried before anything is broken."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from failover_lab import cli
from failover_lab.probe import dropped, ready


def asked(directory: Path) -> int:
    return cli.main(["ready", "--out", str(directory / "run"), "--rate", "1"])


def test_what_can_be_made_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path / "not" / "there" / "yet") == 0
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "latest").symlink_to("gone")
    assert asked(tmp_path / "reports") == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["latest", "reports"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("folder", [True, False])
def test_the_link_s_name_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, folder: bool
) -> None:
    latest = tmp_path / "latest"
    if folder:
        latest.mkdir()
    else:
        latest.write_text("")
    assert asked(tmp_path) == 2
    assert f"{latest} is no link; move it away" in capsys.readouterr().err


def test_the_directory_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reports").write_text("")
    assert asked(tmp_path / "reports" / "mine") == 2
    assert f"{tmp_path / 'reports'} is no directory" in capsys.readouterr().err


def test_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", fail)
    assert asked(tmp_path) == 2
    assert f"cannot write to {tmp_path}: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "rate", "few"), [(4000, 200.0, True), (262144, 200.0, False), (4000, 10.0, False)]
)
def test_a_table_of_connections_that_will_be_full(
    tmp_path: Path, most: int, rate: float, *, few: bool
) -> None:
    for name, content in ((dropped.CONNTRACK_MOST, most), (dropped.CONNTRACK_COUNT, 100)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    told = ready.warnings(rate, tmp_path)
    assert bool(told) is few
    if few:
        assert "tracks 4000 connections at most (100 now)" in told[0]
        assert "24100 within 120 s" in told[0]
        assert "nf_conntrack_max=262144" in told[0]


def test_a_kernel_that_tracks_nothing(tmp_path: Path) -> None:
    assert ready.warnings(200.0, tmp_path) == []
