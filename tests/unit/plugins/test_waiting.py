"""Modules that wait, in real plays: what is told meanwhile, whose the results are, that nothing stays."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import witness

from failover_lab.probe import wait

REPO = Path(__file__).resolve().parents[3]
STATUS = {"state": "running", "elapsed_s": 25.3, "sent": 5000, "failed": 310}
FIGURES = "25 s, 5000 requests, 310 failed"
LAB = "failover_lab.lab"
DEFAULTS = {f"group/{LAB}.telling": {"run_dir": "{{ lab_run_dir | default('') }}"}}


def playbook(tmp_path: Path, *tasks: dict[str, Any], **keywords: Any) -> list[str]:
    play = {"hosts": "localhost", "gather_facts": False, "module_defaults": DEFAULTS, "tasks": tasks}
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play | keywords]), encoding="utf-8")
    return ["ansible-playbook", str(path)]


def told(tmp_path: Path, *tasks: dict[str, Any], **keywords: Any) -> list[str]:
    """The lines that a play of these tasks tells; whether they fail is their affair."""
    done = subprocess.run(
        playbook(tmp_path, *({"ignore_errors": True, **task} for task in tasks), **keywords),
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^  … (.*)$", done.stdout, re.MULTILINE)


def wait_for(seconds: int, **arguments: Any) -> dict[str, Any]:
    return {f"{LAB}.wait_for": {"path": "/nonexistent", "timeout": seconds, "interval_s": 0.5, **arguments}}


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """A run whose probe is at work."""
    folder = tmp_path / "run"
    folder.mkdir()
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.3):
            (folder / "new").write_text(json.dumps(STATUS), encoding="utf-8")
            (folder / "new").replace(folder / "status.json")

    probe = threading.Thread(target=renew)
    probe.start()
    yield folder
    over.set()
    probe.join()


def test_requests_and_failures_are_told_once_there_is_a_run(tmp_path: Path, run_dir: Path) -> None:
    command = {"argv": ["sh", "-c", "echo 1 of 3; sleep 1.3"], "label": "evictions", "interval_s": 0.5}
    lines = told(
        tmp_path,
        wait_for(1, waits_for="the operator"),
        {"ansible.builtin.set_fact": {"lab_run_dir": str(run_dir)}},
        wait_for(1, waits_for="the replacements"),
        {f"{LAB}.progress": command | {"relay": "lines"}},
        {f"{LAB}.progress": command},
        {f"{LAB}.progress": command | {"run_dir": ""}},
    )
    assert set(lines) >= {
        "1s; waiting for the operator",
        f"{FIGURES}; waiting for the replacements",
        f"{FIGURES}; waiting for evictions: 1 of 3",
        f"{FIGURES}; waiting for evictions, 1s",
        "evictions, 1s",
    }


def test_each_module_has_words_of_its_own(tmp_path: Path) -> None:
    site = {"namespace": "a", "deployment": "site", "service": "b"}
    nodes = [{"name": "m02", "since": "2026-11-23T19:00:00Z"}]
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("rollout", site, "every pod of site"),
        ("rollout", site | {"without_node": "m02"}, "every pod of site on other nodes than m02"),
        ("nodes_back", {"nodes": nodes}, "m02 to carry work"),
        ("nodes_back", {"nodes": "m02"}, "the nodes to carry work"),
        ("cluster_ready", {"nodes": 3}, "3 ready nodes"),
        ("cluster_ready", {"nodes": 2, "waits_for": "both"}, "both"),
    ]
    # That there is no such cluster takes a module a moment to find out.
    given = {"context": "none", "kubeconfig": "/nonexistent", "interval_s": 0.1}
    lines = told(tmp_path, *({f"{LAB}.{module}": given | own} for module, own, _ in cases))
    assert list(dict.fromkeys(line.split("; ")[1] for line in lines)) == [
        f"waiting for {words}" for _, _, words in cases
    ]


def test_nothing_is_told_of_what_is_short_or_only_checked(tmp_path: Path) -> None:
    assert told(tmp_path, wait_for(1, interval_s=5), wait_for(30, interval_s=5) | {"check_mode": True}) == []


def test_what_is_to_be_typed_is_said_as_it_is(tmp_path: Path) -> None:
    line = "    cd '/a b' && " + " ".join(f"-e word{number}='{number}'" for number in range(40))
    task = wait_for(0, says=["Type", line]) | {"ignore_errors": True}
    done = subprocess.run(
        playbook(tmp_path, task, wait_for(0, says=["never"]) | {"check_mode": True}),
        cwd=REPO, capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert f"\nType\n{line}\n" in done.stdout
    assert "never" not in done.stdout


def test_an_interval_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = {"ansible.builtin.assert": {"that": "result.msg is search('cannot be converted to a float')"}}
    assert (
        told(
            tmp_path,
            wait_for(30, interval_s="often") | {"register": "result"},
            refused | {"ignore_errors": False},
        )
        == []
    )


def test_what_is_secret_is_not_told(tmp_path: Path) -> None:
    lines = told(tmp_path, wait_for(1, waits_for="hush", path="/hush") | {"no_log": True})
    assert lines
    assert {line.split("; ")[1] for line in lines} == {"waiting for it"}


def test_the_result_is_the_module_s_own_in_loops_and_retries_too(tmp_path: Path) -> None:
    keywords: dict[str, Any] = {
        "loop": ["/nonexistent", "/dev/null"],
        "retries": 1,
        "delay": 0,
        "until": "result is succeeded",
        "register": "result",
    }
    ours = wait_for(1, path="{{ item }}", msg="Nobody came.")
    theirs = {"ansible.builtin.wait_for": {"path": "{{ item }}", "timeout": 1, "msg": "Nobody came."}}
    keep = "{{ result.results | to_json }}"
    lines = told(
        tmp_path,
        ours | keywords,
        {"ansible.builtin.copy": {"content": keep, "dest": str(tmp_path / "ours")}},
        theirs | keywords,
        {"ansible.builtin.copy": {"content": keep, "dest": str(tmp_path / "theirs")}},
    )
    assert lines[0].endswith("s; waiting for /nonexistent")
    results = [json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("ours", "theirs")]
    assert results[0] == results[1]
    assert [row["failed"] for row in results[0]] == [True, False]
    assert results[0][0]["msg"] == "Nobody came."


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_play_leaves_nothing_running(tmp_path: Path, signum: signal.Signals) -> None:
    waited_for = str(tmp_path / "waited-for")
    with (tmp_path / "out").open("wb") as out:
        play = subprocess.Popen(
            playbook(tmp_path, wait_for(300, path=waited_for)), cwd=REPO, stdout=out, stderr=out
        )
    deadline = time.monotonic() + 30
    while b"waiting for" not in (tmp_path / "out").read_bytes():
        assert time.monotonic() < deadline, (tmp_path / "out").read_text(encoding="utf-8")
        time.sleep(0.1)
    play.send_signal(signum)
    assert play.wait(timeout=20) != 0

    def left() -> list[str]:
        return [path.name for path in Path("/proc").glob("[0-9]*") if str(tmp_path) in command_line(path)]

    deadline = time.monotonic() + 8
    while left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left() == []


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_the_figures_are_those_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps(STATUS), encoding="utf-8")
    assert witness.figures(str(tmp_path)) == wait._progress(STATUS) == FIGURES


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps(STATUS | {"state": "ended"})])
def test_where_nobody_asks_there_are_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "status.json").write_text(content, encoding="utf-8")
    assert witness.figures(str(tmp_path)) is None


def test_a_probe_that_is_gone_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "status.json").write_text(json.dumps(STATUS), encoding="utf-8")
    late = time.time() + 10
    monkeypatch.setattr(time, "time", lambda: late)
    assert witness.figures(str(tmp_path)) is None
