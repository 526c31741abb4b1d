"""Which files a run and a lab have, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar

from failover_lab.run.layout import Lab, Probe, Run


def test_the_names_that_people_know_stay() -> None:
    """Pages, scripts and old folders have them."""
    assert Run.names() == {
        "facts": "run.json",
        "marks": "marks.jsonl",
        "clock": "clock.json",
        "events": "events.jsonl",
        "observer": "observer.json",
        "connections": "trace.csv.gz",
        "trace": "trace.json",
        "watchdog": "watchdog.json",
        "live": "live.json",
        "stop": "stop",
        "report": "report.json",
        "page": "report.html",
        "junit": "junit.xml",
        "summary": "summary.txt",
        "vantage_points": "probes",
        "api": "api.asked",
        "api_asker": "api.asked.json",
    }
    assert Probe.names() == {
        "records": "requests.csv.gz",
        "about": "probe.json",
        "status": "status.json",
    }


def test_a_file_is_in_its_folder(tmp_path: Path) -> None:
    assert Run(tmp_path).marks == tmp_path / "marks.jsonl"
    assert Run.marks.name == "marks.jsonl"
    assert Run(tmp_path / "x").latest == tmp_path / "latest"
    assert Lab(tmp_path).journal == tmp_path / "journal.json"


def test_no_two_files_have_one_name() -> None:
    for names in ([*Run.names().values(), *Probe.names().values()], [*Lab.names().values()]):
        assert len(set(names)) == len(names)


def test_further_vantage_points_have_folders_of_their_own(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.probes() == [Probe(tmp_path)]
    for name in ("far", "a"):
        run.probe(name).directory.mkdir(parents=True)
    assert [probe.name for probe in run.probes()] == ["", "a", "far"]
    assert run.probes()[2].records == tmp_path / "probes" / "far" / "requests.csv.gz"


def test_where_a_lab_keeps_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert Lab.of("team").directory == Path("/elsewhere/failover-lab/team")
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("XDG_STATE_HOME")
        else:
            monkeypatch.setenv("XDG_STATE_HOME", value)
        monkeypatch.setenv("HOME", "/home/me")
        assert Lab.of("team").directory == Path("/home/me/.local/state/failover-lab/team")


@pytest.mark.parametrize(
    ("term", "options", "key", "path"),
    [
        ("run", {"path": "/r"}, "stop", "/r/stop"),
        ("run", {"path": "/r"}, "directory", "/r"),
        ("lab", {"path": "/s", "profile": "team"}, "journal", "/s/journal.json"),
        ("lab", {"path": "", "profile": "team"}, "journal", "/state/failover-lab/team/journal.json"),
        ("lab", {"profile": "team"}, "directory", "/state/failover-lab/team"),
    ],
)
def test_roles_ask_for_them(
    monkeypatch: pytest.MonkeyPatch, term: str, options: dict[str, str], key: str, path: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    plugin = lookup_loader.get("failover_lab.lab.layout", DataLoader(), Templar(DataLoader()))
    (found,) = plugin.run([term], variables={}, **options)
    assert found[key] == path


@pytest.mark.parametrize(
    ("term", "options"), [("lab", {}), ("run", {}), ("run", {"profile": "x"}), ("x", {"path": "/"})]
)
def test_what_it_cannot_answer_it_says(term: str, options: dict[str, str]) -> None:
    plugin = lookup_loader.get("failover_lab.lab.layout", DataLoader(), Templar(DataLoader()))
    with pytest.raises(AnsibleError, match="give run or lab"):
        plugin.run([term], variables={}, **options)
