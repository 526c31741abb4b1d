"""What a kernel has to have for so many nodes more, counted where others hold it already."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.host import kernel


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc of a machine at rest, whose bridges are filtered."""
    result = tmp_path / "proc"
    for path, content in (
        ("sys/fs/inotify/max_user_instances", "128\n"),
        ("sys/net/bridge/bridge-nf-call-iptables", "1\n"),
        ("sys/kernel/osrelease", "6.1\n"),
    ):
        file = result / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    monkeypatch.setattr(kernel, "PROC", result)
    monkeypatch.setattr(kernel, "MODULES", tmp_path / "modules")
    return result


def process(proc: Path, pid: int, *links: str) -> None:
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True)
    for number, link in enumerate(links):
        (folder / str(number)).symlink_to(link)


def asked(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.main(["kernel", "--nodes=3"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_others_hold_is_counted(
    proc: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process(proc, 7, "anon_inode:inotify", "socket:[1]", "anon_inode:inotify")
    process(proc, 8, "/dev/null")
    # Whoever runs the tests is root here.
    monkeypatch.setattr(kernel, "_of_root", lambda _path: True)
    assert asked(capsys) == {"limit": 128, "held": 2, "wanted": 2 + 3 * 17 + 16}


def test_a_user_who_may_not_look(
    proc: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process(proc, 7, "anon_inode:inotify")

    def denied(*_: object) -> Any:
        raise PermissionError

    monkeypatch.setattr(kernel, "_of_root", lambda _path: True)
    monkeypatch.setattr(os, "readlink", denied)
    assert asked(capsys) == {"limit": 128, "held": None, "wanted": 20 + 3 * 17 + 16}


@pytest.mark.parametrize("file", ["modules.dep", "modules.builtin"])
def test_a_module_that_can_be_loaded(proc: Path, tmp_path: Path, file: str) -> None:
    (proc / "sys/net/bridge/bridge-nf-call-iptables").unlink()
    folder = tmp_path / "modules" / "6.1"
    folder.mkdir(parents=True)
    (folder / file).write_text("kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n")
    assert kernel.bridged_packets_are_filtered(proc, tmp_path / "modules", "6.1")
    assert not kernel.bridged_packets_are_filtered(proc, tmp_path / "modules", "6.2"), "it was upgraded"


def test_without_it(proc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (proc / "sys/net/bridge/bridge-nf-call-iptables").unlink()
    assert cli.main(["kernel", "--nodes=3"]) == 2
    assert "sudo modprobe br_netfilter" in capsys.readouterr().err


def test_without_linux(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "PROC", tmp_path)
    assert asked(capsys)["limit"] == 0
