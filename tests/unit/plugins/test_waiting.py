"""Modules that wait, in real plays: what is told meanwhile, whose the results are, that nothing stays."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import witness
from tests.plays import by_night

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


def wait_for(seconds: int, **arguments: Any) -> dict[str, Any]:
    return {f"{LAB}.wait_for": {"path": "/nonexistent", "timeout": seconds, "interval_s": 0.5, **arguments}}


SITE = {"namespace": "a", "deployment": "site", "service": "b"}
NODES = [{"name": "m02", "since": "2026-11-23T19:00:00Z"}]
WORDS: list[tuple[str, dict[str, Any], str]] = [
    ("rollout", SITE, "every pod of site"),
    ("rollout", SITE | {"without_nodes": ["m02", "m03"]}, "every pod of site on other nodes than m02, m03"),
    ("nodes_back", {"nodes": NODES}, "m02 to carry work"),
    ("nodes_back", {"nodes": "m02"}, "the nodes to carry work"),
    ("cluster_ready", {"nodes": 3}, "3 ready nodes"),
    ("cluster_ready", {"nodes": 2, "waits_for": "both"}, "both"),
]
TO_BE_TYPED = "    cd '/a b' && " + " ".join(f"-e word{number}='{number}'" for number in range(40))
LOOP: dict[str, Any] = {
    "loop": ["/nonexistent", "/dev/null"],
    "retries": 1,
    "delay": 0,
    "until": "result is succeeded",
    "register": "result",
}


def keep(place: Path) -> dict[str, Any]:
    return {"ansible.builtin.copy": {"content": "{{ result.results | to_json }}", "dest": str(place)}}


def tasks(folder: Path) -> dict[str, dict[str, Any]]:
    """What is told of these is what tests look at, each by the name of the task."""
    # What the module itself would say is nobody's affair here: it takes a moment.
    slow = folder / "python"
    slow.write_text("#!/bin/sh\ncat >/dev/null; sleep 0.3; echo '{}'\n", encoding="utf-8")
    slow.chmod(0o755)
    at_leisure = {"vars": {"ansible_python_interpreter": str(slow)}}
    given = {"context": "none", "interval_s": 0.1}
    theirs = {"ansible.builtin.wait_for": {"path": "{{ item }}", "timeout": 1, "msg": "Nobody came."}}
    refused = "result.msg is search('cannot be converted to a float')"
    command = {"argv": ["sh", "-c", "echo 1 of 3; sleep 1.3"], "label": "evictions", "interval_s": 0.5}
    return {
        "before the run": wait_for(1, waits_for="the operator"),
        **{words: {f"{LAB}.{module}": given | own} | at_leisure for module, own, words in WORDS},
        "short": wait_for(1, interval_s=5),
        "only checked": wait_for(30, interval_s=5) | {"check_mode": True},
        "typed": wait_for(0, says=["Type", TO_BE_TYPED]),
        "not typed": wait_for(0, says=["never"]) | {"check_mode": True},
        "often": wait_for(30, interval_s="often") | {"register": "result"},
        "refused": {"ansible.builtin.assert": {"that": refused}, "ignore_errors": False},
        "secret": wait_for(1, waits_for="hush", path="/hush") | {"no_log": True},
        "ours": wait_for(1, path="{{ item }}", msg="Nobody came.") | LOOP,
        "keep ours": keep(folder / "ours"),
        "theirs": theirs | LOOP,
        "keep theirs": keep(folder / "theirs"),
        "begin the run": {"ansible.builtin.set_fact": {"lab_run_dir": str(folder / "run")}},
        "in the run": wait_for(1, waits_for="the replacements"),
        "lines": {f"{LAB}.progress": command | {"relay": "lines"}},
        "timer": {f"{LAB}.progress": command},
        "of no run": {f"{LAB}.progress": command | {"run_dir": ""}},
    }


@contextlib.contextmanager
def probing(folder: Path) -> Iterator[None]:
    """A run whose probe is at work."""
    folder.mkdir()
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.3):
            (folder / "new").write_text(json.dumps(STATUS), encoding="utf-8")
            (folder / "new").replace(folder / "status.json")

    probe = threading.Thread(target=renew)
    probe.start()
    yield
    over.set()
    probe.join()


@dataclass
class Played:
    """What a play said, by the names of its tasks."""

    folder: Path
    said: dict[str, str]

    def told(self, *names: str) -> list[str]:
        """The lines that were told meanwhile."""
        return [line for name in names for line in re.findall(r"^  … (.*)$", self.said[name], re.MULTILINE)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All of the tasks in one play; whether they fail is their affair."""
    folder = tmp_path_factory.mktemp("played")
    named = [{"name": name, "ignore_errors": True, **task} for name, task in tasks(folder).items()]
    with probing(folder / "run"):
        done = subprocess.run(
            playbook(folder, *named), cwd=REPO, capture_output=True, text=True, check=False, timeout=180
        )
    assert done.returncode == 0, done.stdout + done.stderr
    _, *parts = re.split(r"^TASK \[(.*)\] \*+$", done.stdout, flags=re.MULTILINE)
    return Played(folder, dict(zip(parts[::2], parts[1::2], strict=True)))


def test_requests_and_failures_are_told_once_there_is_a_run(played: Played) -> None:
    assert set(played.told("before the run", "in the run", "lines", "timer", "of no run")) >= {
        "1s; waiting for the operator",
        f"{FIGURES}; waiting for the replacements",
        f"{FIGURES}; waiting for evictions: 1 of 3",
        f"{FIGURES}; waiting for evictions, 1s",
        "evictions, 1s",
    }


@pytest.mark.parametrize("words", [words for _, _, words in WORDS])
def test_each_module_has_words_of_its_own(played: Played, words: str) -> None:
    assert {line.split("; ")[1] for line in played.told(words)} == {f"waiting for {words}"}


def test_nothing_is_told_of_what_is_short_or_only_checked(played: Played) -> None:
    assert played.told("short", "only checked") == []


def test_what_is_to_be_typed_is_said_as_it_is(played: Played) -> None:
    assert f"\nType\n{TO_BE_TYPED}\n" in played.said["typed"]
    assert "never" not in played.said["not typed"]


def test_an_interval_that_is_none_is_refused(played: Played) -> None:
    assert "ok: [localhost]" in played.said["refused"]
    assert played.told("often") == []


def test_what_is_secret_is_not_told(played: Played) -> None:
    lines = played.told("secret")
    assert lines
    assert {line.split("; ")[1] for line in lines} == {"waiting for it"}


def test_the_result_is_the_module_s_own_in_loops_and_retries_too(played: Played) -> None:
    assert played.told("ours")[0].endswith("s; waiting for /nonexistent")
    results = [json.loads((played.folder / name).read_text(encoding="utf-8")) for name in ("ours", "theirs")]
    assert results[0] == results[1]
    assert [row["failed"] for row in results[0]] == [True, False]
    assert results[0][0]["msg"] == "Nobody came."


@pytest.mark.parametrize("signum", by_night((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM,)))
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
