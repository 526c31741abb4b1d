"""The door to the package in a real play: what it gives back, shows and leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.failover_lab.lab.plugins.action import lab
from ansible_collections.failover_lab.lab.plugins.doc_fragments import shared
from ansible_collections.failover_lab.lab.plugins.modules import lab as documented

REPO = Path(__file__).resolve().parents[3]
DOOR = "failover_lab.lab.lab"


def playbook(tmp_path: Path, *tasks: dict[str, Any]) -> list[str]:
    """A play whose tasks leave their results, the first in ``result0.json``."""
    kept = []
    for number, task in enumerate(tasks):
        content = {"content": f"{{{{ run{number} | to_json }}}}", "dest": f"{tmp_path}/result{number}.json"}
        keep = {"name": "Keep it", "check_mode": False, "ansible.builtin.copy": content}
        kept.append({"block": [{"name": "Run it", "register": f"run{number}", **task}], "always": [keep]})
    path = tmp_path / "play.yml"
    path.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": kept}]), encoding="utf-8"
    )
    return ["ansible-playbook", str(path)]


def play(
    tmp_path: Path, *tasks: dict[str, Any], options: tuple[str, ...] = (), **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    done = subprocess.run(
        [*playbook(tmp_path, *tasks), *options],
        cwd=REPO,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    paths = [tmp_path / f"result{number}.json" for number in range(len(tasks))]
    return done, [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def password(tmp_path: Path, **more: Any) -> dict[str, Any]:
    (tmp_path / "password").write_text("hush", encoding="ascii")
    options = {
        "username": "me",
        "password-file": f"{tmp_path}/password",
        "out": f"{tmp_path}/out",
        "rounds": 4,
    }
    return {DOOR: {"command": "htpasswd", "options": options | more}}


def test_a_command_says_itself_whether_it_has_changed_anything(tmp_path: Path) -> None:
    done, (first, second) = play(tmp_path, password(tmp_path), password(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [result["changed"] for result in (first, second)] == [True, False]
    assert [result["ok"] for result in (first, second)] == [True, True]
    assert first["cmd"][0] == "htpasswd"
    assert "hush" not in done.stdout
    assert not {"stdout", "stderr", "stdout_lines", "stderr_lines"} & set(first)


def test_no_is_an_answer_where_it_is_accepted(tmp_path: Path) -> None:
    task = {"command": ["wait-steady", f"--out={tmp_path}", "--timeout=0.2", "--for=0.1"]}
    done, (accepted, refused) = play(tmp_path, {DOOR: task | {"accept_no": True}}, {DOOR: task})
    assert done.returncode != 0
    assert (accepted["failed"], accepted["ok"], accepted["rc"]) == (False, False, 1)
    assert (refused["failed"], refused["ok"], refused["rc"]) == (True, False, 1)
    assert accepted["msg"] == refused["msg"]
    assert accepted["msg"].startswith("not steady after 0.2 s: still missing")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["stop", "--out=/nonexistent/run"], "/nonexistent/run"),
        (["no-such-command"], "invalid choice: 'no-such-command'"),
        (["open-files", "--rate=many"], "argument --rate: 'many' is no number"),
    ],
)
def test_an_error_is_its_sentence_and_no_more(tmp_path: Path, command: list[str], expected: str) -> None:
    done, (result,) = play(tmp_path, {DOOR: {"command": command, "accept_no": True}})
    assert done.returncode != 0
    assert (result["failed"], result["rc"], result["data"]) == (True, 2, {})
    assert expected in result["msg"]
    assert "\n" not in result["msg"]
    assert "error:" not in result["msg"]


def test_options_are_those_of_the_command_line() -> None:
    options = {
        "node": "lab-m02", "rate": 20.5, "wanted": "", "clear-flows": True, "release": False, "uid": None,
        "mark": ["one", "two"],
    }  # fmt: skip
    expected = ["--node=lab-m02", "--rate=20.5", "--wanted=", "--clear-flows", "--mark=one", "--mark=two"]
    assert list(lab.words(options)) == expected


def test_an_option_that_nobody_has_set_is_left_out(tmp_path: Path) -> None:
    options = {"rate": "{{ nothing | default(omit, true) }}", "connections": "{{ none }}"}
    done, (result,) = play(
        tmp_path, {DOOR: {"command": "open-files", "options": options}, "vars": {"nothing": ""}}
    )
    assert done.returncode == 0, done.stdout
    assert result["cmd"] == ["open-files"]


def test_what_only_reads_runs_in_check_mode_and_the_rest_says_that_it_did_not(tmp_path: Path) -> None:
    mark = {DOOR: {"command": ["mark", f"--out={tmp_path}", "begun"], "label": "the mark"}}
    timings = {"command": "kernel", "options": {"nodes": 1}}
    done, (marked, hashed, read) = play(
        tmp_path, mark, password(tmp_path), {DOOR: timings}, options=("--check",)
    )
    assert done.returncode == 0, done.stdout
    assert (marked["changed"], marked["ok"], marked["data"]) == (True, True, {})
    assert marked["msg"] == "the mark does not run in check mode: it would change something"
    assert hashed["changed"] is False
    assert read["data"]["wanted"] > 0
    assert not (tmp_path / "marks.jsonl").exists()
    assert not (tmp_path / "out").exists()


def test_what_a_command_says_is_shown_while_it_runs(tmp_path: Path) -> None:
    task = {
        "command": ["wait-steady", f"--out={tmp_path}", "--timeout=3", "--for=0.1"],
        "label": "steady state",
        "relay": "lines",
        "interval_s": 1,
    }
    done, _ = play(tmp_path, {DOOR: task})
    shown = re.findall(r"^  … (.*)$", done.stdout, re.MULTILINE)
    assert len(shown) >= 2
    # Until it says its first word, its time is told.
    assert any("; waiting for" in line for line in shown)


@pytest.mark.nightly
def test_a_command_that_says_nothing_is_told_of_by_its_time(tmp_path: Path) -> None:
    task = {
        "command": ["wait-steady", f"--out={tmp_path}", "--timeout=3", "--for=0.1"],
        "label": "steady state",
        "interval_s": 1,
        "accept_no": True,
    }
    done, (result,) = play(tmp_path, {DOOR: task})
    assert (done.returncode, result["rc"]) == (0, 1), done.stdout
    assert "  … steady state, 1s" in done.stdout


@pytest.mark.nightly
def test_its_time_is_limited(tmp_path: Path) -> None:
    task = {"command": ["wait-steady", f"--out={tmp_path}", "--timeout=60"], "timeout_s": 1.5, "label": "it"}
    done, (result,) = play(tmp_path, {DOOR: task})
    assert done.returncode != 0
    assert result["msg"].startswith("it did not end within 2s and was stopped")
    assert result["ok"] is False


def test_a_long_answer_is_not_cut(tmp_path: Path) -> None:
    details = [f"key{number}={'x' * 90}" for number in range(200)]
    done, (result,) = play(tmp_path, {DOOR: {"command": ["mark", f"--out={tmp_path}", "begun", *details]}})
    assert done.returncode == 0, done.stdout
    assert len(result["data"]) == 2 + 200


def test_a_command_that_breaks_off_is_a_failure_whatever_is_accepted() -> None:
    for said in ("", "Traceback", '{"data": '):
        result = lab.told(1, said, "it failed", accept_no=True)
        assert result == {"failed": True, "ok": False, "changed": False, "rc": 1, "msg": "it failed"}


@pytest.mark.nightly
def test_beside_the_play_a_command_ends_with_it(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    probe = {"command": "probe", "options": {"url": "http://127.0.0.1:9", "rate": 1, "out": str(run)}}
    begun = {DOOR: probe, "async": 60, "poll": 0}
    wait = {"ansible.builtin.wait_for": {"path": f"{run}/probe.json", "timeout": 20}}
    with (tmp_path / "out").open("wb") as out:
        hold = {"ansible.builtin.wait_for": {"path": f"{tmp_path}/never", "timeout": 60}}
        one = subprocess.Popen(playbook(tmp_path, begun, wait, hold), cwd=REPO, stdout=out, stderr=out)
    deadline = time.monotonic() + 40
    while not (tmp_path / "result1.json").exists():
        assert time.monotonic() < deadline, (tmp_path / "out").read_text(encoding="utf-8")
        time.sleep(0.1)
    pid = json.loads((run / "probe.json").read_text(encoding="utf-8"))["pid"]
    assert f"--parent-pid={one.pid}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    one.send_signal(signal.SIGKILL)
    one.wait(timeout=20)
    deadline = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = Path(f"/proc/{pid}").exists()
    if left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"duration": 1}, {"ok": True, "rc": 0, "failed": False}),
        ({"rate": "many"}, {"ok": False, "rc": 2, "failed": True}),
    ],
)
def test_its_answer_is_to_be_had_afterwards(
    tmp_path: Path, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    usual = {"url": "http://127.0.0.1:9", "rate": 1, "out": f"{tmp_path}/run", "max-duration": 2}
    begun = {DOOR: {"command": "probe", "options": usual | options}, "async": 60, "poll": 0}
    ended = {
        DOOR: {"job": "{{ run0.ansible_job_id }}"},
        "until": "run1.finished",
        "retries": 30,
        "delay": 1,
        "failed_when": False,
    }
    _, (_, result) = play(tmp_path, begun, ended)
    assert result["finished"] is True
    assert {name: result[name] for name in ("ok", "rc")} == {name: expected[name] for name in ("ok", "rc")}
    if expected["ok"]:
        assert result["data"]["reason"]
    else:
        assert result["msg"].startswith("argument --rate: 'many' is no number")


@pytest.mark.nightly
def test_one_that_nobody_knows_of_is_told(tmp_path: Path) -> None:
    done, (result,) = play(tmp_path, {DOOR: {"job": "j1.1"}})
    assert done.returncode != 0
    assert (result["failed"], result["ok"]) == (True, False)
    assert "j1.1" in json.dumps(result) or "could not find job" in result["msg"]


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    _, (both,) = play(tmp_path, {DOOR: {"command": "kernel", "job": "j1.1"}})
    assert "mutually exclusive" in both["msg"]


def test_a_secret_is_neither_shown_nor_kept(tmp_path: Path) -> None:
    task = {
        "command": ["wait-steady", f"--out={tmp_path}", "--timeout=2"],
        "relay": "lines",
        "interval_s": 0.5,
    }
    done, _ = play(tmp_path, {DOOR: task, "no_log": True})
    assert "missing" not in done.stdout + done.stderr
    assert "wait-steady failed with exit status 1" in " ".join((done.stdout + done.stderr).split())


def test_the_page_says_what_the_code_takes() -> None:
    page = {
        name: option
        for part in (documented.DOCUMENTATION, shared.ModuleDocFragment.TELLING)
        for name, option in yaml.safe_load(part)["options"].items()
    }
    assert set(page) == set(lab.ARGUMENTS)
    for name, option in page.items():
        own = lab.ARGUMENTS[name]
        assert {key: option.get(key) for key in ("type", "default", "elements", "choices")} == {
            key: own.get(key) for key in ("type", "default", "elements", "choices")
        }, name
